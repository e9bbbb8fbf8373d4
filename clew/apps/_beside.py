"""The reports that lie beside a circuit, as far as they judge that one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clew.circuits.circuit import Circuit
from clew.report import Report


def report_beside(circuit: Circuit, path: Path) -> Report | None:
    """The `report.json` in the folder of a circuit, if what it judges was found as this one was, to the second; else None."""
    return first_of(circuit, [path.with_name("report.json")])


def first_of(circuit: Circuit, paths: Iterable[Path]) -> Report | None:
    """The first of some reports that judges a circuit. Raises: ValueError for a file before it that is no report."""
    for path in paths:
        report = Report.load(path) if path.is_file() else None
        judged = [part.get("circuit") for part in report.provenance.get("parts", [report.provenance])] if report else []
        if _found(circuit.provenance) in [_found(one) for one in judged if one]:
            return report
    return None


def _found(record: Mapping[str, Any]) -> dict[str, Any]:
    """How nodes were found: the record without that of their edges, and without how many of them a report was on."""
    return {name: value for name, value in record.items() if name not in ("wired", "kept")}
