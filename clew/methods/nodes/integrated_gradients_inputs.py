"""Integrated gradients along one path: embeddings move from clean to patch, and every site is read at each step.

Source: the input path of EAP-IG (Hanna et al. 2024, arXiv:2403.17806), for nodes instead of edges. We use the grid of
`integrated_gradients` (clean end in, patch end out), so that steps=1 is attribution patching.
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
from clew.readings.contrast import EMBED, Baseline, Contrast, input_baseline
from clew.sites import Site


def integrated_gradients_inputs(
    model: Model,
    behaviour: Behaviour,
    *,
    steps: int = 10,
    baseline: Baseline | None = None,
    positions: bool | None = None,
    tokens: int = 2048,
    seed: int = 0,
    progress: Tell | None = None,
) -> Circuit:
    """(other - clean) times the gradient averaged over a path of embeddings, for every unit and error node.

    Args:
        steps: points on the path, at 0, 1/steps, ..., 1 - 1/steps of the way.
        baseline: what the embeddings move to, and what a unit would be: that of the "patch" prompts (the default where
            there are any), of other examples ("resample"), or the "mean" over the clean ones (the default elsewhere).
            Never zero, which is no embedding.
        positions, tokens, seed, progress: as for `integrated_gradients`.

    Returns: a Circuit of all nodes with an effect; scores in units of the metric, averaged over examples.
    Costs: two forwards, and `steps` forwards and backwards of the whole model, for all sites together.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; at least one point on the path is needed")
    step = partial(gradients, steps=steps, tokens=tokens)
    baseline = input_baseline(behaviour, baseline)
    settings = {"baseline": baseline, "positions": positions, "seed": seed, "progress": progress}
    return score_nodes(model, behaviour, step, **settings)


def gradients(
    contrast: Contrast, batch: Batch, clean: Trace, other: Trace | None, *, steps: int = 10, tokens: int = 2048
) -> dict[Site, Tensor]:
    """Mean of d loss / d value over the path, at every site of the view."""
    start = contrast.model.run(batch.clean, read=[EMBED], logits=0)[EMBED]
    input_baseline(contrast.behaviour, contrast.baseline)  # `edges` asks here with a baseline of its own
    end = contrast.embeddings(batch, other)
    alphas = torch.arange(steps, dtype=torch.float64) / steps
    total: dict[Site, Tensor] = {}
    for chunk in contrast.loops.over(alphas.split(max(1, tokens // batch.clean.numel()))):
        copies = batch.repeat(len(chunk))
        path = torch.cat([torch.lerp(start, end, a) for a in chunk.tolist()])
        reads = [*contrast.sites, *contrast.behaviour.needs.reads]
        edit, keep = Set(EMBED, value=path), contrast.behaviour.needs.last
        run = contrast.model.run(copies.clean, read=reads, edits=[edit], grad=True, logits=keep)
        for site, grad in run.gradients(loss(contrast.behaviour, run, copies)).items():
            grad = grad.view(len(chunk), -1, *grad.shape[1:]).sum(0)
            total[site] = total[site] + grad if site in total else grad
    return {site: grad / steps for site, grad in total.items()}
