"""What somebody who was asked, or a rule, says of windows of text; and explanations in words, which are to be asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from clew.report import Row
from clew.statistics.resampling import Weights, bounds

UNKNOWN = 0.5
"""What stands for an answer in which nothing could be read: neither yes nor no."""
Texts = Sequence[str]
Strengths = list[Float[np.ndarray, " _"]]


@dataclass(frozen=True, eq=False)
class Said:
    """Of each window, whether the unit fires there, or on what is marked there."""

    score: Float[np.ndarray, " window"]
    """The larger, the likelier."""
    fires: Float[np.ndarray, " window"]
    """1 for yes, 0 for no, UNKNOWN where nothing was said."""
    read: Bool[np.ndarray, " window"] | None = None
    """Where somebody was asked: in which answers something could be read."""

    def __getitem__(self, some: Int[np.ndarray, " some"] | slice) -> Said:
        return Said(self.score[some], self.fires[some], None if self.read is None else self.read[some])

    def unread(self, measure: str, weights: Weights) -> tuple[Row, ...]:
        """The share of answers in which nothing could be read; no row where nobody was asked."""
        if self.read is None:
            return ()
        with np.errstate(invalid="ignore", divide="ignore"):
            share = weights @ ~self.read / weights.sum(1)
        return (Row(measure, *bounds(share), of="answers", examples=len(self.read)),)


@runtime_checkable
class InWords(Protocol):
    """An explanation that takes somebody who reads it."""

    def fires_in(self, texts: Texts) -> Said:
        """Whether the unit fires in each."""
        ...

    def fires_on(self, texts: Texts) -> Said:
        """Whether it fires on what is marked in each."""
        ...

    def strengths(self, texts: Sequence[Sequence[str]]) -> tuple[Strengths, Bool[np.ndarray, " text"]]:
        """Of each token of each text how strongly it fires, and which answers could be read."""
        ...
