"""What a number is held against: the row of chance that measures the same, or why there is none."""

from typing import Any

from clew.apps.agent._floors import COMPARES, IS_ONE, NONE, of_label, of_rows


def row(measure: str, of: str = "", value: float | None = 1.0, nodes: int | None = None) -> dict[str, Any]:
    return {
        "measure": measure, "of": of, "value": value, "low": None, "high": None, "nodes": nodes, "unit": "node", "examples": 4
    }  # fmt: skip


def floors(*rows: dict[str, Any], room: str = "circuits") -> list[tuple[float | None, str]]:
    return [(number.floor, number.floor_is) for number in of_rows(rows, room)]


def test_the_random_row_of_the_same_measure_and_size_is_the_floor():
    rows = (row("f", nodes=3), row("f", "random", 0.25, 3), row("f", "random", 0.5, 9), row("f p", nodes=3))
    assert floors(*rows) == [(0.25, "random, measured alike"), (None, IS_ONE), (None, IS_ONE), (None, COMPARES)]


def test_a_random_row_may_be_named_after_what_it_stands_beside():
    rows = (row("KL", "strength 1.0"), row("KL", "random, strength 1.0", 0.1), row("KL", "random, strength 0.5", 0.2))
    assert floors(*rows)[0] == (0.1, "random, strength 1.0, measured alike")


def test_where_chance_was_not_measured_the_reason_says_how_to():
    assert floors(row("faithfulness")) == [(None, NONE["circuits"])]


def test_a_name_is_held_against_the_floor_that_its_distance_is_from():
    rows = [row("r", value=0.75), row("r above shuffled", value=0.5)]
    first, second = of_label("resid.3/1", rows)
    assert (first.floor, first.floor_is) == (0.25, "shuffled") and second.floor_is == COMPARES


def test_a_name_without_a_floor_says_so():
    (only,) = of_label("resid.3/1", [row("r")])
    assert only.floor is None and "scored without a floor" in only.floor_is
