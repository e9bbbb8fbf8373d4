"""Steering that holds back: a vector at the sites whose own probe tells wanted from unwanted, and only when it says so."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from clew.data.probes import Probe, ProbeKind, fit
from clew.edits._directions import At, Evidence, Texts
from clew.models import Model
from clew.sites import ANSWER, Add, Gate, Site, Where
from clew.stack import Stack


def probe_gated(
    model: Model,
    evidence: Evidence,
    *,
    sites: Sequence[Site | str] | None = None,
    k: int = 5,
    threshold: float = 0.65,
    dynamic: bool = True,
    scale: float = 5.0,
    probe: ProbeKind = "logistic",
    at: At = None,
    where: Where = ANSWER,
    labelling: str | None = None,
    positive: str | None = None,
) -> Stack:
    """Add the mean difference at the k best sites, each opened by a probe that says "unwanted" there now.

    Args:
        evidence: as for `mean_difference`; for hallucinations, prompts that the model answers right are wanted, and
            prompts to which it knows the answer and still says another are not.
        sites: among which to choose; by default what the attention of every layer adds (`attn`).
        k: how many sites at most, those whose probe is best on texts it was not fitted on.
        threshold: the balanced accuracy that a probe must exceed to steer; at 1 none does.
        dynamic: each edit is open only where its own probe says "unwanted"; False for always, whatever the threshold.
        scale: how many times the mean difference is added.
        probe: as for `clew.data.probes.fit`.
        at, labelling, positive: as for `mean_difference`.
        where: the positions at which gates are asked; by default those from which the answer is written, the last token of
            the prompt and all that follow.

    Returns: a Stack of one Add for each site that is good enough, with its Gate; `about` holds each one's `accuracy` and
        those of the sites left out. Empty, with a warning, if no probe is good enough: then nothing is changed.
    Raises: ValueError as for `mean_difference`; ImportError naming the extra "probes".

    Source: Simhi et al. 2024 (arXiv:2404.09971), static and dynamic intervention; scale 5 and threshold 0.65 are
    theirs. Differs: logistic regression instead of a support vector machine, on states as they are instead of on states
    of norm 1, for the gate reads what flows; accuracy in five folds; whole sites, not single heads.

    ```python
    land = ["France", "Italy", "Spain", "Japan", "Egypt", "Peru"]
    asked = [[f"{manner}. The capital of {x} is" for x in land] for manner in ("I am certain", "I am only guessing")]
    stack = clew.edit(clew.open("smollm2-135m"), tuple(asked), by="probe_gated", k=3)
    ```
    """
    if k < 1:
        raise ValueError(f"k={k}: give the number of sites at which to steer, at least 1")
    texts = Texts.of(evidence, labelling, positive)
    found = texts.read(model, model.sites("attn") if sites is None else sites, at)
    accuracy = {site: sides.accuracy(probe) or 0.0 for site, sides in found.items()}
    best = sorted(accuracy, key=lambda site: -accuracy[site])[:k]
    chosen = sorted(site for site in best if not dynamic or accuracy[site] > threshold)
    edits = []
    for site in chosen:
        x, wanted = found[site].examples()
        gate = _opened_by(fit(x, ~wanted, by=probe)) if dynamic else None
        edits.append(Add(site, vector=found[site].gap, scale=scale, where=where, gate=gate))
    if not edits:
        warnings.warn(f"no probe exceeds {threshold}; the best, at {best[0]}, has {accuracy[best[0]]:.3f}, so nothing is "
                      "steered", stacklevel=2)  # fmt: skip
    about = {
        "estimator": "mean difference", "norm": "natural", **texts.about, "threshold": threshold if dynamic else None,
        "sites": {str(s): {"size": float(found[s].gap.norm()), "accuracy": accuracy[s]} for s in chosen},
        "left_out": {str(s): a for s, a in accuracy.items() if s not in chosen},
    }  # fmt: skip
    return Stack(tuple(edits), "probe gated" if dynamic else "mean difference at the best probes", about)


def _opened_by(probe: Probe) -> Gate:
    return Gate(direction=probe.weight, bias=probe.bias)
