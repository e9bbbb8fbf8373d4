"""A circuit as one HTML file that needs nothing else: no network, no server, no build. It shows, and it judges.

The circuit, the report and the verdicts lie in the file as JSON and the scripts draw them. Labels, tokens and
provenance are other people's text: the frame escapes them, and the scripts write them as text only.
"""

from __future__ import annotations

from clew.apps._bundle import bundle
from clew.apps.pages.frame import framed, part
from clew.circuits.circuit import Circuit
from clew.circuits.verdicts import Verdicts
from clew.report import Report


def page(circuit: Circuit, report: Report | None = None, *, verdicts: Verdicts | None = None) -> str:
    """The circuit, and the curve of `report` beside it, as the text of one HTML file.

    Args: verdicts: let a person decide on the units: keep or drop, and why. What was decided so far is shown, also of
        other units than the circuit's, which stay in the file; a button saves what `Verdicts.load` and `clew judge` read.
    Raises: ValueError where there is no unit to judge, or the verdicts are of other dictionaries than the circuit.
    """
    data = bundle(circuit, report, verdicts)
    parts = {"judging": part("judging.html") if verdicts is not None else ""}
    return framed("circuit", data["title"], parts, data, scripts=("cards", "judging", "circuit"))
