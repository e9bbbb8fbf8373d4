"""Reports: a table for people, a file for machines, an interval for every number."""

import math
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.files import write_json
from clew.report import Report, Row, bootstrap
from tests.drawn import JSON, NUMBER, TEXT

REPORT = Report(
    "agreement",
    (Row("faithfulness", 0.75, 0.5, 1.0, "features", 100, 40), Row("faithfulness", math.nan, 0.0, 1.0)),
    ("mean ablation",),
)


def test_a_row_is_said_with_its_interval_and_a_single_example_without():
    assert Row("f", 0.8, 0.75, 0.875).said(".2f") == "0.80 [0.75, 0.88]"
    assert Row("f", 0.8, float("nan"), float("nan")).said(".2f") == "0.80"


def test_what_is_rounded_to_zero_has_no_sign():
    row = Row("faithfulness", -0.0001, -0.0004, 0.004, "features", 3)
    assert row.said(".2f") == "0.00 [0.00, 0.00]"
    assert "-" not in str(Report("one", (row,))) + str(Report("two", (row, replace(row, nodes=9)))) + str(
        Report("", (row,)).cells()
    )


def test_the_table_by_hand():
    lines = str(REPORT).split("\n")
    assert lines[0] == "agreement" and lines[-1] == "  mean ablation"
    assert lines[1].split() == ["faithfulness", "features", "100", "nodes", "0.750", "[0.500,", "1.000]", "n=40"]


def test_a_row_by_its_measure():
    assert REPORT["faithfulness"].value == 0.75
    with pytest.raises(KeyError, match=r"there are \['faithfulness'\]"):
        REPORT["completeness"]


def test_a_report_comes_back_with_its_nans(tmp_path):
    back = Report.load(REPORT.save(tmp_path / "r.json"))
    assert back.rows[0] == REPORT.rows[0] and back.notes == REPORT.notes
    assert math.isnan(back.rows[1].value) and back.rows[1].nodes is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 7}, "version 7"),
        ({"format": "clew circuit"}, "clew circuit"),
        ({"rows": [{"valu": 1}]}, r"rows\[0\] has 'valu', which is none of"),
        ({"rows": [{"measure": "m", "value": "1", "low": 0, "high": 1}]}, r"rows\[0\]\.value is '1'; a finite number"),
        ({"rows": [{"measure": None, "value": 1, "low": 0, "high": 1}]}, r"rows\[0\]\.measure is None; text is due"),
        ({"notes": "one"}, "notes is 'one'; a list is due"),
        ({"rows": 3}, "rows is 3; a list is due"),
    ],
)
def test_a_broken_report_is_named(tmp_path, change, words):
    path = write_json(tmp_path / "r.json", REPORT.to_json() | change)
    with pytest.raises(ValueError, match=rf"r\.json.*{words}"):
        Report.load(path)


def test_the_interval_of_a_mean_is_that_of_the_normal_law():
    values = np.random.default_rng(1).standard_normal(400)
    low, high = bootstrap(lambda i: float(values[i].mean()), 400)
    spread = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - spread, abs=0.02)
    assert high == pytest.approx(values.mean() + spread, abs=0.02)


def test_one_example_has_no_interval_and_the_table_says_so(tmp_path):
    values = np.array([1.0])
    ends = bootstrap(lambda i: float(values[i].mean()), 1)
    report = Report("one fact", (Row("efficacy", 1.0, *ends, "edited", examples=1), Row("p", 0.5, *ends, examples=0)))
    assert all(map(math.isnan, ends)) and report.rows[0].interval() == ""
    assert [line.split() for line in str(report).split("\n")[1:]] == [
        ["efficacy", "edited", "1.000", "n=1,", "no", "interval"], ["p", "0.500"],
    ]  # fmt: skip
    assert report.to_json()["rows"][0]["low"] is None
    assert Report.load(report.save(tmp_path / "r.json")).rows[0].interval() == ""


def mean(*values: float) -> Callable[[np.ndarray], float]:
    return lambda i: float(np.array(values)[i].mean())


def test_an_interval_is_the_same_twice():
    assert bootstrap(mean(1.0, 2.0, 4.0), 3, seed=4) == bootstrap(mean(1.0, 2.0, 4.0), 3, seed=4)


def test_what_is_no_number_has_no_interval():
    for values in ((1.0, 1.0, math.nan), (math.inf, 1.0, 1.0)):
        assert all(map(math.isnan, bootstrap(mean(*values), 3)))


@pytest.mark.parametrize(("examples", "bounded"), [(4, True), (3, False)])
def test_draws_without_a_number_count_at_both_ends(examples, bounded):
    """One draw in 256, or in 27, holds nothing but the first example, of which there is no number."""
    low, high = bootstrap(lambda i: float(i.mean()) if i.any() else math.nan, examples)
    assert math.isfinite(low) == math.isfinite(high) == bounded


def test_copies_of_one_prompt_are_one_prompt():
    values = np.random.default_rng(0).normal(size=5)
    alone = bootstrap(lambda i: float(values[i].mean()), 5)
    eightfold, keys = np.repeat(values, 8), [k for k in "abcde" for _ in range(8)]
    assert bootstrap(lambda i: float(eightfold[i].mean()), keys) == pytest.approx(alone)
    assert bootstrap(lambda i: float(values[i].mean()), list("abcde")) == alone
    low, high = bootstrap(lambda i: float(eightfold[i].mean()), 40)
    assert high - low < (alone[1] - alone[0]) / 2, "as 40 prompts they would look certain"
    assert all(map(math.isnan, bootstrap(lambda i: 1.0, ["a"] * 8)))


