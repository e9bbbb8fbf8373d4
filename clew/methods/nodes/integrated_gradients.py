"""Integrated gradients, site by site: the gradient averaged along the line from clean to patch at one site.

Source: Marks et al. 2024 (arXiv:2403.19647), eq. 4, with the reference implementation's grid: the clean end
is on it, the patch end is not. At steps=1 it is attribution patching. Codes and error move together, all other
sites of the view are left alone. The published code, as installed today, does not integrate: all its steps read step 0.
"""

from functools import partial

import torch
from torch import Tensor

from clew.changes import Set
from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.methods._nodes import loss, score_nodes
from clew.models import Model, Trace
from clew.progress import Tell
from clew.readings.contrast import Baseline, Contrast
from clew.sites import Site


def integrated_gradients(
    model: Model,
    behaviour: Behaviour,
    *,
    steps: int = 10,
    baseline: Baseline | None = None,
    positions: bool | None = None,
    tokens: int = 2048,
    skip: int = 0,
    seed: int = 0,
    progress: Tell | None = None,
) -> Circuit:
    """(other - clean) times the gradient averaged over `steps` points, for every unit and every error node.

    Args:
        steps: points on the line, at 0, 1/steps, ..., 1 - 1/steps of the way; 10 as in the reference.
        baseline, positions, skip, seed, progress: as for `attribution_patching`.
        tokens: the largest batch that is run at once; steps and examples are batched up to it.

    Returns: a Circuit of all nodes with an effect; scores in units of the metric, averaged over examples.
    Costs: two forwards and a backward, and per site `steps` - 1 forwards and backwards of the blocks above it.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; at least one point on the line is needed")
    step = partial(gradients, steps=steps, tokens=tokens)
    settings = {"baseline": baseline, "positions": positions, "seed": seed, "skip": skip, "progress": progress}
    return score_nodes(model, behaviour, step, **settings)


def gradients(
    contrast: Contrast, batch: Batch, clean: Trace, other: Trace | None, *, steps: int = 10, tokens: int = 2048
) -> dict[Site, Tensor]:
    """Mean of d loss / d value over the steps, at every site that the view writes; the first of them is the clean run."""
    first = clean.gradients(loss(contrast.behaviour, clean, batch))
    alphas = torch.arange(1, steps, dtype=torch.float64) / steps
    sites = contrast.loops.over(contrast.model.dictionaries)
    return {site: (first[site] + _along(contrast, batch, clean, other, site, alphas, tokens)) / steps for site in sites}


def _along(
    contrast: Contrast, batch: Batch, clean: Trace, other: Trace | None, site: Site, alphas: Tensor, tokens: int
) -> Tensor:
    """The sum of d loss / d value over some points on the line."""
    start = clean[site].detach()
    total = torch.zeros_like(start)
    if not len(alphas):
        return total
    end = contrast.end(clean, other, site)
    for chunk in contrast.loops.over(alphas.split(max(1, tokens // batch.clean.numel()))):
        copies = batch.repeat(len(chunk))
        line = torch.cat([torch.lerp(start, end.to(start.dtype), a) for a in chunk.tolist()])
        reads = [site, *contrast.behaviour.needs.reads]
        keep, edit = contrast.behaviour.needs.logits, Set(site, value=line)
        base = clean if contrast.model.body.resumes else None
        run = contrast.model.run(copies.clean, read=reads, edits=[edit], grad=True, logits=keep, base=base)
        grad = run.gradients(loss(contrast.behaviour, run, copies))[site]
        total += grad.view(len(chunk), *start.shape).sum(0)
    return total
