"""clew replicate: run a saved circuit, report or stack of edits again from its record, and say what agrees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from clew.apps.cli._groups import unfolded
from clew.apps.cli._terminal import Flag, Json, Several, say, telling


@unfolded
@dataclass(frozen=True)
class Instead:
    """What stands in for what a record names and cannot be found by that name."""

    model: str = ""
    """A folder or a name to open instead of the model's own name."""
    through: Annotated[tuple[Path, ...], Several] = ()
    """Files or folders of dictionaries; a pack of the model's name is found by itself."""
    evidence: Path | None = None
    """The file of what was asked: a behaviour, facts, secrets, labelled texts, a text."""
    on: Annotated[tuple[Path, ...], Several] = ()
    """Files of the edits that were in force."""
    anyway: Flag = False
    """Go on where the weights are not those of the record."""


def replicate(
    path: Path,
    /,
    *,
    against: Path | None = None,
    instead: Instead = Instead(),
    tolerance: float = 1e-3,
    out: Path | None = None,
    json: Json = False,
) -> None:
    """Run what a file holds again, from the record of how it was made, and say number by number what agrees.

    A number is the same within --tolerance, within the interval that it had, or differs; what cannot be run again is told
    with the reason: weights, dictionaries, evidence or options that are not there or are others now.

    Parameters
    ----------
    path
        A circuit or a report (.json), or a stack of edits (.safetensors).
    against
        Run nothing: compare with this file, which was made again otherwise, as by a recipe.
    tolerance
        How far a number may be from what it was, as a share of it, or of 1 if it is less; of scores, of the largest.
    out
        Save every number here, as JSON.
    """
    from clew.studies.replication.replicate import Given, compared
    from clew.studies.replication.replicate import replicate as run
    from clew.studies.replication.rerun import Rerun

    if against is not None:
        found = [compared(path, against, tolerance=tolerance)]
    else:
        given = Given(instead.model, instead.through, instead.evidence, instead.on, instead.anyway)
        with telling(f"replicating {path}") as tell:
            found = run(path, given=given, tolerance=tolerance, progress=tell)
    made = Rerun.of(path, found)
    if out is not None:
        made.save(out)
    say("\n\n".join(map(str, found)), made.to_json(), json)
