"""clew show: a circuit as a web page that needs nothing else."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from clew.apps.cli._terminal import Flag, Json, say


def show(
    circuit: Path, /, *, report: Path | None = None, out: Path | None = None, open: Flag = False, json: Json = False
) -> None:
    """Write a circuit as one HTML file, which opens anywhere and fetches nothing.

    Parameters
    ----------
    circuit
        What `clew find` saved.
    report
        What `clew verify --out` saved: its curve is drawn beside the graph.
    out
        The page; beside the circuit and of its name by default.
    open
        Open it in the browser.
    """
    from clew.apps.page import page
    from clew.circuit import Circuit
    from clew.files import write_text
    from clew.report import Report

    text = page(Circuit.load(circuit), Report.load(report) if report else None)
    path = write_text(out or circuit.with_suffix(".html"), text)
    say(f"saved as {path}", {"page": str(path), "bytes": len(text.encode())}, json)
    if open:
        webbrowser.open(path.resolve().as_uri())
