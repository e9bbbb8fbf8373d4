"""Query-key graphs: which features at the query and which at the key form one attention score.

With the scales of the norms held at their values on this run, the rotated query of a head is an affine map of the stream
at the query's position, the rotated key one of the stream at the key's. With the stream written as decoder rows, an
error and a bias, their product is a sum over pairs, exactly:
score = scaling * sum_ij (A_q u_i) . (A_k w_j), i over the parts of the query's position, j over those of the key's.
The maps are those of the model's own modules, by reverse differentiation, so rotation, query and key norms, shared
key heads and scalings are what they are there. Source: Elhage et al. 2021 (the QK circuit); for features, the tracing of
Kamath et al. 2025. Differs: no feature of attention is trained, and no part is left out of the sum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.circuits.circuit import ERROR, OUTPUT, Circuit
from clew.circuits.kind import Kind, Prompt
from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.pairs import Misfit, encode
from clew.models import Model, Trace
from clew.models.attention import look
from clew.models.frozen import hold_norms
from clew.models.state import state as held_still
from clew.models.tokens import in_words
from clew.readings.contrast import state
from clew.sites import Site


def query_key(
    model: Model,
    behaviour: Behaviour,
    *,
    layer: int,
    head: int,
    query: int = -1,
    key: int | None = None,
    versus: int | None = None,
    example: int = 0,
) -> Circuit:
    """One head's score between two positions of one prompt, as a sum over pairs of features.

    Args:
        model: seen through a dictionary of the stream that enters the block (`resid.{layer - 1}`; `embed` for layer
            0), or of `attn_in.{layer}`, which goes first where the view has both.
        query, key: positions, negative ones from the end; the key to which the query attends most by default.
        versus: another key; what is explained is then score(key) - score(versus), which is what attention selects by.
        example: which clean prompt of the behaviour.

    Returns: a Circuit of the active units, and the error, at those positions; all numbers are in units of the score
    before the softmax and before a soft cap. The edge from a key's node to a query's node weighs the term of their pair,
    an edge into the metric the terms of a node with the biases of the other side (of the decoder, the norms
    and the projection); a node's score is the sum over its edges: what the score would lose without the node. All edges
    and `details["attention"]["parts"]["both biases"]` add up to the score. `details["attention"]` also holds the sums
    of the parts, the attention weight, and what the mask adds (a bias of position, which no feature writes).
    Raises: ValueError for a view without such a site, a key that the query cannot see, a norm whose scale cannot be
    held, or a model that does not compute its scores in transformers' attention interface.
    Costs: one forward up to the layer, and a backward per dimension of the head through its projections.
    """
    site = _stream(model, layer, head)
    tokens, patch, words = _prompt(model, behaviour, example)
    score = _look(model, tokens, site, layer, head)
    length = tokens.shape[1]
    q = _position(query, length, "query")
    k = int(score.pattern[q].argmax()) if key is None else _position(key, length, "key")
    terms = [(k, 1.0)] if versus is None else [(k, 1.0), (_position(versus, length, "versus"), -1.0)]
    for p, _ in terms:
        if not bool(score.seen[q, p]):
            raise ValueError(f"position {q} cannot attend to position {p} in layer {layer}; choose a key that it sees")
    places = sorted({q, *(p for p, _ in terms)})
    units = {p: score.units(p) for p in places}
    start = dict(zip(places, np.cumsum([0, *(len(units[p]) for p in places)]).tolist(), strict=False))
    n = sum(map(len, units.values()))
    index = {p: np.append(start[p] + np.arange(len(units[p])), n) for p in places}
    pairs = np.zeros((n + 1, n + 1))  # [query side, key side]; the last of either is the bias
    at_query = score.parts(score.query[q], q)
    for p, sign in terms:
        product = sign * score.scaling * at_query.T @ score.parts(score.key[p], p)
        pairs[np.ix_(index[q], index[p])] += product.cpu().double().numpy()
    other = None if patch is None else model.run(patch, read=score.reads, logits=0)
    sums = {
        "nodes": pairs[:n, :n].sum(),
        "query bias": pairs[n, :n].sum(),
        "key bias": pairs[:n, n].sum(),
        "both biases": pairs[n, n],
    }
    about: dict[str, Any] = {
        "layer": layer,
        "head": head,
        "query": q,
        "key": k,
        "versus": None if versus is None else terms[1][0],
        "words": [words[q], *(words[p] for p, _ in terms)],
        "score": float(pairs.sum()),
        "parts": {name: float(value) for name, value in sums.items()},
        "scaling": score.scaling,
        "weight": float(score.pattern[q, k]),
        "mask": float(sum(s * score.bias[q, p] for p, s in terms)),
    }
    prompt = Prompt(tuple(words), tuple(tokens[0].tolist()))
    kind = Kind("attention", in_metric_units=False, length=length, prompt=prompt)
    return replace(_circuit(model, site, pairs, units, other), kind=kind).with_details(attention=about)


def _stream(model: Model, layer: int, head: int) -> Site:
    """The site of the view that the attention of this layer reads."""
    model.body.site(Site("head", layer))
    if model.body.part("attn", layer).pattern != "interface":
        raise ValueError(
            f"{model.name} computes its scores outside transformers' attention interface, where they cannot be seen"
        )
    if not 0 <= head < model.body.n_heads:
        raise ValueError(f"{model.name} has heads 0 to {model.body.n_heads - 1} in layer {layer}; {head} was given")
    stream = Site("resid", layer - 1) if layer else Site("embed")
    for site in (Site("attn_in", layer), stream):
        if site in model.dictionaries:
            return site
    raise ValueError(
        f"the attention of layer {layer} reads {stream}, but the model is seen through "
        f"{', '.join(map(str, model.dictionaries))}; use model.through(...) with a dictionary of {stream} or of "
        f"attn_in.{layer}"
    )


def _prompt(model: Model, behaviour: Behaviour, example: int) -> tuple[Tensor, Tensor | None, list[str]]:
    """Clean and patch prompt of one pair as ids [1, seq], and the clean one in words."""
    if not 0 <= example < len(behaviour):
        raise ValueError(f"{behaviour.name} has examples 0 to {len(behaviour) - 1}; {example} was given")
    pair = behaviour.pairs[example]
    (encoded,) = encode(model, [pair])
    if isinstance(encoded, Misfit):
        raise ValueError(f"pair {example} of {behaviour.name}: {encoded}. behaviour.bind(model) leaves such pairs out")
    text = in_words(pair.clean)
    words = [str(model.tokenizer.decode([t])) if text else str(t) for t in encoded.clean]
    clean, patch = (None if p is None else torch.tensor([p]) for p in (encoded.clean, encoded.patch))
    assert clean is not None
    return clean, patch, words


def _position(given: int, length: int, name: str) -> int:
    if not -length <= given < length:
        raise ValueError(f"{name}={given} is no position of a prompt of {length} tokens")
    return given % length


def _look(model: Model, tokens: Int[Tensor, "1 seq"], site: Site, layer: int, head: int) -> _Score:
    """Run the prompt up to this layer's attention, tied to the stream at `site`, with the norms' scales held."""
    pattern = model.body.site(Site("pattern", layer))
    reads = {model.dictionaries[site].reads, site}
    seen: list[tuple[Tensor, Tensor, Tensor, float]] = []
    inside = [m for m in model.body.attentions[layer].modules() if "norm" in type(m).__name__.lower()]
    with held_still(model.body.module) as held:
        look(held, model.body.taps[pattern].module, lambda *given: seen.append(given))
        hold_norms(held, model.body, [m for m in inside if not list(m.children())])
        trace = model.run(tokens, read={*reads, pattern}, grad=True, logits=0)
    queries, keys, mask, scaling = seen[0]
    group = head // (queries.shape[1] // keys.shape[1])
    length = tokens.shape[1]
    seeable = torch.ones(length, length, dtype=torch.bool, device=queries.device).tril()
    bias = torch.zeros(length, length, device=queries.device)
    mask = mask.expand(1, queries.shape[1], *mask.shape[2:])[0, head, :, :length]
    seeable &= mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
    bias = bias if mask.dtype == torch.bool else mask.masked_fill(~seeable, 0.0)
    return _Score(
        trace,
        site,
        reads,
        queries[0, head],
        keys[0, group],
        trace[pattern][0, head].detach(),
        float(scaling),
        seeable,
        bias,
    )


@dataclass(frozen=True)
class _Score:
    """One head on one prompt: its queries and keys as they are multiplied, still tied to the stream."""

    trace: Trace
    site: Site
    reads: set[Site]
    query: Float[Tensor, "seq d_head"]
    key: Float[Tensor, "seq d_head"]
    pattern: Float[Tensor, "seq seq"]
    scaling: float
    seen: Tensor
    """[query, key] which keys the mask leaves."""
    bias: Tensor
    """[query, key] what the mask adds to the score."""

    def units(self, position: int) -> np.ndarray:
        """The active units at a position, and the error where there is one."""
        dictionary = self.trace.dictionaries[self.site]
        code = state(self.trace, self.site).code[0, position]
        active = dictionary.fires(code).nonzero()[:, 0].cpu().numpy()
        return active if dictionary.exact else np.append(active, ERROR)

    def parts(self, vector: Float[Tensor, " d_head"], position: int) -> Float[Tensor, "d_head node_and_bias"]:
        """The vector as a sum over the nodes at its position; the last column is what none of them writes."""
        rows = torch.eye(len(vector), dtype=vector.dtype, device=vector.device)
        stream = self.trace[self.site]
        (grad,) = torch.autograd.grad(vector, stream, rows, is_grads_batched=True, retain_graph=True)
        dictionary, here = self.trace.dictionaries[self.site], state(self.trace, self.site)
        grad, code = grad[:, 0, position].to(here.code.dtype), here.code[0, position]
        written = dictionary.fold(dictionary.pull(grad) * code)
        unit = torch.from_numpy(self.units(position)).to(code.device)
        nodes = written[:, unit[unit != ERROR]]
        if not dictionary.exact:
            nodes = torch.cat([nodes, grad @ here.error[0, position, :, None]], dim=1)
        return torch.cat([nodes, (vector.detach().to(nodes.dtype) - nodes.sum(1))[:, None]], dim=1)


def _circuit(model: Model, site: Site, pairs: np.ndarray, units: dict[int, np.ndarray], other: Trace | None) -> Circuit:
    """Nodes by position, an edge for every pair that is not 0, an edge into the metric for what a node does alone."""
    n = len(pairs) - 1
    target, source = np.nonzero(pairs[:n, :n])
    alone = pairs[:n, n] + pairs[n, :n]
    with_bias = np.flatnonzero(alone)
    unit = np.concatenate(list(units.values()))
    position = np.concatenate([np.full(len(u), p) for p, u in units.items()])
    mean = np.full(n, np.nan)
    if other is not None:
        code = model.dictionaries[site].fold(state(other, site).code[0]).cpu().double().numpy()
        mean = np.where(unit == ERROR, np.nan, code[position, unit])
    return Circuit(
        tuple(model.dictionaries),
        {s: d.n_units for s, d in model.dictionaries.items()},
        site=np.full(n, list(model.dictionaries).index(site)),
        unit=unit,
        position=position,
        score=pairs[:n].sum(1) + pairs[:, :n].sum(0) - np.diag(pairs)[:n],
        patch_mean=mean,
        source=np.concatenate([source, with_bias]),
        target=np.concatenate([target, np.full(len(with_bias), OUTPUT)]),
        weight=np.concatenate([pairs[target, source], alone[with_bias]]),
    )
