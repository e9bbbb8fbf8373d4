"""Discrete codes: heads that say something on the clean prompts that they never say on the patch prompts.

A small autoencoder is fitted to what the heads put out on a handful of prompts; the code of a head on a prompt is
its strongest unit, one word. Score(head) = words seen on clean prompts only / all its words on clean prompts;
weight(a -> b) = the same of pairs of words that two heads say on one prompt.
Source: O'Neill & Bui 2024 (arXiv:2405.12522). Differs: heads are centred and scaled one by one before the fit, for else
the first thing a word says is which head it is; a head that moves no unit says the word "nothing"; there is no
softmax over heads, which would leave their order as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.circuits.circuit import ANYWHERE, Circuit
from clew.circuits.kind import Kind
from clew.circuits.ranked import OnlyHeads
from clew.data.behaviours.behaviour import Behaviour
from clew.models import Model

STEPS, RATE, ROWS = 300, 0.01, 1024


def discrete_codes(
    model: Model,
    behaviour: Behaviour,
    *,
    examples: int | None = 10,
    position: int | None = None,
    units: int = 64,
    l1: float = 0.1,
    edges: bool = False,
    seed: int = 0,
) -> OnlyHeads:
    """Every head with the share of its words that only the clean prompts draw from it.

    Args:
        examples: use this many pairs of the behaviour (all when None).
        position: read the heads at this position of the prompt (-1: the last); their mean over all positions by
            default, so that a head that works on an early token is heard too.
        units: size of the autoencoder, and so of the vocabulary.
        l1: weight of the sum of the code beside the squared error of a head of unit variance.
        edges: also give edges between heads of different layers, with the share of their pairs of words.
        seed: of the autoencoder's start.

    Returns: a Circuit of all heads, as `model.heads()` has them. Scores and weights are shares in [0, 1], not effects
    in units of the metric: they say that a head tells clean from patch, not that the answer depends on it.
    Raises: ValueError for a behaviour without patch prompts.
    Costs: two forwards, then a fit of a second or so; no gradients of the model. Edges: heads^2 x examples^2 bits.
    """
    if behaviour.baseline != "patch":
        raise ValueError(
            f"{behaviour.name} has no patch prompts, from whose words those of the clean ones could differ"
        )
    view, some = model.heads(), behaviour if examples is None else behaviour.first(examples)
    clean, patch = _heads(view, some, position)
    again, elsewhere = _compared(_spoken(clean, patch, units, l1, seed), len(clean))
    score = _share_of_new(again.tril(-1).any(-1), elsewhere.any(-1)).cpu().numpy()
    sites, n_heads = tuple(view.dictionaries), view.body.n_heads
    layer = np.repeat(np.arange(len(sites)), n_heads)
    circuit = Circuit(
        sites,
        dict.fromkeys(sites, n_heads),
        site=layer,
        unit=np.tile(np.arange(n_heads), len(sites)),
        position=np.full(len(layer), ANYWHERE),
        score=score,
        patch_mean=patch.sum(-1).mean(0).cpu().double().numpy(),
        kind=Kind(in_metric_units=False),
    )
    if not edges:
        return circuit
    weight = _pairs(again, elsewhere).cpu().numpy() * (layer[:, None] < layer)
    source, target = weight.nonzero()
    return replace(circuit, source=source, target=target, weight=weight[source, target], weight_error=np.zeros(0))


def _heads(
    view: Model, behaviour: Behaviour, position: int | None
) -> tuple[Float[Tensor, "example head d_head"], Float[Tensor, "example head d_head"]]:
    """What every head of the model puts out on clean and on patch prompts."""
    clean, patch = [], []
    for batch in behaviour.batches(view):
        length = batch.clean.shape[1]
        if position is not None and not -length <= position < length:
            raise ValueError(f"position={position} is no position of a prompt of {length} tokens")
        assert batch.patch is not None
        for tokens, into in ((batch.clean, clean), (batch.patch, patch)):
            trace = view.run(tokens, read=view.dictionaries, logits=0)
            heads = torch.cat([trace[s].unflatten(-1, (view.body.n_heads, -1)) for s in view.dictionaries], dim=2)
            heads = heads.to(torch.promote_types(heads.dtype, torch.float32))
            into.append(heads.mean(1) if position is None else heads[:, position])
    return torch.cat(clean), torch.cat(patch)


def _standardised(x: Float[Tensor, "example head d_head"]) -> Float[Tensor, "example head d_head"]:
    """Each head around its mean over all prompts, with a mean square of 1; a head that never moves is 0."""
    centred = x - x.mean(0)
    size = centred.square().mean((0, 2), keepdim=True).sqrt()
    still = size <= 1e-6 * x.square().mean((0, 2), keepdim=True).sqrt()
    return torch.where(still, 0.0, centred / size.where(~still, torch.ones_like(size)))


def _fit(x: Float[Tensor, "row d_head"], units: int, l1: float, seed: int) -> Float[Tensor, "row unit"]:
    """The codes of x in a tied autoencoder, relu(W x + b) and W^T code, fitted by Adam to at most ROWS rows a step."""
    generator = torch.Generator().manual_seed(seed)
    x = x.detach()
    start = torch.randn(units, x.shape[1], generator=generator, dtype=x.dtype)
    W = torch.nn.functional.normalize(start, dim=1).to(x.device).requires_grad_()
    b = torch.zeros(units, dtype=x.dtype, device=x.device, requires_grad=True)
    optimiser = torch.optim.Adam([W, b], lr=RATE)
    with torch.enable_grad():
        for _ in range(STEPS):
            some = x if len(x) <= ROWS else x[torch.randint(len(x), (ROWS,), generator=generator).to(x.device)]
            row = torch.nn.functional.normalize(W, dim=1)
            code = (some @ row.T + b).relu()
            loss = ((code @ row - some) ** 2).sum(1).mean() + l1 * code.sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return (x @ torch.nn.functional.normalize(W, dim=1).T + b).relu().detach()


def _spoken(
    clean: Float[Tensor, "example head d_head"],
    patch: Float[Tensor, "other head d_head"],
    units: int,
    l1: float,
    seed: int,
) -> Int[Tensor, "prompt head"]:
    """The word of every head on every prompt, clean ones first: its strongest unit, -1 where none is active."""
    scaled = _standardised(torch.cat([clean, patch]))
    strength, unit = _fit(scaled.flatten(0, 1), units, l1, seed).unflatten(0, scaled.shape[:2]).max(-1)
    return torch.where(strength > 0, unit, -1)


def _compared(
    words: Int[Tensor, "prompt head"], n_clean: int
) -> tuple[Bool[Tensor, "head example example"], Bool[Tensor, "head example other"]]:
    """Which clean prompts draw the same word from a head as which clean, and as which patch prompts."""
    same = words.T[:, :n_clean, None] == words.T[:, None, :]
    return same[..., :n_clean], same[..., n_clean:]


def _share_of_new(
    again: Bool[Tensor, "*head example"], elsewhere: Bool[Tensor, "*head example"]
) -> Float[Tensor, "*head"]:
    """Distinct words not said elsewhere over all distinct words; `again` marks those that an earlier example said."""
    return (~again & ~elsewhere).sum(-1, dtype=torch.float64) / (~again).sum(-1)


def _pairs(
    again: Bool[Tensor, "head example example"], elsewhere: Bool[Tensor, "head example other"]
) -> Float[Tensor, "head head2"]:
    """The share of every two heads' pairs of words: a pair is said again only where both words are."""
    rows = [
        _share_of_new((again & mine).tril(-1).any(-1), (elsewhere & theirs).any(-1))
        for mine, theirs in zip(again, elsewhere, strict=True)
    ]
    return torch.stack(rows)
