"""From what is asked about units to explanations in words: one round of questions, whose answers are read alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clew.data.predicates.predicate import unit_of
from clew.data.predicates.table import Table
from clew.evidence import Message
from clew.explain._sides import sides_of
from clew.explain.explainers._examples import Example, firing_windows, known_of
from clew.firings import Firings
from clew.progress import Tell
from clew.readings.asking.answer import Question
from clew.readings.asking.asks import Asks
from clew.readings.asking.prose import Prose
from clew.readings.asking.reading import last_line

Pose = Callable[[str, Sequence[Example]], tuple[Message, ...]]
"""The messages about a unit, of its address and of windows in which it fires."""


def written(
    firings: Firings,
    units: Sequence[str],
    table: Table | None,
    asks: Asks,
    pose: Pose,
    *,
    mark: str,
    examples: int,
    spread: bool,
    sides: bool,
    progress: Tell | None,
) -> dict[str, tuple[Prose, ...]]:
    """An explanation of each side of each unit, from the line of an answer that begins with the mark.

    Args: spread: whether the examples are of all strengths, or the strongest.
    """
    known, posed = known_of(Table.of(firings) if table is None else table), list[tuple[str, int, Question | None]]()
    for address in units:
        row = firings.whole(*unit_of(address))
        for side in sides_of(row, both=sides):
            shown = firing_windows(known, row, side, examples, spread=spread)
            usual = f"{mark} what {address} fires on, in a few words"
            posed += [(address, side, Question(pose(address, shown), usual=usual) if shown else None)]
    answers = iter(asks.ask([question for *_, question in posed if question is not None]))
    found = {address: list[Prose]() for address in units}
    for address, side, question in posed:
        said = None if question is None else last_line(next(answers), mark)
        asks.unread(int(question is not None and said is None))
        found[address].append(Prose(said or "", side, asks=asks))
    if progress:
        progress(len(units), len(units))
    return {address: tuple(made) for address, made in found.items()}
