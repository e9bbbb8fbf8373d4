"""Spurious correlation removal: does ablating the units of a concept free a probe of its bias?

A probe is fitted on texts in which two labellings always go together (every nurse a woman, every professor a man), so it
learns either. Ablating the N units that carry the spurious one should bring its accuracy on balanced texts up to that of
a probe fitted on balanced texts: S = (A_ablated - A_base) / (A_oracle - A_base). Of the two directions (judge the one
concept, ablate the other) the one with the lower A_base is taken. Units are ranked by |mean difference . (probe of the
spurious concept . decoder row)|. The error of the dictionary stays.
Source: SAEBench (Karvonen et al. 2025, arXiv:2503.09532), after SHIFT (Marks et al. 2024, arXiv:2403.19647). Differs:
the biased texts are cut out of `labelled`; balanced accuracy; ablation acts on the pooled code, which equals running
the model with it (the probe reads the site that the dictionary writes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from clew.data.labels.labelled import Labelled
from clew.dictionaries import Dictionary
from clew.measures.dictionaries._probes import (
    Head,
    Seen,
    balanced,
    difference,
    fit,
    is_right,
    origin,
    projections,
    row,
    see,
    some_active,
    top,
    without,
)
from clew.models import Model
from clew.report import Report


def scr(
    model: Model,
    labelled: Labelled,
    dictionary: Dictionary,
    *,
    concepts: tuple[str, str] = ("profession", "gender"),
    classes: tuple[str, str] | None = None,
    ablate: Sequence[int] = (2, 5, 10, 20, 50, 100, 500),
    fraction: float = 0.7,
    skip: int = 1,
    seed: int = 0,
) -> Report:
    """How cleanly the dictionary holds one concept apart from another.

    Args:
        concepts: two labellings, the second of two classes; both are judged, each with the other as the spurious one.
        classes: the two classes of the first; its first two by default.
        ablate: how many units to set to zero.
        fraction: share of the texts to choose units and fit probes on; the numbers are of the rest.
        skip: leave the first tokens out of a text's mean.
        seed: of the split, of the random units and of the intervals.

    Returns: a Report; "base" and "oracle" accuracy of the residual, and for each N "scr N=..." of features and of
        random active units. 1 frees the probe wholly; below 0 made it worse. Intervals over texts.
    Raises: ValueError when a combination of classes is missing, or the bias costs the probe nothing; ImportError
        naming the extra "probes".
    """
    used, truth = _pairs(labelled, concepts, classes)
    seen, (learn, test) = see(model, used, dictionary, skip), used.halves(fraction, seed)
    sides = seen.pick(learn), truth[:, list(learn)], seen.pick(test), truth[:, list(test)]
    trial = min(
        (Confounding.of(*sides, concept=concept, dictionary=dictionary) for concept in (0, 1)),
        key=lambda trial: trial.base,
    )
    if trial.oracle - trial.base < 0.02:
        raise ValueError(
            f"the probe of biased texts is right on {trial.base:.3f} of the balanced ones and the oracle on "
            f"{trial.oracle:.3f}, so there is no bias to remove; try another site or other concepts"
        )
    n_texts, generator = len(test), torch.Generator().manual_seed(seed)
    rows = [
        row(name, lambda i, r=r: float(balanced(r, trial.truth, i)), n_texts, of="residual", seed=seed)
        for name, r in (("base", trial.base_right), ("oracle", trial.oracle_right))
    ]
    for n in ablate:
        for of, units in (("features", trial.ranked[:n]), ("random", some_active(sides[0].code, n, generator))):
            after = is_right(trial.biased, without(trial.seen, dictionary, units), trial.truth)
            rows.append(row(f"scr N={n}", lambda i, a=after: trial.score(a, i), n_texts, of=of, seed=seed))
    kept, removed = concepts[trial.concept], concepts[1 - trial.concept]
    notes = (
        f"judged on {kept}, units of {removed} ablated to zero, error kept; {n_texts} texts, intervals over texts",
    )
    about = origin(
        model,
        labelled,
        dictionary,
        concepts=list(concepts),
        classes=None if classes is None else list(classes),
        ablate=list(ablate),
        fraction=fraction,
        skip=skip,
        seed=seed,
    )
    return Report(f"spurious correlation removal at {dictionary.writes} of {model.name}", tuple(rows), notes, about)


def _pairs(
    labelled: Labelled, concepts: tuple[str, str], classes: tuple[str, str] | None
) -> tuple[Labelled, np.ndarray]:
    """The texts of the two classes of each concept, equally many of all four combinations, and [concept, text] truth."""
    first, second = labelled[concepts[0]], labelled[concepts[1]]
    chosen, other = (classes or labelled.classes(concepts[0])[:2]), labelled.classes(concepts[1])
    if len(chosen) != 2 or len(other) != 2:
        raise ValueError(
            f"{concepts[0]!r} has the classes {chosen} and {concepts[1]!r} has {other}; SCR takes two of each"
        )
    cells = {
        (a, b): [i for i, both in enumerate(zip(first, second, strict=True)) if both == (a, b)]
        for a in chosen
        for b in other
    }
    least = min(map(len, cells.values()))
    if least < 4:
        few = next(cell for cell, texts in cells.items() if len(texts) == least)
        raise ValueError(
            f"only {least} texts of {labelled.name} are {few[0]} and {few[1]}; SCR needs all four combinations"
        )
    used = labelled.pick(sorted(i for texts in cells.values() for i in texts[:least]))
    return used, np.stack([np.array(used[concepts[0]]) == chosen[0], np.array(used[concepts[1]]) == other[0]])


@dataclass(frozen=True, eq=False)
class Confounding:
    """A probe with a bias, the units that should carry the bias, and the texts to judge on."""

    concept: int
    """What is judged; the other one is spurious."""
    biased: Head
    ranked: list[int]
    """Units of the spurious concept, the strongest first."""
    seen: Seen
    truth: np.ndarray
    base_right: np.ndarray
    oracle_right: np.ndarray

    @classmethod
    def of(
        cls, learn: Seen, truth: np.ndarray, test: Seen, judged: np.ndarray, *, concept: int, dictionary: Dictionary
    ) -> Confounding:
        """Args: truth, judged: [concept, example]."""
        together = np.flatnonzero(truth[0] == truth[1]).tolist()
        biased = fit(learn.x[together], truth[concept, together])
        oracle, spurious = fit(learn.x, truth[concept]), fit(learn.x, truth[1 - concept])
        effect = difference(learn.code, truth[1 - concept]) * projections(dictionary, spurious[0])
        return cls(
            concept,
            biased,
            top(effect.abs(), len(effect)),
            test,
            judged[concept],
            is_right(biased, test.x, judged[concept]),
            is_right(oracle, test.x, judged[concept]),
        )

    @property
    def base(self) -> float:
        return float(balanced(self.base_right, self.truth, np.arange(len(self.truth))))

    @property
    def oracle(self) -> float:
        return float(balanced(self.oracle_right, self.truth, np.arange(len(self.truth))))

    def score(self, after: np.ndarray, index: np.ndarray) -> float:
        """(A_ablated - A_base) / (A_oracle - A_base) over some examples."""
        ablated, base, oracle = (balanced(r, self.truth, index) for r in (after, self.base_right, self.oracle_right))
        return float((ablated - base) / (oracle - base))