MAYBE = NUMBER | st.just(float("nan"))
ROWS = st.builds(Row, TEXT, MAYBE, MAYBE, MAYBE, TEXT, st.none() | st.integers(0, 9), st.integers(0, 9), TEXT)


@given(TEXT, st.lists(ROWS, max_size=3), st.lists(TEXT, max_size=2), st.dictionaries(TEXT, JSON, max_size=2))
def test_any_report_comes_back_from_disk_to_the_bit(tmp_path, title, rows, notes, provenance):
    report = Report(title, tuple(rows), tuple(notes), provenance)
    found = Report.load(report.save(tmp_path / "report.json"))
    assert repr(found) == repr(report) and str(found) == str(report)  # nan equals nan as it is written


def test_in_a_notebook_a_report_is_its_table() -> None:
    report = Report("t <1>", (Row("faithfulness", 0.8, 0.75, 0.875, "features", 10, 40),), ("a note",))
    shown = report._repr_html_()
    assert "t &lt;1&gt;" in shown and "a note" in shown
    assert all(
        f">{cell}</td>" in shown for cell in ("faithfulness", "features", "10 nodes", "0.800", "[0.750, 0.875]", "40")
    )
    assert repr(report) == str(report)


def curves() -> Report:
    rows = [
        Row(measure, n / 100, n / 200, n / 90, of, n, 8)
        for measure in ("faithfulness", "completeness")
        for of in ("features", "random features")
        for n in (10, 100)
    ]
    return Report("agreement", tuple(rows))


def test_a_plot_has_a_curve_for_what_was_measured_in_the_shade_of_its_interval() -> None:
    one, two = curves().plot()
    assert [axes.get_title(loc="left") for axes in (one, two)] == ["faithfulness", "completeness"]
    features, chance = one.get_lines()
    assert features.get_xydata().tolist() == [[10, 0.1], [100, 1.0]] and features.get_label() == "features"
    assert chance.get_linestyle() == "--" and chance.get_color() != features.get_color()
    shade = one.collections[0].get_paths()[0].vertices
    assert shade[:, 1].min() == 10 / 200 and shade[:, 1].max() == 100 / 90
    assert one.figure is two.figure and one.figure.get_suptitle() == "agreement" and one.get_xlabel() == "nodes"


def test_a_plot_of_single_numbers_has_a_point_and_an_interval_for_each() -> None:
    rows = (
        Row("success", 0.8, 0.7, 0.95, "edit"),
        Row("success", 0.1, 0.0, 0.2, "random edit"),
        Row("KL", 3.0, math.nan, math.nan),
    )
    success, kl = Report("t", rows).plot()
    assert [label.get_text() for label in success.get_yticklabels()] == ["edit", "random edit"]
    (bar,) = success.containers[0].lines[2][0].get_segments()
    assert bar.ravel().tolist() == pytest.approx([0.7, 0, 0.95, 0])
    assert len(Report("t", (*rows, Row("score", math.nan, math.nan, math.nan))).plot()) == 2
    assert not kl.containers[0].lines[2] and kl.lines[0].get_xdata() == [3.0]


def test_a_plot_of_what_was_not_measured_lists_what_was() -> None:
    (axes,) = curves().plot("completeness")
    assert axes.get_title(loc="left") == "completeness"
    with pytest.raises(KeyError, match="there are .'completeness', 'faithfulness'"):
        curves().plot("faithfullness")
    with pytest.raises(ValueError, match="nothing to plot: t has no numbers"):
        Report("t", (Row("score", math.nan, math.nan, math.nan),)).plot()


def test_the_rows_of_a_frame_are_those_of_the_report() -> None:
    rows = (Row("faithfulness", 0.8, 0.75, 0.875, "features", 10, 40), Row("completeness", 0.1, 0.0, 0.2))
    made = Report("t", rows).to_frame()
    assert made.columns.tolist() == [f.name for f in fields(Row)]
    assert made["value"].tolist() == [0.8, 0.1] and made["measure"].tolist() == ["faithfulness", "completeness"]


def test_several_sizes_of_the_same_stand_side_by_side() -> None:
    rows = tuple(Row(m, v, v, v, of, n, 4) for m, of, n, v in (
        ("faithfulness", "features", 10, 0.5), ("faithfulness", "random", 10, 0.0),
        ("faithfulness", "features", 100, 0.75), ("faithfulness", "random", 100, 0.25),
    ))  # fmt: skip
    said = str(Report("t", rows, ("a note",))).splitlines()
    assert [line.split() for line in said] == [
        ["t"],
        ["nodes", "10", "100"],
        ["faithfulness", "features", "0.50", "[0.50,", "0.50]", "0.75", "[0.75,", "0.75]"],
        ["faithfulness", "random", "0.00", "[0.00,", "0.00]", "0.25", "[0.25,", "0.25]"],
        ["a", "note"],
    ]
    assert Report("t", rows[:2]).sizes() == [] and Report("t", rows).sizes() == [10, 100]


def test_reports_of_equal_content_are_equal_and_hash_alike(tmp_path):
    row = Row("faithfulness", 0.5, float("nan"), float("nan"), "max", 3, 4)
    report = Report("title", (row,), ("a note",), {"options": {"sites": ("resid.1",)}})
    back = Report.load(report.save(tmp_path / "r.json"))
    assert back == report and hash(back) == hash(report)
    assert report != Report("title", (row,), ("a note",)) and report != "a report"
    assert report != Report("title", (replace(row, value=0.25),), ("a note",), report.provenance)
