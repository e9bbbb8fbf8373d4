"""REVS: unlearning by rank editing, neuron by neuron, in the vocabulary.

A neuron writes a column of W_down into the stream. Read through the last norm and the unembedding, the column is a list
of logits; the token to be forgotten is put lower in that list, and the list is mapped back into a column. In layers that
still promote the token, as many of its strongest neurons are edited as bring it down in what the MLP writes and in the
stream.
Source: Ashuach, Tutek and Belinkov 2025, "REVS: Unlearning Sensitive Information in Language Models via Rank Editing in
the Vocabulary Space", arXiv:2406.09325. Differs: lowering one logit by c and mapping back moves the column by
-c · scale · W_U⁺ e_token / gain, a straight line, so that the logit is found by bisection instead of by trial factors;
and the ranks after 1, 2, ... neurons are computed all at once, where the original walks with factors 1.6 and 0.8, so that
the fewest that reach the bands are edited. A neuron that has the token below its band already is left alone. The original
inverts RMS norms with the standard deviation and adds the mean, which is the inverse of a layer norm: `faithful=True`.
Tokens that many of the secrets share are targets last; the original takes the highest ids, whoever shares them, and then
a domain that all e-mail addresses end in is forgotten with each.
Where the MLP's output is normed before it is added (Gemma 2 and 3), a neuron is read as its column times that norm's gain,
what the MLP writes is counted through the norm, and columns move as `_passage.py` says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.changes import Update
from clew.data.facts.secrets import RareToken, Secrets
from clew.edits._passage import STRAIGHT, Passage, passage_of
from clew.models import Model
from clew.readings.readout import Readout, above
from clew.sites import Site, Weight
from clew.stack import Stack

Band = tuple[float, float]
"""Lowest and highest rank, as fractions of the vocabulary."""

EVALUATIONS = 100
"""Of ranks, at most, in a search along a line: a few doublings, then halvings down to rounding."""


def revs(
    model: Model,
    evidence: Secrets,
    *,
    tokens: int | None = 2,
    layers: Sequence[int] | None = None,
    neurons: int = 30,
    active: int = 100,
    residual_band: Band = (0.078, 0.156),
    mlp_band: Band = (0.078, 0.156),
    neuron_band: Band = (0.70, 0.78),
    faithful: bool = False,
) -> Stack:
    """Lower the rank of each secret's rarest tokens, in the neurons that promote them.

    Costs a run of each target token, and one more for each layer that is edited for it.

    Args:
        tokens: of each secret, the rarest ones; None for all.
        layers: which to edit, from the first one up; all by default.
        neurons: at most so many are edited for a token in a layer.
        active: they are chosen, by how high they rank the token, from the so many of highest activation.
        residual_band, mlp_band: a layer is edited where the token ranks above (its number is less than) the lower end of
            the first in the stream after it and the upper end of the second in what its MLP writes; it is brought to the
            lower ends. As fractions of the vocabulary: those of the paper are 10,000 to 20,000 of 128,256.
        neuron_band: where the token shall rank in an edited neuron; 90,000 to 100,000 in the paper.
        faithful: invert RMS norms as the published code does.

    Returns: an update of `down` for each edited layer: [d_model, edited] changes of columns, times one-hot rows that say
        which. `about` counts them.
    Raises: ValueError for a band that is no range, secrets that no layer promotes, MLPs that write through a layer norm,
        or `faithful` where they write through any norm.
    """
    chosen = _checked(model, layers, (residual_band, mlp_band, neuron_band), neurons, active)
    readout = Readout.of(model)
    bands = [_ranks(band, len(readout.unembed)) for band in (residual_band, mlp_band, neuron_band)]
    plan = Settings(readout, bands[0], bands[1], bands[2], neurons, active, faithful)
    passages = {layer: passage_of(model, layer) for layer in chosen}
    if faithful and not all(passage is STRAIGHT for passage in passages.values()):
        raise ValueError(
            f"the published code knows no norm after an MLP, as {model.name} has them; leave faithful=True out"
        )
    targets, now = evidence.targets(model.tokenizer, tokens), model
    sites = {layer: [Site(part, layer) for part in ("neuron", "mlp_out", "mlp", "resid")] for layer in chosen}
    for target in targets:
        trace = now.run(
            torch.tensor([target.context]), read=[site for some in sites.values() for site in some], logits=0
        )
        for layer in chosen:
            flows = [trace[site][0, -1] for site in sites[layer]]
            weight = Weight(f"down.{layer}")
            units, columns = plan.edit(now.body.linear(weight).matrix(), *flows, target, passages[layer])
            if len(units):
                update = _update(weight, now.body.linear(weight).matrix(), units, columns)
                now = replace(now.edited(update), edits=model.edits)  # the factors of every step are not kept
                later = [site for other in chosen if other >= layer for site in sites[other]]
                trace = now.run(torch.tensor([target.context]), read=later, logits=0)
    return _collected(model, now, chosen, evidence, targets)


@dataclass(frozen=True)
class Settings:
    """Which neurons of a layer to edit for a token, and how; bands in ranks."""

    readout: Readout
    residual: tuple[int, int]
    mlp: tuple[int, int]
    neuron: tuple[int, int]
    neurons: int
    active: int
    faithful: bool

    def edit(
        self,
        matrix: Float[Tensor, "d_model unit"],
        k: Float[Tensor, " unit"],
        raw: Float[Tensor, " d_model"],
        mlp: Float[Tensor, " d_model"],
        resid: Float[Tensor, " d_model"],
        target: RareToken,
        passage: Passage,
    ) -> tuple[Int[Tensor, " edited"], Float[Tensor, "edited d_model"]]:
        """The neurons to edit, best first, and their new columns; none where the token is low enough.

        Args: k: the activations at the token's place; raw: what the columns make of them; mlp: what the stream gets of
            that; resid: the stream after it.
        """
        token, out = target.token, self.readout
        k, raw, mlp, resid, matrix = (x.to(out.unembed) for x in (k, raw, mlp, resid, matrix))
        none = torch.zeros(0, dtype=torch.long, device=k.device)
        in_stream, in_mlp = out.ranks(torch.stack([resid, mlp]), none.new_tensor([token, token])).tolist()
        if in_stream >= self.residual[0] or in_mlp >= self.mlp[1]:
            return none, matrix[:, none].T
        busy = k.topk(min(self.active, len(k))).indices
        busy = busy[k[busy] > 0]
        rank = out.ranks(passage.along(matrix[:, busy].T), none.new_full((len(busy),), token))
        best = rank.argsort(stable=True)
        units = busy[best[rank[best] < self.neuron[0]][: self.neurons]]
        columns = demoted(out, matrix[:, units].T, token, self.neuron, passage, faithful=self.faithful)
        moved = passage.change(raw, (k[units, None] * (columns - matrix[:, units].T)).cumsum(0))
        same = none.new_full((len(units),), token)
        enough = (out.ranks(resid + moved, same) >= self.residual[0]) & (out.ranks(mlp + moved, same) >= self.mlp[0])
        count = int(enough.int().argmax()) + 1 if bool(enough.any()) else len(units)
        return units[:count], columns[:count]


def demoted(
    readout: Readout,
    columns: Float[Tensor, "unit d_model"],
    token: int,
    band: tuple[int, int],
    passage: Passage = STRAIGHT,
    *,
    faithful: bool = False,
) -> Float[Tensor, "unit d_model"]:
    """The columns moved so that each ranks the token within a band of ranks, both ends included.

    Each moves along the one line that lowers (or, where it is below the band, raises) this logit and, as near as the
    unembedding allows, no other. Ranks on it are counted without recomputing logits: these are linear in the step but for
    the norm's scale, which changes no order. One that is in the band stays as it is.

    Returns: [unit, d_model]; where no place of the line is in the band because logits tie, the first below it.
    Raises: ValueError for a band that the line does not reach.
    """
    base, seen = columns, passage.along(columns)
    size = readout.scale(seen)
    if faithful and not readout.centres:
        size = (seen.var(-1, correction=0, keepdim=True) + readout.eps).sqrt()
        base = seen = columns * size / readout.scale(columns) + columns.mean(-1, keepdim=True)
    step = size * passage.towards(readout, token)
    way = passage.along(step)
    at_zero, slope = ((readout.centred(x) * readout.gain) @ readout.unembed.T for x in (seen, way))
    fixed = readout.shift @ readout.unembed.T + readout.bias
    c = torch.zeros_like(size[:, 0])
    low, high = c - math.inf, c + math.inf
    left = torch.arange(len(c), device=c.device)
    for _ in range(EVALUATIONS):
        x = seen[left] - c[left, None] * way[left]
        logits = at_zero[left] - c[left, None] * slope[left] + readout.scale(x) * fixed
        rank = above(logits, torch.full_like(left, token))
        low[left[rank < band[0]]] = c[left[rank < band[0]]]
        high[left[rank > band[1]]] = c[left[rank > band[1]]]
        left = left[(rank < band[0]) | (rank > band[1])]
        if not len(left):
            break
        far = torch.where(high.isinf(), (2 * low).clamp(min=10), (2 * high).clamp(max=-10))
        c[left] = torch.where(low.isinf() | high.isinf(), far, (low + high) / 2)[left]
    if bool((low[left].isinf() | high[left].isinf()).any()):
        raise ValueError(
            f"the token {token} is not put at rank {band[0]} to {band[1]} of {len(readout.unembed)} by changing "
            "its own logit, for others go along with it; choose another band"
        )
    c[left] = high[left]
    return base - c[:, None] * step


def _update(weight: Weight, matrix: Tensor, units: Tensor, columns: Tensor) -> Update:
    """The update that puts these columns into a matrix."""
    left = columns.T.double() - matrix[:, units].double()
    right = torch.nn.functional.one_hot(units, matrix.shape[1]).to(matrix.dtype)
    return Update(weight, left=left, right=right)


def _collected(
    model: Model, now: Model, layers: Sequence[int], evidence: Secrets, targets: Sequence[RareToken]
) -> Stack:
    """All that was done to each layer as one update."""
    updates, sizes = [], []
    for layer in layers:
        weight = Weight(f"down.{layer}")
        before, after = (m.body.linear(weight).matrix() for m in (model, now))
        units = (before != after).any(0).nonzero()[:, 0]
        if len(units):
            updates.append(_update(weight, before, units, after[:, units].T))
            sizes.append((after - before)[:, units].norm(dim=0) / before[:, units].norm(dim=0))
    if not updates:
        raise ValueError(
            f"no layer of {model.name} promotes the tokens of {evidence.name}, so there is nothing to edit; "
            "does the model say them? evidence.known(model) keeps those that it does"
        )
    changed = torch.cat(sizes)
    about = {
        "targets": len(targets),
        "layers": [u.at.layer for u in updates],
        "neurons": len(changed),
        "median relative change of a neuron": round(float(changed.median()), 4),
    }
    return Stack(tuple(updates), f"revs: {evidence.name}", about)


def _ranks(band: Band, vocabulary: int) -> tuple[int, int]:
    return round(band[0] * vocabulary), round(band[1] * vocabulary)


def _checked(model: Model, layers: Sequence[int] | None, bands: Sequence[Band], neurons: int, active: int) -> list[int]:
    if wrong := [b for b in bands if not 0 < b[0] <= b[1] < 1]:
        raise ValueError(
            f"{wrong[0]} is no band of ranks: give (low, high) as fractions of the vocabulary, 0 < low <= high < 1"
        )
    if neurons < 1 or active < 1:
        raise ValueError(f"neurons={neurons}, active={active}: both must be at least 1")
    chosen = sorted(set(range(model.n_layers) if layers is None else layers))
    if not chosen or chosen[0] < 0 or chosen[-1] >= model.n_layers:
        raise ValueError(f"layers={chosen} of {model.name}, which has {model.n_layers}: 0 to {model.n_layers - 1}")
    return chosen
