"""What a job will take, from what small parts of it took.

Most work is a start, which every run pays, and an equal share for each item. The difference of two parts is what the items
between them have cost, and so it goes on. A third part tells how straight that is: the line of the last two is taken, and the
one before says how far off it may be. Seconds on the clock also hold what else the machine did just then, so they are taken
along with the seconds of processors, by how the two stand to each other from the smallest part to the largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

FLAT = 0.015
"""Growth of memory from part to part below this share is taken for noise: it no longer grows."""

BUSY = 0.2
"""From this share of the time on, work is taken to be held up by processors."""


@dataclass(frozen=True)
class Trial:
    """What a part of a job took."""

    items: int
    seconds: float
    cpu: float
    """Seconds of processors, all of them together."""
    memory: int
    """Bytes, at most, of its largest process."""
    disk: int
    """Bytes that it wrote."""
    gpu: int = 0
    """Bytes of GPU memory, at most; 0 where none was used."""
    peak: tuple[str, int] | None = None
    """The work, and its how manieth step, by which it first held that much memory; None where it did after all steps."""


@dataclass(frozen=True)
class Amount:
    """A number foretold, and the least and most that the parts speak for."""

    value: float
    low: float
    high: float

    def off(self, took: int | float) -> float:
        """What it took over what was foretold, less one."""
        return took / self.value - 1 if self.value else float(took > 0)


@dataclass(frozen=True)
class Forecast:
    """What a job will take."""

    items: int
    seconds: Amount
    cpu: Amount
    memory: Amount
    disk: Amount
    gpu: Amount

    @classmethod
    def of(cls, trials: Sequence[Trial], items: int, held: int | None = None) -> Forecast:
        """From parts of growing size.

        Args: held: the memory of the whole in its first seconds, where that is known. Most work goes batch by batch, and a
            part may be smaller than a batch, so this tells more than a line through the parts, which then is the most.
        Raises: ValueError for no part, or sizes that do not grow.

        >>> Forecast.of([Trial(10, 6.0, 5.0, 2**30, 100), Trial(20, 7.0, 6.0, 2**30, 200)], 100).seconds.value
        15.0
        """
        if not trials or any(two.items <= one.items for one, two in pairwise(trials)):
            raise ValueError("a forecast needs trials of growing size, one at least")
        sizes, memory = [one.items for one in trials], [one.memory for one in trials]
        if memory[-1] - memory[max(0, len(trials) - 2)] < FLAT * memory[-1]:
            memory = [max(memory)] * len(trials)

        def line(values: Sequence[int] | Sequence[float]) -> Amount:
            return _line([(n, float(value)) for n, value in zip(sizes, values, strict=True)], items)

        cpu = line([one.cpu for one in trials])
        return cls(
            items,
            _clocked(trials, cpu) or line([one.seconds for one in trials]),
            cpu,
            line(memory) if held is None else _held(max(held, *memory), line(memory)),
            line([one.disk for one in trials]),
            line([one.gpu for one in trials]),
        )

    @property
    def settled(self) -> bool:
        """Whether what the parts say of the time lies within a fifth."""
        return self.seconds.high - self.seconds.low <= 0.2 * self.seconds.value


def _clocked(trials: Sequence[Trial], cpu: Amount) -> Amount | None:
    """Time on the clock where processors are busy for a fifth of it or more; None for work that mostly waits."""
    first, last = trials[0], trials[-1]
    apart = len(trials) > 1 and last.seconds > first.seconds
    seconds = last.seconds - first.seconds if apart else last.seconds
    busy = last.cpu - first.cpu if apart else last.cpu
    if busy < BUSY * seconds:
        return None
    value, low, high = (last.seconds + (x - last.cpu) * seconds / busy for x in (cpu.value, cpu.low, cpu.high))
    return Amount(value, low, high)


def _held(memory: int, line: Amount) -> Amount:
    return Amount(float(memory), float(memory), max(float(memory), line.high))


def _line(points: Sequence[tuple[int, float]], items: int) -> Amount:
    """Along the last two points; one alone grows with the items, or not at all."""
    last, value = points[-1]
    if items <= last:
        return Amount(value, value, value)
    if len(points) == 1:
        return Amount(most := value * items / last, value, most)
    slopes = [max(0.0, (b - a) / (n - m)) for (m, a), (n, b) in pairwise(points)][-2:]
    guesses = [value + slope * (items - last) for slope in slopes]
    return Amount(guesses[-1], min(guesses), max(guesses))
