"""Rows of plain values as a table for people: HTML for a notebook, a frame for pandas."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SHOWN = 20
"""So many rows a notebook shows of what has many."""
NUMBER = re.compile(r"[+–-]?\d[\d.,]*(e[+-]?\d+)?%?( \[.*\])?|nan|")
"""A cell that holds a number, with its interval if it has one, or nothing."""


def many(n: int, thing: str) -> str:
    """So many of a thing, in words.

    >>> many(1, "prompt"), many(3, "prompt")
    ('1 prompt', '3 prompts')
    """
    return f"{n} {thing}{'s' * (n != 1)}"


def frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Any:
    """A pandas DataFrame of rows. Raises: ImportError naming the extra where pandas is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("a frame needs pandas: pip install 'clew[frames]'") from error
    return pandas.DataFrame([dict(row) for row in rows], columns=list(columns))


def as_html(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = ()) -> str:
    """A table for a notebook, columns of numbers to the right: everything that is given stands in it as text.

    Its colours are those of the notebook, by day and by night.
    """
    listed = list(rows)
    right = [all(NUMBER.fullmatch(cell) for cell in column) for column in zip(*listed, strict=True)]
    sides = ["right" if number else "left" for number in right or [False] * len(head)]
    body = "".join(_row("td", row, sides) for row in listed)
    table = f"<table><thead>{_row('th', head, sides)}</thead><tbody>{body}</tbody></table>" if head else ""
    return f"<div><b>{html.escape(title)}</b>{table}{_notes(notes)}</div>"


def as_texts(texts: Iterable[str], notes: Iterable[str] = ()) -> str:
    """Texts for a notebook, each as it was written, with a line at its side."""
    style = "white-space:pre-wrap;border-left:3px solid;padding-left:0.7em;margin:0.4em 0"
    said = "".join(f'<div style="{style}">{html.escape(text)}</div>' for text in texts)
    return f"<div>{said}{_notes(notes)}</div>"


def more(of: int, what: str, shown: int = SHOWN) -> list[str]:
    """That there are more than are shown, if there are.

    >>> more(21, "nodes"), more(20, "nodes")
    (['and 1 more of 21 nodes'], [])
    """
    return [f"and {of - shown:,} more of {of:,} {what}"] if of > shown else []


def _row(tag: str, cells: Sequence[str], sides: Sequence[str]) -> str:
    said = zip(map(html.escape, cells), sides, strict=True)
    return "<tr>" + "".join(f'<{tag} style="text-align:{side}">{cell}</{tag}>' for cell, side in said) + "</tr>"


def _notes(notes: Iterable[str]) -> str:
    """Sentences below, a line each."""
    return "".join(f"<div><small>{html.escape(note)}</small></div>" for note in notes)
