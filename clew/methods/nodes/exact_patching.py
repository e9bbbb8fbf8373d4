"""Exact patching: run the model once for every node, with that node alone in its other state.

Source: activation patching (Vig et al. 2020), per feature as in Marks et al. 2024 (arXiv:2403.19647), eq. 2.
What the gradient methods approximate; dear, so give it a circuit to score or a small model.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from clew.changes import Set
from clew.circuits.circuit import ANYWHERE, ERROR, Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.dictionaries import Dictionary
from clew.methods._nodes import Mean, Scored, clean_run
from clew.models import Model, Trace
from clew.progress import Tell
from clew.readings.contrast import Baseline, Contrast, State, check_fits
from clew.sites import Site


def exact_patching(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit | None = None,
    *,
    baseline: Baseline | None = None,
    positions: bool | None = None,
    tokens: int = 4096,
    seed: int = 0,
    progress: Tell | None = None,
) -> Circuit:
    """Drop of the metric when one node, at one position, takes its other state; averaged over examples.

    Args:
        circuit: score only its nodes; without it every unit whose state differs in some example.
        baseline, positions, tokens, seed, progress: as for `integrated_gradients`. Summed over positions, a node's score is
            the sum of the effects of patching it at each position alone, which is what the gradient methods approximate.

    Returns: a Circuit of the scored nodes; scores in units of the metric.
    Costs: two forwards, and one forward of the blocks above its site for every node and position.
    """
    contrast = Contrast(model, behaviour, baseline, seed=seed, progress=progress)
    if circuit is not None:
        check_fits(model, circuit, {b.clean.shape[1] for b in contrast.batches})
    mean = Mean(contrast, positions)
    for batch in contrast.loops.over(contrast.batches):
        clean, other = clean_run(contrast, batch), contrast.other(batch)
        whole = behaviour.measured(clean, batch).detach()
        for site in contrast.loops.over(model.dictionaries):
            here, there = contrast.states(clean, other, site)
            chosen = None if circuit is None else _chosen(circuit, site, batch.clean.shape[1], model)
            mean.add(site, _patched_one_by_one(contrast, batch, clean, site, here, there, whole, chosen, tokens))
    return mean.circuit().scored_on(circuit, model.body.fingerprint)


def _chosen(circuit: Circuit, site: Site, length: int, model: Model) -> Tensor:
    """Which (position, unit or error) a circuit holds at a site: [seq, unit + 1]."""
    mask = torch.zeros(length, model.dictionaries[site].n_units + 1, dtype=torch.bool, device=model.device)
    for s, unit, position in circuit.keys():  # noqa: SIM118 (a method that makes a list)
        if s == str(site):
            mask[slice(None) if position == ANYWHERE else position, -1 if unit == ERROR else unit] = True
    return mask


def _patched_one_by_one(
    contrast: Contrast,
    batch: Batch,
    clean: Trace,
    site: Site,
    here: State,
    there: State,
    whole: Tensor,
    chosen: Tensor | None,
    tokens: int,
) -> Scored:
    dictionary = contrast.model.dictionaries[site]
    code, error = there.code - here.code, there.error - here.error
    moves = torch.cat([dictionary.fold(code.abs()), error.abs().sum(-1, keepdim=True)], dim=-1).sum(0) != 0
    nodes = (moves if chosen is None else moves & chosen).nonzero()
    effect = torch.zeros(*code.shape[:2], dictionary.n_units + 1, dtype=code.dtype, device=code.device)
    value = clean[site].detach()
    for some in contrast.loops.over(nodes.split(max(1, tokens // batch.clean.numel()))) if len(nodes) else ():
        patched = value.repeat(len(some), 1, 1).view(len(some), *value.shape)
        for row, delta, (position, _) in zip(
            patched, _moves(dictionary, some, code, error), some.tolist(), strict=True
        ):
            row[:, position] += delta.to(row.dtype)
        copies = batch.repeat(len(some))
        edit = Set(site, value=patched.flatten(0, 1))
        needs, base = contrast.behaviour.needs, clean if contrast.model.body.resumes else None
        run = contrast.model.run(copies.clean, read=needs.reads, edits=[edit], logits=needs.last, base=base)
        drop = whole - contrast.behaviour.measured(run, copies).view(len(some), -1)
        effect[:, some[:, 0], some[:, 1]] = drop.T.to(effect.dtype)
    return Scored(effect, there)


def _moves(dictionary: Dictionary, nodes: Tensor, code: Tensor, error: Tensor) -> Iterator[Tensor]:
    """What each node's change adds to the stream at its position, [example, d]."""
    for position, unit in nodes.tolist():
        if unit == dictionary.n_units:
            yield error[:, position]
        else:
            one = torch.zeros(dictionary.n_units, dtype=code.dtype, device=code.device)
            one[unit] = 1
            yield dictionary.write(code[:, position] * dictionary.unfold(one))
