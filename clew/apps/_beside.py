"""The report that lies beside a circuit, if it judges that one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clew.circuits.circuit import Circuit
from clew.report import Report


def report_beside(circuit: Circuit, path: Path) -> Report | None:
    """The `report.json` in the folder of a circuit, if what it judges was found as this one was, to the second; else None."""
    beside = path.with_name("report.json")
    if not beside.is_file():
        return None
    report = Report.load(beside)
    judged = [part.get("circuit") for part in report.provenance.get("parts", [report.provenance])]
    return report if _found(circuit.provenance) in [_found(one) for one in judged if one] else None


def _found(record: Mapping[str, Any]) -> dict[str, Any]:
    """How nodes were found: the record without that of their edges."""
    return {name: value for name, value in record.items() if name != "wired"}
