import math

from clew.circuits.difference import Difference, compare


def test_keys_are_shared_or_alone_and_shared_values_are_correlated():
    *keys, correlation = compare({"a": 1.0, "b": 2.0, "c": 9.0}, {"b": 4.0, "a": 2.0, "d": 0.0})
    assert keys == [("a", "b"), ("c",), ("d",)] and abs(correlation - 1) < 1e-12


def test_of_one_shared_key_no_correlation_is_known():
    assert math.isnan(compare({"a": 1.0}, {"a": 2.0})[3])


def test_overlap_is_shared_over_all_and_1_for_two_empty_ones():
    a, b, c = (("resid.0", unit, -1) for unit in range(3))
    nan = math.nan
    assert Difference((a,), (b,), (c,), nan, (), (), (), nan).overlap == 1 / 3
    assert Difference((), (), (), nan, (), (), (), nan).edge_overlap == 1


def test_in_a_notebook_and_in_a_frame_a_node_is_in_one_or_in_both():
    a, b, c = (("resid.0", unit, -1) for unit in range(3))
    one = Difference((a,), (b, c), (), 0.5, (), (), (), math.nan)
    shown = one._repr_html_()
    assert ">nodes</td>" in shown and ">edges</td>" not in shown and ">0.33</td>" in shown and ">0.50</td>" in shown
    made = one.to_frame()
    assert made["in"].tolist() == ["both", "first", "first"] and made["unit"].tolist() == [0, 1, 2]
