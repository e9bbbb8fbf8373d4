"""Absorption: on which words is a unit for "starts with s" silent because a unit for the word has taken its part?

A probe on the site finds the direction w of a letter; a k-sparse probe on the codes finds the letter's main units. On
held-out words of the letter that the probe gets right, units are weighed by what they add along w: code . (w . decoder
row). Source: Chanin et al. 2024 (arXiv:2409.14507) for full absorption, SAEBench (Karvonen et al. 2025,
arXiv:2503.09532) for the fraction, with its thresholds. Differs: units of the k-sparse probe are ranked by the difference
of their means instead of by an L1 probe; words and examples are our own choice from the tokenizer's vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.data.labels.labelled import Labelled
from clew.dictionaries import Dictionary
from clew.measures.dictionaries._probes import balanced, difference, fit, is_right, origin, projections, row, see, top
from clew.models import Model
from clew.report import Report, Row

SILENT = 1e-8
"""Main units below this are off."""
COSINE_FULL, COSINE_PART = 0.025, 0.1
"""How far a unit must point along w to absorb wholly, or in part."""
SHARE = 0.4
"""Share of x . w that absorbing units must carry."""
ABSORBERS = 3
"""Units that may share in absorbing a word."""
GAIN, MOST = 0.03, 10
"""A further main unit must raise F1 by this much; no more than so many."""


def absorption(
    model: Model,
    labelled: Labelled,
    dictionary: Dictionary,
    *,
    labelling: str = "letter",
    fraction: float = 0.6,
    skip: int = 1,
    seed: int = 0,
) -> Report:
    """How often, and how far, the units of a class are replaced by units of single words.

    Args:
        labelled: words labelled at their token, as `clew.data.labels.first_letters` makes them.
        labelling: its classes are the letters.
        fraction: share of the words to choose units and fit probes on; the numbers are of the rest.
        skip: leave the first tokens out of a text's mean, where a text is labelled as a whole.
        seed: of the split and of the intervals.

    Returns: a Report; "full absorption" (share of words) and "absorption fraction" (mean over words), first of the
        mean over letters, with intervals over letters, then of each letter, over its words; "main units F1" and
        "probe" (balanced accuracy), means over letters. Letters with fewer than two words on a side, or none that the probe
        gets right, are left out and named. Low absorption means little where the F1 of the main units is low.
    Raises: ValueError when no letter is left; ImportError naming the extra "probes".
    """
    tasks = list(labelled.tasks(labelling))
    used = labelled.pick(tasks[0].index)
    seen, (learn, judge) = see(model, used, dictionary, skip), used.halves(fraction, seed)
    chosen_on, judged_on, length = seen.pick(learn), seen.pick(judge), row_norms(dictionary)
    per_letter, left_out = {}, []
    for task in tasks:
        truth, held = task.positive[list(learn)], task.positive[list(judge)]
        if truth.sum() < 2 or held.sum() < 2:
            left_out.append(task.name)
            continue
        probe = fit(chosen_on.x, truth)
        right = is_right(probe, judged_on.x, held)
        words = np.flatnonzero(right & held).tolist()
        if not words:
            left_out.append(task.name)
            continue
        w = probe[0] / probe[0].norm()
        main, toward = main_units(chosen_on.code, truth), projections(dictionary, w)
        cosine = torch.where(length > 0, toward / length, torch.zeros_like(toward))
        whole, part = absorbed(judged_on.code[words], judged_on.x[words] @ w, toward, cosine, main)
        score = f1(is_right(fit(chosen_on.code[:, main], truth), judged_on.code[:, main], held), held)
        accuracy = float(balanced(right, held, np.arange(len(held))))
        per_letter[task.name] = (whole.numpy().astype(float), part.double().numpy(), score, accuracy)
    if not per_letter:
        raise ValueError(
            f"no class of {labelling!r} has two words on each side of which the probe gets one right; "
            "give more words per letter"
        )
    notes = [f"{len(judge)} held-out words; means over {len(per_letter)} letters, intervals over letters"]
    notes += [f"left out, with too few words: {', '.join(left_out)}"] if left_out else []
    about = origin(model, labelled, dictionary, labelling=labelling, fraction=fraction, skip=skip, seed=seed)
    title = f"absorption at {dictionary.writes} of {model.name}"
    return Report(title, tuple(_rows(list(per_letter.items()), seed)), tuple(notes), about)


def _rows(per_letter: Sequence[tuple[str, tuple[np.ndarray, np.ndarray, float, float]]], seed: int) -> list[Row]:
    names = ("full absorption", "absorption fraction", "main units F1", "probe")
    means = [np.array([np.mean(numbers[which]) for _, numbers in per_letter]) for which in range(4)]
    rows = [
        row(name, lambda i, m=m: float(m[i].mean()), len(m), of="mean over letters", seed=seed)
        for name, m in zip(names, means, strict=True)
    ]
    for letter, numbers in per_letter:
        for name, words in zip(names[:2], numbers[:2], strict=True):
            rows.append(row(name, lambda i, v=words: float(v[i].mean()), len(words), of=letter, seed=seed))
    return rows


def absorbed(
    code: Float[Tensor, "word unit"],
    along: Float[Tensor, " word"],
    toward: Float[Tensor, " unit"],
    cosine: Float[Tensor, " unit"],
    main: Sequence[int],
) -> tuple[Bool[Tensor, " word"], Float[Tensor, " word"]]:
    """(fully absorbed, absorbed fraction) of each word.

    Args:
        along: x . w, with w the probe's direction at length 1.
        toward: decoder rows . w. cosine: the same of rows at length 1.
        main: the units of the letter.

    A word is fully absorbed where all main units are silent and the unit that adds most along w has a cosine of at
    least 0.025 and a share of x . w of at least 0.4. The fraction is A / (A + M), with M what the main units add, and A what
    up to three others of cosine 0.1 or more add, at most x . w - M; 0 where M reaches x . w or those others carry less than
    0.4 of it, 1 where M is not positive.
    """
    adds, others = code * toward, torch.ones(code.shape[1], dtype=torch.bool)
    others[list(main)] = False
    silent = (code[:, ~others].abs() < SILENT).all(-1)
    best, which = adds.max(-1)
    whole = silent & (along > 0) & (cosine[which] >= COSINE_FULL) & (best >= SHARE * along)
    mains = adds[:, ~others].sum(-1)
    able = adds.clamp(min=0) * (others & (cosine >= COSINE_PART))
    able = able.topk(min(ABSORBERS, able.shape[1])).values.sum(-1)
    taken = torch.minimum(able, along - mains)
    part = torch.where(mains <= 0, torch.ones_like(taken), taken / (taken + mains))
    none = (along <= 0) | (mains >= along) | (able < SHARE * along)
    return whole, torch.where(none, torch.zeros_like(part), part)


def main_units(code: Float[Tensor, "word unit"], positive: np.ndarray) -> list[int]:
    """The units of the k-sparse probe, k growing while a further unit raises its F1 by more than 0.03."""
    ranked = top(difference(code, positive).abs(), MOST)
    best, k = -1.0, 0
    while k < len(ranked):
        units = ranked[: k + 1]
        score = f1(is_right(fit(code[:, units], positive), code[:, units], positive), positive)
        if k and score - best <= GAIN:
            break
        best, k = score, k + 1
    return ranked[:k]


def f1(right: np.ndarray, positive: np.ndarray) -> float:
    """F1 of the yes answers, from which answers are right."""
    hits, wrong = (right & positive).sum(), (~right).sum()
    return float(2 * hits / max(1, 2 * hits + wrong))


def row_norms(dictionary: Dictionary) -> Float[Tensor, " unit"]:
    """The length of each decoder row."""
    there = next((b for b in dictionary.buffers() if b.is_floating_point()), torch.zeros(()))
    n, norms = dictionary.n_units, []
    for start in range(0, n, step := max(1, 2**24 // n)):
        one = torch.zeros(min(step, n - start), n).to(there)
        one[torch.arange(len(one)), torch.arange(start, start + len(one))] = 1
        norms.append(dictionary.write(one).norm(dim=-1))
    return torch.cat(norms).float().cpu()
