"""Node effects from gradients: what every gradient method does once it has d loss / d value at each site.

With x = decode(code) + error spliced in as the identity, a unit's gradient is its decoder row times
the gradient of the stream, so all node effects of a pass are matrix products:
effect(unit) = (grad . row) (code_other - code_clean); effect(error) = grad . (error_other - error_clean).
Source: Marks et al. 2024 (arXiv:2403.19647), section 3.1. Our loss is minus the behaviour's metric,
so a positive effect is a drop of the metric: the unit supports the behaviour.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeGuard

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.circuits.circuit import ANYWHERE, ERROR, NODE_COLUMNS, Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour, Pair
from clew.dictionaries import Dictionary
from clew.dictionaries.sparse import Sparse
from clew.methods._wide import Adding, goes_by_what_fires, sums
from clew.models import Model, Trace
from clew.progress import Tell
from clew.readings.contrast import Baseline, Contrast, State
from clew.sites import Site

Gradients = Callable[[Contrast, Batch, Trace, Trace | None], dict[Site, Tensor]]
"""d loss / d value at every site of the view, [example, seq, d], from the clean and the other run. What loops within a batch
does so over `contrast.loops`, so that progress is told of its steps."""


@dataclass(frozen=True)
class Scored:
    """One batch: per-example effects at one site; the last column is the error node."""

    effect: Float[Tensor, "example seq unit_and_error"]
    other: State
    """The state that the units would take."""


def clean_run(contrast: Contrast, batch: Batch) -> Trace:
    """The clean pass of a batch, tied for gradients and recorded so that others can resume from it."""
    reads = [*contrast.sites, *contrast.behaviour.needs.reads]
    keep = contrast.behaviour.needs.last
    return contrast.model.run(batch.clean, read=reads, grad=True, logits=keep, record=True)


@dataclass(frozen=True)
class Passes:
    """What the gradient methods have of some pairs, tied to nothing."""

    clean: Trace
    """What flowed at the sites that the dictionaries of the view read or write."""
    other: Trace | None
    grads: Mapping[Site, Float[Tensor, "example seq d"]]

    def of(self, rows: Sequence[int], dictionaries: Mapping[Site, Dictionary]) -> Passes:
        """Of some of the pairs, as they are seen through these dictionaries."""
        index = torch.tensor(rows, device=self.clean.tokens.device)
        clean = replace(_bare(self.clean, index), dictionaries=dictionaries)
        other = None if self.other is None else replace(_bare(self.other, index), dictionaries=dictionaries)
        return Passes(clean, other, {site: grad[index] for site, grad in self.grads.items()})


def passes(contrast: Contrast, batch: Batch, gradients: Gradients) -> Passes:
    """The runs of a batch and its gradients; in a model that shares, those that were had before of these pairs."""
    shared = contrast.model.shared
    if shared is None:
        return _passes(contrast, batch, gradients)
    wanted = _Had((*contrast.key, *_named(gradients)), batch.pairs)
    for had in filter(wanted.is_part_of, shared.keys()):
        if (found := shared.get(had)) is not None:
            return found.of([had.pairs.index(pair) for pair in batch.pairs], contrast.model.dictionaries)
    found = _passes(contrast, batch, gradients)
    shared.put(wanted, found)
    return found


@dataclass(frozen=True)
class _Had:
    """Under what passes are kept: what they depend on, and the pairs that they are of."""

    key: tuple[Hashable, ...]
    pairs: tuple[Pair, ...]

    def is_part_of(self, other: Hashable) -> TypeGuard[_Had]:
        return isinstance(other, _Had) and self.key == other.key and set(self.pairs) <= set(other.pairs)


def _passes(contrast: Contrast, batch: Batch, gradients: Gradients) -> Passes:
    clean, other = clean_run(contrast, batch), contrast.other(batch)
    grads = gradients(contrast, batch, clean, other)
    return Passes(_bare(clean), other, {site: grads[site] for site in contrast.model.dictionaries})


def _bare(run: Trace, rows: Tensor | slice = slice(None)) -> Trace:
    """Some rows of a run, and of it what flowed alone."""
    values = {site: x.detach()[rows] for site, x in run.values.items()}
    return replace(run, tokens=run.tokens[rows], real=run.real[rows], values=values, logits=None, blocks={})


def _named(gradients: Gradients) -> tuple[Hashable, ...]:
    """A function of gradients with all of its options, those that were left out too."""
    function, given = (gradients.func, gradients.keywords) if isinstance(gradients, partial) else (gradients, {})
    known = inspect.signature(function).parameters.values()
    return function, *((p.name, repr(given.get(p.name, p.default))) for p in known if p.kind == p.KEYWORD_ONLY)


def loss(behaviour: Behaviour, trace: Trace, batch: Batch) -> Float[Tensor, ""]:
    """Minus the metric, summed over examples, which are independent of each other."""
    return -behaviour.measured(trace, batch).sum()


def effects(contrast: Contrast, clean: Trace, other: Trace | None, site: Site, grad: Tensor) -> Scored:
    """Per-example effect of every unit and of the error at one site."""
    dictionary = contrast.model.dictionaries[site]
    here, there = contrast.states(clean, other, site)
    grad = grad.to(here.code.dtype)
    units = dictionary.fold(dictionary.pull(grad) * (there.code - here.code))
    error = (grad * (there.error - here.error)).sum(-1, keepdim=True)
    return Scored(torch.cat([units, error], dim=-1), there)


def score_nodes(
    model: Model,
    behaviour: Behaviour,
    gradients: Gradients,
    *,
    baseline: Baseline | None,
    positions: bool | None,
    seed: int,
    skip: int = 0,
    progress: Tell | None = None,
) -> Circuit:
    """Mean effect of every node over the behaviour's examples, as a circuit of all nodes that have one."""
    contrast = Contrast(model, behaviour, baseline, seed=seed, progress=progress)
    mean = Mean(contrast, positions, skip)
    for batch in contrast.loops.over(contrast.batches):
        had = passes(contrast, batch, gradients)
        for site in model.dictionaries:
            mean.score(site, had.clean, had.other, had.grads[site])
    return mean.circuit()


