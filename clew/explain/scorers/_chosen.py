"""Which windows are shown to a scorer: those where a unit fires, over all strengths, and others where it does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from clew.readings.unseen import Unseen


@dataclass(frozen=True, eq=False)
class Chosen:
    """Windows by number."""

    fires: Int[np.ndarray, " firing"]
    random: Int[np.ndarray, " silent"]
    """Drawn of all in which the unit is silent."""
    hard: Int[np.ndarray, " alike"]
    """Of those that look like its own."""

    @property
    def every(self) -> Int[np.ndarray, " window"]:
        """All of them: those where the unit fires first, then random ones, then hard ones."""
        return np.concatenate([self.fires, self.random, self.hard])


def chosen(unseen: Unseen, address: str, values: Float[np.ndarray, " token"], n: int, seed: int) -> Chosen:
    """At most n windows where the unit fires, evenly over their strengths, and half as many of either kind where not."""
    most, random = unseen.most(values), np.random.default_rng(seed)
    fires, silent = np.flatnonzero(most > 0), np.flatnonzero(most == 0)
    by_strength = fires[np.argsort(-most[fires], kind="stable")]
    some = (
        by_strength[np.unique(np.linspace(0, len(fires) - 1, min(n, len(fires))).astype(int))] if len(fires) else fires
    )
    alike = silent[unseen.hard(address, values)[silent]]
    hard = random.permutation(alike)[: n // 2]
    return Chosen(some, random.permutation(np.setdiff1d(silent, hard))[: n // 2], hard)
