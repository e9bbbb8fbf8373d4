"""Steering that holds back: a vector at the sites or heads whose own probe tells wanted from unwanted, when it says so."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from torch.nn.functional import pad

from clew.changes import Add, Gate, Steer
from clew.edits.steering._directions import At, Sides, Steered, read, two_sides
from clew.models import Model
from clew.probing import EVERY_TOKEN, Probe
from clew.readings.probe import ProbeKind, fit
from clew.sites import ANSWER, Site
from clew.stack import Stack

Part = tuple[Site, int | None]
"""Where a probe reads and a vector is added: a head of a site, or all of it."""


def probe_gated(
    model: Model,
    evidence: Steered,
    *,
    sites: Sequence[Site | str] | None = None,
    heads: bool = False,
    k: int | None = None,
    threshold: float = 0.65,
    dynamic: bool = True,
    steer: Steer = Steer(scale=5.0),
    probe: ProbeKind = "logistic",
    at: At = None,
    labelling: str | None = None,
    positive: str | None = None,
) -> Stack:
    """Add the mean difference at the k best sites, or heads, each opened by a probe that says "unwanted" there now.

    Args:
        evidence: as for `mean_difference`; for hallucinations, prompts that the model answers right are wanted, and
            prompts to which it knows the answer and still says another are not.
        sites: among which to choose; by default what the attention of every layer adds (`attn`), for heads every `head`.
        heads: choose among single heads, by their mixes of values before the output projection. Each has a vector, a
            probe and a gate of its own, and none reads or moves the slots of another; several gates of one layer are all
            asked before any of its heads is moved.
        k: how many sites or heads at most, those whose probe is best on texts it was not fitted on; by default 5 sites
            or 30 heads. The best of many are judged too well: see on other texts what they do.
        threshold: the balanced accuracy that a probe must exceed to steer; at 1 none does.
        dynamic: each edit is open only where its own probe says "unwanted"; False for always, whatever the threshold.
        steer: how the mean difference is added (`clew.Steer`), five times by default. Its `where` is the positions at which
            gates are asked; by default those from which the answer is written, the last token of the prompt and all that
            follow.
        probe: how probes are fitted: "logistic" (a regression), "lda" (by the classes' covariance) or "mean_difference".
        at, labelling, positive: as for `mean_difference`.

    Returns: a Stack of one Add for each site or head that is good enough, with its Gate; `about` holds each one's
        `accuracy` and `size`, and the accuracies of those left out, by name: "attn.12", or "head.12[3]", counted from 0.
        Empty, with a warning, if no probe is good enough: then nothing is changed.
    Raises: ValueError as for `mean_difference`, for heads of another site than `head`, or a k below 1; ImportError
        naming the extra "probes".

    Source: Simhi et al. 2024 (arXiv:2404.09971), static and dynamic intervention; scale 5, threshold 0.65, five sites and
    a few tens of heads are theirs. Differs: logistic regression instead of a support vector machine; accuracy in five
    folds; probes of states as they are, where theirs are of states divided by their norm: such a probe is w·x + b|x| > 0,
    and a gate, which reads what flows, has no |x|.

    ```python
    land = ["France", "Italy", "Spain", "Japan", "Egypt", "Peru"]
    asked = [[f"{manner}. The capital of {x} is" for x in land] for manner in ("I am certain", "I am only guessing")]
    stack = clew.edit(clew.open("smollm2-135m"), tuple(asked), by="probe_gated", heads=True, k=3)
    ```
    """
    k = (30 if heads else 5) if k is None else k
    if k < 1:
        raise ValueError(f"k={k}: give the number of sites or heads at which to steer, at least 1")
    texts = two_sides(evidence, labelling, positive)
    among = [model.body.site(s) for s in sites] if sites is not None else model.sites("head" if heads else "attn")
    if heads and (others := [str(site) for site in among if site.part != "head"]):
        raise ValueError(
            f"{others[0]} has no heads to choose among; with heads=True give sites such as 'head.3', or none"
        )
    parts = _parts(read(texts, model, among, at), model.body.n_heads if heads else None)
    accuracy = {part: sides.accuracy(probe) or 0.0 for part, sides in parts.items()}
    best = sorted(accuracy, key=lambda part: -accuracy[part])[:k]
    chosen = sorted(part for part in best if not dynamic or accuracy[part] > threshold)
    edits = [_steered(model, part, parts[part], probe if dynamic else None, steer) for part in chosen]
    if not edits:
        warnings.warn(
            f"no probe exceeds {threshold}; the best, at {_named(best[0])}, has {accuracy[best[0]]:.3f}, so "
            "nothing is steered",
            stacklevel=2,
        )
    about = {
        "estimator": "mean difference",
        "norm": steer.norm,
        **texts.about,
        "threshold": threshold if dynamic else None,
        "sites": {_named(p): {"size": float(parts[p].gap.norm()), "accuracy": accuracy[p]} for p in chosen},
        "left_out": {_named(p): a for p, a in accuracy.items() if p not in chosen},
    }
    return Stack(tuple(edits), "probe gated" if dynamic else "mean difference at the best probes", about)


def _parts(found: dict[Site, Sides], heads: int | None) -> dict[Part, Sides]:
    """What each site, or each of its heads, holds of both sides."""
    if heads is None:
        return {(site, None): sides for site, sides in found.items()}
    return {(site, head): part for site, sides in found.items() for head, part in enumerate(sides.split(heads))}


def _named(part: Part) -> str:
    site, head = part
    return str(site) if head is None else f"{site}[{head}]"


def _steered(model: Model, part: Part, sides: Sides, probe: ProbeKind | None, steer: Steer) -> Add:
    """The edit at one part; without a probe it is always open."""
    site, head = part
    width, d = model.body.widths[site], sides.gap.shape[0]
    first = (head or 0) * d
    gate = None
    if probe is not None:
        x, wanted = sides.examples()
        weight, bias = fit(x, ~wanted, by=probe)
        weight = pad(weight, (first, width - first - d))  # it reads the whole site: 0 at the slots of the other heads
        told = {"classes": ("wanted", "unwanted"), "pool": EVERY_TOKEN, "fitted": {"estimator": probe}}
        gate = Gate(Probe(site, weight, bias, **told))
    slots = None if head is None else tuple(range(first, first + d))
    return steer.add(site, sides.gap, usual=ANSWER, units=slots, gate=gate)
