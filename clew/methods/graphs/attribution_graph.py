"""Attribution graph: on one prompt, the exact direct effect of every active feature on every other and on the logits.

Attention patterns and norm scales are held, and each MLP is what its transcoder makes of it plus an error, so that
features read what others write through fixed linear maps: A[t, s] = (what t reads) . J . (what s writes). Source:
Ameisen et al. 2025, Circuit Tracing; the numbers are those of circuit-tracer, whose thresholds are the defaults.
Differs: one run of the prompt serves all rows of a backward pass, any norm and any transcoder whose code is linear
on its active units is handled as it is, and every node has a score in units of the behaviour's metric.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.circuits.circuit import ERROR, OUTPUT, Circuit
from clew.circuits.kind import Kind, Logit, Prompt
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.data.behaviours.metrics import name_of
from clew.labels import Label, Labels
from clew.methods.graphs._direct import EMBED, FINAL, Direct
from clew.methods.graphs._influence import Kinds, carried_back, completeness, influence, prune, replacement
from clew.models import Model
from clew.models.tokens import bare, check_ids, in_words
from clew.scale.budget import VALUES, at_once
from clew.sites import Site


def attribution_graph(
    model: Model,
    behaviour: Behaviour,
    *,
    of: Literal["logits", "metric"] = "logits",
    tokens: Sequence[int | str] | None = None,
    example: int = 0,
    max_nodes: int = 4096,
    node_threshold: float = 0.8,
    edge_threshold: float = 0.98,
    logit_mass: float = 0.95,
    max_logits: int = 10,
    skip: int | None = None,
    rows: int = 64,
) -> Circuit:
    """The pruned attribution graph of one prompt.

    Args:
        model: seen through transcoders; the whole MLP of a layer without one is an error node at each position.
        of: what the graph explains: the likeliest next tokens, each a node, or the behaviour's "metric".
        tokens: explain these next tokens instead of the likeliest: words of one token each, with their space, or token ids.
        example: whose clean prompt.
        max_nodes: features that get rows of their own; where more are active, those of largest influence so far are
            taken, four batches at a time. Of a long prompt as many as fit the budget of memory (2 GiB of direct effects).
        node_threshold, edge_threshold: the share of influence that the nodes and edges kept must hold; 1 keeps all.
        logit_mass, max_logits: the fewest tokens of at least this probability together, and not more than this many.
        skip: leading positions whose MLPs are no sources; by default 1 where the prompt begins with a special token
            of the tokenizer (transcoders are not trained on it), else 0.
        rows: targets of one backward pass; fewer where their gradients at every MLP would not fit it.

    Returns: a Circuit. Nodes are features and errors at `mlp` (with positions), tokens at `embed` and logits at
    `final` (the unit is the token id); `kind.prompt` has their words. A weight is the part of the target's activation,
    logit (minus the mean logit, before any cap) or metric that the source puts there directly. A score is the drop of the
    metric when the node goes to zero, its effects through other nodes included; `details` hold activations,
    influences, the bias of every target (what comes from no node) and the replacement and completeness scores of the
    graph before pruning.
    Raises: ValueError for a view that has no transcoders, a model whose attention patterns cannot be held, a metric that
    compares with the clean run.
    Costs: one forward, and a backward without MLPs for every `rows` features.
    """
    if behaviour.needs.reference:
        raise ValueError(f"{name_of(behaviour.metric)} compares with the clean run, so nothing can be attributed to it")
    if of not in ("logits", "metric"):
        raise ValueError(f"of={of!r}: an attribution graph explains 'logits' or the 'metric'")
    if of == "metric" and tokens is not None:
        raise ValueError("of='metric' explains the metric, and tokens= are explained as logits; give one of them")
    model.body.check_causal("an attribution graph")
    if not 0 <= example < len(behaviour):
        raise ValueError(f"example={example}: {behaviour.name} has the examples 0 to {len(behaviour) - 1}")
    one = replace(behaviour, pairs=behaviour.pairs[example : example + 1], split=None)
    (batch,) = one.batches(model)
    skip = _special(model, batch) if skip is None else skip
    direct = Direct(model, batch.clean, skip=skip, read=behaviour.needs.reads, logits=behaviour.needs.last)
    metric = behaviour.measured(direct.trace, batch).sum()
    on_metric = direct.on_metric(metric)
    if of == "metric":
        outputs = Outputs(on_metric, on_metric.new_ones(1), metric.detach()[None])
    else:
        probabilities = _next(direct)
        named = _likeliest(probabilities, logit_mass, max_logits) if tokens is None else _named(model, tokens)
        outputs = _logits(direct, named.to(probabilities.device), probabilities)
    rows = at_once(direct.seq * model.body.widths[EMBED] * len(direct.leaves), copies=2, most=rows)
    chosen, on_features = _feature_rows(direct, outputs, min(max_nodes, _fitting(direct, outputs)), rows)
    return _Graph(direct, batch, outputs, chosen, on_features, on_metric[0], metric).circuit(
        node_threshold, edge_threshold
    )


def _fitting(direct: Direct, outputs: Outputs) -> int:
    """How many features may have rows: of all sources while they are chosen, and then of those that are nodes."""
    others = direct.n_sources - len(direct.feature)
    square = (
        (others**2 + VALUES) ** 0.5 - others
    ) / 2  # rows * (rows + others) = VALUES / 4, of which some copies are made
    return max(1, min(VALUES // direct.n_sources - len(outputs.rows), int(square)))


def _special(model: Model, batch: Batch) -> int:
    """1 if the prompt is text that the tokenizer begins with a special token."""
    return int(in_words(batch.pairs[0].clean) and int(batch.clean[0, 0]) in model.tokenizer.all_special_ids)


@dataclass(frozen=True)
class Outputs:
    """What a graph explains: rows of direct effects, the weight of each row, its value, and its token."""

    rows: Float[Tensor, "output source"]
    weight: Float[Tensor, " output"]
    """Probabilities, or 1 for the metric."""
    value: Float[Tensor, " output"]
    token: Int[Tensor, " output"] | None = None
    """None for the metric, which is no node."""


def _next(direct: Direct) -> Float[Tensor, " vocab"]:
    """The probability of every token as the next one."""
    assert direct.trace.logits is not None
    logits = direct.trace.logits.detach()[0, -1]
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(-1)


def _likeliest(probabilities: Float[Tensor, " vocab"], mass: float, most: int) -> Int[Tensor, " output"]:
    """The fewest tokens of at least this mass, and no more than so many."""
    ordered = probabilities.sort(descending=True)
    return ordered.indices[: min(most, int((ordered.values.cumsum(0) < mass).sum()) + 1)]


def _named(model: Model, tokens: Sequence[int | str]) -> Int[Tensor, " output"]:
    """The ids of tokens. Raises: ValueError for none, a word of several, or one that is no token of the model's."""
    found: list[int] = []
    for token in tokens:
        ids = bare(model.tokenizer, token) if isinstance(token, str) else [token]
        if len(ids) != 1:
            raise ValueError(
                f"{token!r} is {len(ids)} tokens; name tokens one by one, as words with their space or ids"
            )
        found += ids
    if not found or len(set(found)) < len(found):
        raise ValueError(f"tokens={list(tokens)}: name at least one, each once")
    check_ids(torch.tensor([found]), model.body.vocabulary, model.name)
    return torch.tensor(found)


