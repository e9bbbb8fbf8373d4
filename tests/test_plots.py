"""Plots: sizes on paper, curves told from points, and the extra named where matplotlib is missing."""

import sys

import pytest

from clew.plots import QUIET, panels, pyplot, sized


def test_the_largest_is_the_largest_whatever_its_sign() -> None:
    assert sized([1.0, -4.0], 0.0, 8.0) == [2.0, 8.0] and sized([], 1.0, 2.0) == [] and sized([0.0], 1.0, 2.0) == [1.0]


def test_curves_stand_side_by_side_and_points_one_below_the_other() -> None:
    curve = {"features": [(10, 0.5, 0.4, 0.6), (100, 0.9, 0.8, 1.0)]}
    one, two = panels("t", "node", {"a": curve, "b": curve})
    assert one.get_position().y0 == pytest.approx(two.get_position().y0)
    one, two = panels("t", "node", {"a": curve, "b": {"": [(None, 1.0, 0.5, 1.5)]}})
    assert one.get_position().y0 > two.get_position().y0 and two.get_xlabel() == ""
    assert [tick.get_text() for tick in one.get_xticklabels()] == ["10", "100"]


def test_the_same_size_twice_is_no_curve_and_what_is_random_is_grey() -> None:
    (axes,) = panels("t", "node", {"a": {"random unit": [(10, 1.0, 0.5, 1.5), (10, 2.0, 1.5, 2.5)]}})
    assert [label.get_text() for label in axes.get_yticklabels()] == ["random unit 10"] * 2
    assert {line.get_color() for line in axes.get_lines()} == {QUIET}


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"clew\[plots\]"):
        pyplot()