class Mean:
    """Adds up per-example effects, site by site, into a circuit of their means."""

    def __init__(self, contrast: Contrast, positions: bool | None, skip: int = 0) -> None:
        """Args: skip: the first positions, at which no unit counts."""
        self.contrast, self.skip = contrast, skip
        self.keep = contrast.keeps_positions(positions)
        self._effect: dict[Site, Tensor] = {}
        self._square: dict[Site, Tensor] = {}
        self._code: dict[Site, Tensor] = {}
        self._wide: dict[Site, Adding] = {}

    def score(self, site: Site, clean: Trace, other: Trace | None, grad: Float[Tensor, "example seq d"]) -> None:
        """Add one batch's effects at one site, from the gradient there."""
        contrast = self.contrast
        if not goes_by_what_fires(contrast, contrast.model.dictionaries[site], self.keep):
            return self.add(site, effects(contrast, clean, other, site, grad))
        grad = grad.index_fill(1, self._skipped(grad), 0)
        return self._wide.setdefault(site, Adding()).add(sums(contrast, clean, other, site, grad, self.keep))

    def add(self, site: Site, scored: Scored) -> None:
        """Add one batch's effects at one site."""
        code = self.contrast.model.dictionaries[site].fold(scored.other.code)
        over = 0 if self.keep else (0, 1)
        effect = scored.effect.index_fill(1, self._skipped(code), 0)
        of_example = effect if self.keep else effect.sum(1)
        for totals, new in ((self._effect, of_example), (self._square, of_example**2), (self._code, code)):
            new = new.sum(over if totals is self._code else 0).reshape(-1, new.shape[-1])
            totals[site] = totals[site] + new if site in totals else new

    def _skipped(self, x: Float[Tensor, "example seq ..."]) -> Int[Tensor, " position"]:
        return torch.arange(min(self.skip, x.shape[1]), device=x.device)

    def circuit(self) -> Circuit:
        """Effects averaged over examples; codes averaged over examples and, if positions are summed, positions."""
        found = assembled(self.contrast.model, self._table, self.keep)
        found = replace(found, provenance={"baseline": self.contrast.baseline})
        if not self.keep:
            return found
        return found.with_kind(length=self.contrast.batches[0].clean.shape[1]).with_details(
            tokens=self.contrast.words()
        )

    def _table(self, site: Site) -> Table:
        examples, prompts = len(self.contrast.behaviour), self.contrast.behaviour.distinct
        places = examples if self.keep else sum(b.clean.numel() for b in self.contrast.batches)
        if site not in self._wide:
            score = self._effect[site] / examples
            error = standard_error(score, self._square[site] / examples, prompts)
            return table_of(self.contrast.model.dictionaries[site], score, self._code[site] / places, error)
        total = self._wide[site].total()
        effect, square, code = total.value.T
        score = effect / examples
        return sparse_table_of(total, score, code / places, standard_error(score, square / examples, prompts))