def _logits(direct: Direct, token: Int[Tensor, " output"], probabilities: Float[Tensor, " vocab"]) -> Outputs:
    """Tokens to explain, each a demeaned column of the unembedding, weighed by their probabilities."""
    table, bias = direct.model.body.unembedding, getattr(direct.model.body.unembed, "bias", None)
    columns = table[token].to(direct.activation.dtype) - table.mean(0, dtype=direct.activation.dtype)
    value = columns @ direct.trace[FINAL].detach()[0, -1].to(columns.dtype)
    if bias is not None:
        value = value + (bias.detach()[token].to(value.dtype) - bias.detach().mean(dtype=value.dtype))
    return Outputs(direct.on_final(columns), probabilities[token].to(columns.dtype), value, token)


def _feature_rows(
    direct: Direct, outputs: Outputs, max_nodes: int, rows: int
) -> tuple[Int[Tensor, " chosen"], Float[Tensor, "chosen source"]]:
    """Which features are nodes, in forward order, and the direct effects on each."""
    n = len(direct.feature)
    device = direct.activation.device
    if max_nodes >= n:
        every = torch.arange(n, device=device)
        return every, _in_batches(direct.on_features, every, rows, direct)
    order = torch.zeros(0, dtype=torch.long, device=device)
    table = torch.zeros(len(outputs.rows) + max_nodes, direct.n_sources, dtype=outputs.rows.dtype, device=device)
    table[: len(outputs.rows)] = outputs.rows
    while len(order) < max_nodes:
        reached = _reached(table[: len(outputs.rows) + len(order)], outputs.weight, order)[:n]
        reached[order] = -1
        new = reached.argsort(descending=True, stable=True)[: min(4 * rows, max_nodes - len(order))].sort().values
        start = len(outputs.rows) + len(order)
        table[start : start + len(new)] = _in_batches(direct.on_features, new, rows, direct)
        order = torch.cat([order, new])
    chosen, at = order.sort()
    return chosen, table[len(outputs.rows) :][at]


