"""What a measure gives when it is interrupted: what it had measured by then."""

from __future__ import annotations

from dataclasses import replace

from clew.progress import Stopped
from clew.report import Report


def or_stopped(report: Report, stop: KeyboardInterrupt | None, done: str) -> Report:
    """The report, or the interrupt that came before it was whole, which then holds it.

    Args: done: how far it had come by then, as in "34 of 100 draws".
    Raises: Stopped.
    """
    if stop is None:
        return report
    said = f"stopped after {done}"
    whole = replace(report, notes=(*report.notes, said))
    raise Stopped(f"{said}; what was measured is in `.result` of this exception", whole) from stop