def standard_error(mean: Tensor, square: Tensor, prompts: int) -> Tensor:
    """Of a mean over examples, from it and the mean of squares; nan for a single prompt.

    Args: prompts: how many there are among the examples, copies counted once.
    """
    variance = (square - mean**2).clamp_min(0)
    return (variance / (prompts - 1)).sqrt() if prompts > 1 else torch.full_like(mean, float("nan"))


class Spread:
    """Values of examples added up, for their mean and its standard error."""

    def __init__(self, *shape: int, device: torch.device | None = None) -> None:
        self._sum = torch.zeros(shape, dtype=torch.float64, device=device)
        self._square = torch.zeros_like(self._sum)

    def add(self, at: Any, values: Float[Tensor, "example *shape"]) -> None:
        """Add the values of some examples at an index."""
        values = values.to(self._sum)
        self._sum[at] += values.sum(0)
        self._square[at] += (values**2).sum(0)

    def over(self, behaviour: Behaviour) -> tuple[Tensor, Tensor]:
        """Mean and standard error, once the values of all its examples were added."""
        examples = len(behaviour)
        mean = self._sum / examples
        return mean, standard_error(mean, self._square / examples, behaviour.distinct)


@dataclass(frozen=True)
class Table:
    """The nodes of one site whose score is not zero, ordered by position and unit."""

    position: Int[Tensor, " node"]
    unit: Int[Tensor, " node"]
    """Or ERROR."""
    score: Float[Tensor, " node"]
    mean: Float[Tensor, " node"]
    """Of its code in the other state."""
    error: Float[Tensor, " node"]
    """The standard error of the score."""


def table_of(
    dictionary: Dictionary,
    score: Float[Tensor, "place unit_and_error"],
    mean: Float[Tensor, "place unit"],
    error: Float[Tensor, "place unit_and_error"] | None,
) -> Table:
    """Of values of all units."""
    if dictionary.exact:
        score = score.clone()
        score[:, -1] = 0  # rounding, not an error node
    at, unit = score.nonzero(as_tuple=True)
    padded = torch.cat([mean, torch.full_like(mean[:, :1], float("nan"))], dim=1)
    spread = torch.full_like(score, float("nan")) if error is None else error
    named = torch.where(unit == dictionary.n_units, ERROR, unit)
    return Table(at, named, score[at, unit], padded[at, unit], spread[at, unit])


def sparse_table_of(like: Sparse, score: Tensor, mean: Tensor, error: Tensor) -> Table:
    """Of values of the entries of what is sparse, whose last unit is the error."""
    some = score.nonzero()[:, 0]
    unit, is_error = like.unit[some], like.unit[some] == like.units - 1
    code = mean[some].masked_fill(is_error, float("nan"))
    return Table(like.row[some], unit.masked_fill(is_error, ERROR), score[some], code, error[some])


def circuit_of(
    model: Model,
    score: Mapping[Site, Tensor],
    mean: Mapping[Site, Tensor],
    positions: bool,
    error: Mapping[Site, Tensor] | None = None,
) -> Circuit:
    """A circuit of every node whose score is not zero.

    Args: score: [seq or 1, unit + error]. mean: of the units in the other state, [seq or 1, unit]. error: the
        standard errors of the scores.
    """

    def table(site: Site) -> Table:
        return table_of(model.dictionaries[site], score[site], mean[site], None if error is None else error[site])

    return assembled(model, table, positions)


def assembled(model: Model, table: Callable[[Site], Table], positions: bool) -> Circuit:
    """A circuit of the nodes of each site."""
    sites = tuple(model.dictionaries)
    columns: dict[str, list[np.ndarray]] = {n: [] for n in NODE_COLUMNS}
    for i, site in enumerate(sites):
        found = table(site)
        columns["site"].append(np.full(len(found.unit), i))
        columns["unit"].append(found.unit.cpu().numpy())
        columns["position"].append(
            (found.position if positions else found.unit.new_full((len(found.unit),), ANYWHERE)).cpu().numpy()
        )
        for name, value in (("score", found.score), ("patch_mean", found.mean), ("score_error", found.error)):
            columns[name].append(value.double().cpu().numpy())
    whole: dict[str, Any] = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Circuit(sites, {s: model.dictionaries[s].n_units for s in sites}, **whole)
