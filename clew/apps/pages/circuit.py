"""A circuit as one HTML file that needs nothing else: no network, no server, no build. It shows, and it judges.

The circuit, the report and the verdicts lie in the file as JSON and the script draws them. Labels, tokens and
provenance are other people's text: the frame escapes them, and the script writes them as text only.
"""

from __future__ import annotations

import html
from typing import Any

from clew.apps import _front
from clew.apps._bundle import bundle
from clew.apps._compared import compared
from clew.apps.pages.frame import document
from clew.circuits.circuit import Circuit
from clew.circuits.verdicts import Verdicts
from clew.report import Report

WITHOUT = """This page draws the circuit with a script; allow scripts for this file to see it. Units can also be judged in a
terminal, by <code>clew judge</code>."""


def page(circuit: Circuit, report: Report | None = None, *, verdicts: Verdicts | None = None) -> str:
    """The circuit, and the curve of `report` beside it, as the text of one HTML file. What it holds, `bundle` says.

    Args: verdicts: let a person decide on the units: keep or drop, and why. What was decided so far is shown, also of
        other units than the circuit's, which stay in the file; a button saves what `Verdicts.load` and `clew judge` read.
    Raises: ValueError where there is no unit to judge, or the verdicts are of other dictionaries than the circuit.
    """
    return _page(bundle(circuit, report, verdicts))


def page_of_two(a: Circuit, b: Circuit, names: tuple[str, str]) -> str:
    """Two circuits in one drawing: what both have, and what each has alone. Raises: as `compared`."""
    return _page(compared(a, b, names))


def _page(data: dict[str, Any]) -> str:
    title = html.escape(data["title"])
    body = f'<div id="page"><h1>{title}</h1></div>\n<noscript><p>{WITHOUT}</p></noscript>'
    return document(data["title"], body, style=_front.built("page.css"), script=_front.built("page.js"), data=data)
