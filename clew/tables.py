"""Rows of plain values as a table for people: HTML for a notebook, a frame for pandas."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Any:
    """A pandas DataFrame of rows. Raises: ImportError naming the extra where pandas is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("a frame needs pandas: pip install 'clew[frames]'") from error
    return pandas.DataFrame([dict(row) for row in rows], columns=list(columns))


def as_html(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = ()) -> str:
    """A table for a notebook: everything that is given stands in it as text."""
    said = html.escape
    top = "".join(f"<th>{said(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{said(cell)}</td>' for cell in row)}</tr>" for row in rows)
    below = "".join(f"<div><small>{said(note)}</small></div>" for note in notes)
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>" if head else ""
    return f"<div><b>{said(title)}</b>{table}{below}</div>"
