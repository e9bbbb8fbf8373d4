"""Confounded texts: two labels that always go together where one learns, and not where one judges."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool

from clew.data.labels.labelled import Labelled

Group = tuple[str, str]
"""(target class, spurious class)."""


@dataclass(frozen=True)
class Confounded:
    """Which professor is a man? In `train` every one, and every nurse a woman; in `test` half of them.

    >>> from clew.data.labels.bios import bios
    >>> texts = Confounded.of(bios(300), {"nurse": "female", "professor": "male"})
    >>> sorted(set(zip(texts.train.labels["profession"], texts.train.labels["gender"])))
    [('nurse', 'female'), ('professor', 'male')]
    """

    together: Mapping[str, str]
    """The spurious class that goes with each of the two target classes."""
    target: str
    spurious: str
    train: Labelled
    """The ambiguous texts: two of the four groups, equally many of each."""
    balanced: Labelled
    """As many texts as in `train`, a quarter from each group: what only an oracle learns from."""
    test: Labelled
    """Equally many texts of each of the four groups, none of which is in `train` or `balanced`."""

    @classmethod
    def of(
        cls,
        labelled: Labelled,
        together: Mapping[str, str],
        *,
        target: str = "profession",
        spurious: str = "gender",
        learn: float = 0.6,
        judged: Labelled | None = None,
        seed: int = 0,
    ) -> Confounded:
        """Split labelled texts.

        Args:
            together: target class -> spurious class, for two of each; texts of other classes are left out.
            learn: the share of each group to learn from.
            judged: texts to judge on, with the same labellings; by default those not learnt from. Where few sentences
                make up many texts, give texts of other sentences, or a classifier that knows them by heart has no need
                of a shortcut.
        Raises: ValueError for labels that there are not, a group with fewer than 4 texts, or a text on both sides.
        """
        classes, others = tuple(together), tuple(together.values())
        if len(classes) != 2 or len(set(others)) != 2:
            raise ValueError(
                f"together={dict(together)}: name two classes of {target!r}, each with its own {spurious!r}"
            )
        groups, rng = [(c, o) for c in classes for o in others], random.Random(seed)
        cells, least = _cells(labelled, groups, target, spurious, rng)
        first = round(learn * least)
        if not 2 <= first < least + (judged is not None):
            raise ValueError(
                f"learn={learn} of {least} texts a group leaves {first} to learn from and {least - first} to judge on"
            )
        rest = {group: some[first:least] for group, some in cells.items()}
        if judged is not None:
            rest, fewest = _cells(judged, groups, target, spurious, rng)
            rest = {group: some[:fewest] for group, some in rest.items()}
        common = [group for group in groups if together[group[0]] == group[1]]
        train = labelled.pick(sorted(i for group in common for i in cells[group][:first]))
        balanced = labelled.pick(sorted(i for group in cells.values() for i in group[: first // 2]))
        test = (judged or labelled).pick(sorted(i for group in rest.values() for i in group))
        if met := {*train.texts, *balanced.texts} & {*test.texts}:
            raise ValueError(
                f"{len(met)} texts to judge on are also learnt from, such as {min(met, key=str)!r:.60}; give others"
            )
        return cls(together, target, spurious, train, balanced, test)

    @property
    def classes(self) -> tuple[str, str]:
        """The target classes, in the order in which they were named."""
        first, second = self.together
        return first, second

    def goes_with(self, labels: Sequence[str]) -> list[str]:
        """The target class with which each spurious class went together."""
        back = {spurious: target for target, spurious in self.together.items()}
        return [back[label] for label in labels]

    @cached_property
    def truth(self) -> Bool[np.ndarray, "two text"]:
        """Of each text of `test`: is it of the second target class, and of what goes with it?"""
        return np.array(
            [
                [c == self.classes[1] for c in self.test[self.target]],
                [c == self.classes[1] for c in self.goes_with(self.test[self.spurious])],
            ]
        )


def _cells(
    labelled: Labelled, groups: Sequence[Group], target: str, spurious: str, rng: random.Random
) -> tuple[dict[Group, list[int]], int]:
    """The texts of each group in random order, and how many the smallest has."""
    pairs, cells = list(zip(labelled[target], labelled[spurious], strict=True)), {}
    for group in groups:
        cells[group] = [i for i, pair in enumerate(pairs) if pair == group]
        rng.shuffle(cells[group])
        if len(cells[group]) < 4:
            known = "; ".join(f"{of}: {', '.join(labelled.classes(of))}" for of in (target, spurious))
            raise ValueError(
                f"{labelled.name} has {len(cells[group])} texts that are {' and '.join(group)} ({known}); "
                "each of the four groups needs at least 4"
            )
    return cells, min(map(len, cells.values()))