def _in_batches(on: Callable[[Tensor], Tensor], index: Tensor, rows: int, direct: Direct) -> Tensor:
    """Rows of these features, in forward order: a pass then starts at the highest layer of a few neighbours."""
    if not len(index):
        return torch.zeros(0, direct.n_sources, dtype=direct.activation.dtype, device=index.device)
    return torch.cat([on(some) for some in index.split(rows)])


def _reached(
    table: Float[Tensor, "row source"], weight: Float[Tensor, " output"], order: Int[Tensor, " done"]
) -> Float[Tensor, " source"]:
    """Influence of every source, over the rows known so far: those of the outputs, then of the features in `order`."""
    size = table.abs().sum(1).clamp_min(torch.finfo(table.dtype).tiny)
    among = torch.zeros(len(table), len(table), dtype=table.dtype, device=table.device)
    among[:, len(weight) :] = table[:, order].abs() / size[:, None]
    start = torch.cat([weight, weight.new_zeros(len(order))])
    of_row = (carried_back(among, start) + start) / size
    return torch.stack([w @ some.abs() for w, some in zip(of_row.split(256), table.split(256), strict=True)]).sum(0)


@dataclass(frozen=True)
class _Graph:
    """All that is known of one prompt, on its way into a circuit; nodes: features, errors, tokens, outputs."""

    direct: Direct
    batch: Batch
    outputs: Outputs
    chosen: Int[Tensor, " feature"]
    on_features: Float[Tensor, "feature source"]
    on_metric: Float[Tensor, " source"]
    metric: Float[Tensor, ""]

    def circuit(self, node_threshold: float, edge_threshold: float) -> Circuit:
        direct, outputs, f = self.direct, self.outputs, len(self.chosen)
        others = torch.arange(len(direct.feature), direct.n_sources, device=self.chosen.device)
        source = torch.cat([self.chosen, others])
        n, k = len(source) + len(outputs.rows), len(outputs.rows)
        A = torch.zeros(f + k, n, dtype=self.on_features.dtype, device=source.device)
        A[:f, : n - k], A[f:, : n - k] = self.on_features[:, source], outputs.rows[:, source]
        index = torch.arange(n, device=source.device)
        rows = torch.cat([index[:f], index[n - k :]])
        kinds = Kinds(
            token=(index >= n - k - direct.seq) & (index < n - k),
            error=(index >= f) & (index < n - k - direct.seq),
            weight=torch.cat([outputs.weight.new_zeros(n - k), outputs.weight]),
            output=index >= n - k,
            target=rows,
        )
        nodes, edges = prune(A, kinds, node_threshold, edge_threshold)
        score = self._scores(A[:f], rows[:f], source)
        value = torch.cat([direct.activation[self.chosen], A.new_full((n - k - f,), float("nan")), outputs.value])
        shown = nodes if outputs.token is not None else nodes & (index < n - k)
        columns = self._columns(f, n, k)
        row, origin = edges.nonzero(as_tuple=True)
        new = torch.full((n,), OUTPUT, device=source.device)
        new[shown] = torch.arange(int(shown.sum()), device=source.device)
        made = Circuit(
            sites=(EMBED, *(Site("mlp", layer) for layer in range(direct.layers)), FINAL),
            units=self._units(),
            site=columns["site"][shown].cpu().numpy(),
            unit=columns["unit"][shown].cpu().numpy(),
            position=columns["position"][shown].cpu().numpy(),
            score=score[shown].double().cpu().numpy(),
            patch_mean=np.where(value[shown].isnan().cpu().numpy(), np.nan, 0.0),
            source=new[origin].cpu().numpy(),
            target=new[rows[row]].cpu().numpy(),
            weight=A[row, origin].double().cpu().numpy(),
            kind=Kind("prompt_graph", length=direct.seq, prompt=self._prompt()),
        )
        bias = self._bias()
        forward = np.lexsort((made.unit == ERROR, made.position, made.site))
        return replace(made.keep(forward), labels=self._labels()).with_details(
            weights="of the target's activation",
            replacement=replacement(A, kinds),
            completeness=completeness(A, kinds),
            features={"active": len(direct.feature), "traced": f, "kept": int(nodes[:f].sum())},
            activation=_by_address(made, value[shown]),
            influence=_by_address(made, (influence(A, kinds) + kinds.weight)[shown]),
            bias=_by_address(made, torch.cat([bias[:f], A.new_full((n - k - f,), float("nan")), bias[f:]])[shown]),
        )

    def _scores(self, A: Tensor, feature: Tensor, source: Tensor) -> Float[Tensor, " node"]:
        """Drop of the metric when a node goes to zero: directly, and through the features that then read less."""
        start = torch.cat([self.on_metric[source], A.new_zeros(len(self.outputs.rows))])
        score = start + carried_back(A / self.direct.activation[self.chosen][:, None], start, feature)
        if self.outputs.token is not None:
            score[len(source) :] = self._logit_gradient()[self.outputs.token] * self.outputs.value
        return score

    def _logit_gradient(self) -> Float[Tensor, " vocab"]:
        logits = self.direct.trace.logits
        assert logits is not None
        (grad,) = torch.autograd.grad(self.metric, logits, retain_graph=True, allow_unused=True)
        return torch.zeros_like(logits[0, -1]) if grad is None else grad[0, -1].to(self.outputs.value.dtype)

    def _bias(self) -> Float[Tensor, " target"]:
        """What comes to each feature and output from no source at all: biases, and MLPs at skipped positions."""
        value = torch.cat([self.direct.activation[self.chosen], self.outputs.value])
        return value - torch.cat([self.on_features.sum(1), self.outputs.rows.sum(1)])

    def _columns(self, f: int, n: int, k: int) -> dict[str, Tensor]:
        """site, unit, position of every node."""
        direct, seq = self.direct, self.direct.seq
        layer, position, unit = direct.feature[self.chosen].T
        places = torch.arange((direct.layers + 1) * seq, device=layer.device)
        tokens = self.batch.clean[0]
        out = self.outputs.token if self.outputs.token is not None else tokens.new_full((k,), 0)
        return {
            "site": torch.cat(
                [layer + 1, (places // seq + 1) % (direct.layers + 1), torch.full_like(out, direct.layers + 1)]
            ),
            "unit": torch.cat([unit, torch.full_like(places[:-seq], ERROR), tokens, out]),
            "position": torch.cat([position, places % seq, torch.full_like(out, seq - 1)]),
        }

    def _units(self) -> dict[Site, int]:
        vocab = self.direct.model.body.vocabulary
        found = self.direct.transcoders
        of_layer = {Site("mlp", i): found[i].n_units if i in found else 0 for i in range(self.direct.layers)}
        return {EMBED: vocab, **of_layer, FINAL: vocab}

    def _prompt(self) -> Prompt:
        """The prompt's tokens, and the likeliest next ones with their probabilities."""
        ids, out = self.batch.clean[0].tolist(), self.outputs
        likely = () if out.token is None else zip(out.token.tolist(), out.weight.tolist(), strict=True)
        logits = tuple(Logit(i, self._word(i), p) for i, p in likely)
        return Prompt(tuple(map(self._word, ids)), tuple(ids), logits)

    def _word(self, id: int) -> str:
        text = in_words(self.batch.pairs[0].clean)
        return str(self.direct.model.tokenizer.decode([id])) if text else str(id)

    def _labels(self) -> Labels:
        out = [] if self.outputs.token is None else self.outputs.token.tolist()
        ends = ((EMBED, self.batch.clean[0].tolist()), (FINAL, out))
        said = {f"{site}/{id}": Label(self._word(id), "token") for site, ids in ends for id in ids if self._word(id)}
        return Labels.of(said)


def _by_address(circuit: Circuit, values: Tensor) -> dict[str, float]:
    """A number for every node that has one, by its address."""
    pairs = zip(circuit, values.tolist(), strict=True)
    return {node.address: value for node, value in pairs if value == value}
