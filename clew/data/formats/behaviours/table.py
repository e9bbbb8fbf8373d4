"""A table with a column for each part of a pair; by default that of the Sparse Feature Circuits agreement files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.files import Rows, strings, words
from clew.data.behaviours.metrics import log_probability, logit_difference
from clew.files import check_names, typed

COLUMNS = {
    "clean": "clean_prefix",
    "patch": "patch_prefix",
    "answers": "clean_answer",
    "patch_answers": "patch_answer",
    "case": "case",
}


OWN = {part: part for part in COLUMNS}
"""A table of one's own, as `clew new-behaviour` begins one: its columns are named after the parts."""


def matches(rows: Rows) -> bool:
    return {"clean_prefix", "clean_answer"} <= rows[0].keys() or {"clean", "answers"} <= rows[0].keys()


def table(
    rows: Rows,
    *,
    name: str,
    model: Any = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    aligned: bool | None = None,
) -> Behaviour:
    """Each row a pair. Without patch answers the metric is the log-probability of the answer.

    Args:
        columns: which column holds "clean", "answers", and, where there are any, "patch", "patch_answers" and "case"; not
            needed where they have these names. Answers carry their own leading space; a cell may hold a list of them.
        aligned: whether a position means the same in every prompt of one length; by default only in the agreement
            files, which are templates.

    Raises: ValueError naming the column that is not there, and those that are.
    """
    usual = OWN if {"clean", "answers"} <= rows[0].keys() else COLUMNS
    columns = usual if columns is None else columns
    if unknown := sorted(columns.keys() - COLUMNS.keys()):
        raise ValueError(f"{unknown[0]!r} is no part of a pair; columns can name {', '.join(COLUMNS)}")
    for part in ("clean", "answers"):
        if part not in columns:
            raise ValueError(f"columns must say which column holds {part!r}; {name} has {', '.join(rows[0])}")
    needed = [columns["clean"], columns["answers"]] if columns is usual else list(columns.values())
    missing = [column for column in needed if column not in rows[0]]
    if missing:
        raise ValueError(f"{name} has no column {missing[0]!r}; it has {', '.join(rows[0])}")
    if columns is COLUMNS and set(columns.values()) - set(rows[0]):  # then one that we do not know may be a lost one
        check_names(rows[0], list(columns.values()), name)

    def cell(row: dict[str, Any], part: str) -> Any:
        return row.get(columns[part]) if part in columns else None

    def prompt(row: dict[str, Any], number: int, part: str) -> str:
        return typed(cell(row, part), f"{name}: row {number}, {columns[part]!r}", str)

    def answers(row: dict[str, Any], number: int) -> tuple[str, ...]:
        if not (found := strings(cell(row, "answers"))):
            raise ValueError(f"{name}: row {number}, {columns['answers']!r} is empty; an answer is due there")
        return found

    pairs = tuple(
        Pair(
            prompt(row, number, "clean"),
            None if cell(row, "patch") is None else prompt(row, number, "patch"),
            answers(row, number),
            strings(cell(row, "patch_answers")),
            "" if cell(row, "case") is None else words(cell(row, "case")),
        )
        for number, row in enumerate(rows, 1)
    )
    metric = logit_difference if all(p.patch_answers for p in pairs) else log_probability
    return Behaviour(name, pairs, metric=metric, aligned=columns is COLUMNS if aligned is None else aligned, seed=seed)
