"""clew show: a circuit as a web page that needs nothing else; a file of edits in words."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clew.apps.cli._terminal import Flag, Json, say


def show(
    circuit: Path | None = None,
    /,
    *,
    edit: Path | None = None,
    report: Path | None = None,
    out: Path | None = None,
    open: Flag = False,
    json: Json = False,
) -> None:
    """Write a circuit as one HTML file, which opens anywhere and fetches nothing; or say what is in a file of edits.

    Parameters
    ----------
    circuit
        What `clew find` saved.
    edit
        What `clew edit` saved, or a vector file of another tool: sites, norms, estimator, where it comes from.
    report
        What `clew verify --out` saved: its curve is drawn beside the graph.
    out
        The page; beside the circuit and of its name by default.
    open
        Open it in the browser.
    """
    if (circuit is None) == (edit is None):
        raise ValueError("give a circuit, or a file of edits as --edit FILE; one of the two")
    if circuit is None:
        _say_edit(edit, json)
        return
    from clew.apps.pages.circuit import page
    from clew.circuits.circuit import Circuit
    from clew.files import write_text
    from clew.report import Report

    text = page(Circuit.load(circuit), Report.load(report) if report else None)
    path = write_text(out or circuit.with_suffix(".html"), text)
    say(f"saved as {path}", {"page": str(path), "bytes": len(text.encode())}, json)
    if open:
        webbrowser.open(path.resolve().as_uri())


def _say_edit(path: Any, json: bool) -> None:
    from clew.stack import Stack

    stack = Stack.load(path)
    value = {"name": stack.name, "edits": [str(edit) for edit in stack], "about": dict(stack.about)}
    parts = stack.provenance.get("parts", [stack.provenance])
    lines = [str(stack), *(line for part in parts for line in _origin(part))]
    say("\n".join(lines), {**value, "provenance": dict(stack.provenance)}, json)


def _origin(record: Mapping[str, Any]) -> list[str]:
    """Where edits come from, a line each; nothing where the file does not say."""
    view = record.get("dictionaries") or {}
    seen = view if len(view) <= 4 else f"{len(view)} dictionaries, {min(view)} and others"
    said = {
        "made by": _named(record, "method", "options"),
        "for": _named(record, "model", "weights"),
        "from": _named(record, "evidence", "evidence_hash")
        or _named(record, "behaviour", "prompts")
        or _named(record, "labelled", "texts"),
        "seen through": seen,
        "upon": record.get("edits"),
        "versions": record.get("versions"),
    }
    return [f"  {what}: {_flat(value)}" for what, value in said.items() if value]


def _named(record: Mapping[str, Any], name: str, more: str) -> str:
    return f"{record[name]} ({_flat(record.get(more))})" if name in record else ""


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={held}" for key, held in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
