"""Drift: how far what flows in one model is from what flows in another, on the same prompts, site by site and in the logits.

Of a site: |x' - x| / |x| at each token, x what flows in the parent and x' in the child, averaged over tokens; by token, for
a few of huge norm would hide all others. Errors grow from block to block. How much of that a block adds itself is told by a
second run of the child, in which each block is given the parent's stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clew.changes import Set
from clew.data.behaviours.behaviour import Behaviour
from clew.models import Model
from clew.models.layout import KINDS
from clew.models.likelihood import log_softmax
from clew.scale.budget import at_once
from clew.sites import Site


@dataclass(frozen=True)
class Drift:
    """What was found, prompt by prompt, in the order of the behaviour's batches."""

    sites: Mapping[Site, Float[np.ndarray, " prompt"]]
    """At each site, relative to what flows in the parent."""
    own: Mapping[Site, Float[np.ndarray, " prompt"]]
    """Of what parts write, where their block is given the parent's stream; empty for a child in which none can be edited."""
    kl: Float[np.ndarray, "2 prompt"]
    """KL(parent || child) of what the logits say, in nats: over all tokens, and where the answer is due."""
    agree: Float[np.ndarray, "2 prompt"]
    """The share of tokens at which both hold the same token for the most likely; the same two."""


def drift(parent: Model, child: Model, behaviour: Behaviour, parts: Iterable[str]) -> Drift:
    """Run the clean prompts of a behaviour through both models.

    Args: parts: whose sites to compare, in every layer in which both models have them.
    Returns: a Drift. Costs: 3 forwards.
    Raises: ValueError for parts that the two do not share, and for models without logits.
    """
    names = tuple(parts)
    sites = [site for site in parent.sites(*names) if child.body.holds(site)]
    if not sites or any(site.part == "pattern" for site in sites):
        raise ValueError(
            f"parts={list(names)}: give some that {parent.name} and {child.name} share, such as attn, mlp and resid"
        )
    if parent.body.layout.answers == "states":
        raise ValueError(f"{parent.name} has no head that gives logits, whose drift could be told")
    stream = [site for site in parent.body.taps if site.part in ("embed", "resid")]
    writes = [site for site in sites if site.part in KINDS]
    held = all(child.body.holds(s) and not {"edits", f"edits {s}"} & child.body.refused.keys() for s in stream)
    n = len(behaviour)
    found, own = ({s: np.zeros(n) for s in some} for some in (sites, writes if held else ()))
    kl, agree = np.zeros((2, n)), np.zeros((2, n))
    width = sum(parent.body.widths[s] for s in {*sites, *stream}) + 2 * parent.body.n_answers
    done = 0
    for batch in behaviour.batches(parent, tokens=min(4096, at_once(width, copies=2))):
        rows = slice(done, done := done + len(batch.clean))
        with torch.no_grad():
            here, there = parent.run(batch.clean, read=[*sites, *stream]), child.run(batch.clean, read=sites)
            for site in sites:
                found[site][rows] = _relative(there[site], here[site])
            if own:
                edits = [Set(s, value=here[s].to(child.device, child.body.dtype)) for s in stream]
                given = child.run(batch.clean, read=writes, edits=edits, logits=0)
                for site in writes:
                    own[site][rows] = _relative(given[site], here[site])
            assert here.logits is not None and there.logits is not None
            before, after = log_softmax(here.logits), log_softmax(there.logits.to(here.logits.device))
            off = (before.exp() * (before - after)).sum(-1).clamp(min=0)
            same = (before.argmax(-1) == after.argmax(-1)).to(off.dtype)
            at = parent.body.answered_at(batch.clean) if parent.body.layout.answers == "mask" else -1
            for table, values in ((kl, off), (agree, same)):
                answers = values[torch.arange(len(values)), at]
                table[:, rows] = torch.stack([values.mean(1), answers]).double().cpu().numpy()
    return Drift(found, own, kl, agree)


def _relative(x: Float[Tensor, "prompt token d"], of: Float[Tensor, "prompt token d"]) -> Float[np.ndarray, " prompt"]:
    """|x - of| / |of| at each token, averaged over them."""
    own = of.double()
    size = own.norm(dim=-1).clamp(min=1e-30)
    return ((x.to(own) - own).norm(dim=-1) / size).mean(1).cpu().numpy()
