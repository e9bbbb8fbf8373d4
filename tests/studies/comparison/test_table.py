"""The table of a bench in a terminal: a line for every cell, in columns, under what they have in common."""

from dataclasses import replace

from clew.studies.comparison.table import COSTS, bench_frame, bench_table, costs, grouped, heading, named, warnings
from tests.studies.comparison.cells import CHANCE, FAILED, cell


def test_the_terminal_has_a_line_for_every_cell() -> None:
    head, _, title, chance, line, failed, bare, *_ = bench_table([CHANCE, cell(), FAILED]).splitlines()
    assert head.split()[:2] == ["CPR", "CMD,"] or head.split()[0] == "CPR"
    assert title == "ioi in tiny, edges: 100 edges; found on 5 pairs, judged on 4 others, by logit difference"
    assert chance.split()[:4] == ["random", "0.100", "[0.00,", "0.20]"] and chance.split()[-4:] == ["–"] * 4
    assert line.split()[-5:] == ["6", "5", "1.2", "3", "overshoot"] and line.startswith("  eap, top")
    assert failed == "  acdc, ilp  failed: it needs scipy" and bare.split() == ["no", "signal", *["0.250"] * 4]


def test_a_frame_has_a_row_for_every_cell_and_its_numbers_with_their_intervals() -> None:
    made = bench_frame([CHANCE, cell(), FAILED])
    assert made["search"].tolist() == [CHANCE.search, "eap", "acdc"] and made["failed"].tolist()[2] == "it needs scipy"
    assert made[["CPR", "CPR low", "CPR high"]].to_numpy()[0].tolist() == [0.1, 0.0, 0.2]
    assert made["CPR"].isna().tolist() == [False, False, True] and made["forwards"].tolist()[1] == 6


def test_a_bench_in_which_all_failed_has_lines_too() -> None:
    lines = bench_table([FAILED]).splitlines()
    assert lines[2:4] == ["ioi in tiny, edges", "  acdc, ilp  failed: it needs scipy"] and "no signal" not in lines


def test_cells_stand_under_the_unit_of_the_behaviour_that_they_are_of() -> None:
    cells = [
        cell(),
        cell("acdc"),
        replace(cell(), unit="nodes"),
        replace(cell(), behaviour="greater_than", unit="nodes"),
    ]
    assert [[c.unit for c in group] for group in grouped(cells)] == [["edges", "edges"], ["nodes"], ["nodes"]]
    assert bench_table(cells).count(" judged on 4 others") == 3
    assert heading([FAILED, cell()]) == heading([cell()]) and heading([FAILED]) == "ioi in tiny, edges"


def test_a_cell_is_named_by_search_and_selection_and_warns_of_each_thing_once() -> None:
    assert (named(CHANCE), named(cell())) == ("random", "eap, top")
    flagged = cell(flags=("overshoot: too much", "few: only 3", "overshoot: again"))
    assert warnings(flagged) == "overshoot, few" and warnings(CHANCE) == ""


def test_what_was_not_counted_is_a_dash_and_nothing_is_not() -> None:
    assert costs(CHANCE) == ["–"] * len(COSTS)
    assert costs(cell(cost={"forwards": 0, "backwards": 12345.6, "seconds": 0.04, "memory": 0})) == [
        "0", "1.235e+04", "0.0", "0",
    ]  # fmt: skip
    assert costs(cell(cost={"memory": 2_000_000_000}))[-1] == "2000"
    assert costs(cell(cost={"forwards": None, "seconds": None})) == ["–"] * 4


def test_where_the_truth_is_known_what_was_recovered_is_told() -> None:
    known = cell(recovered={"precision": 0.5, "recall": None, "AUROC": 0.9})
    lines = bench_table([known, cell("acdc")]).splitlines()
    assert lines[0].split()[-7:] == ["precision", "recall", "fwd", "bwd", "s", "MB", "warnings"]
    assert lines[3].split()[-7:-5] == ["0.50", "–"] and lines[4].split()[-7:-5] == ["–", "–"]
    assert "precision" not in bench_table([cell()])


def test_columns_end_in_one_place_and_the_first_begins_in_one() -> None:
    lines = bench_table([cell(), cell("eap_ig_inputs", 12.5), CHANCE]).splitlines()[3:6]
    ends = {line.index("]", line.index("[")) for line in lines}
    assert len(ends) == 1 and all(line.startswith("  ") and line == line.rstrip() for line in lines)
