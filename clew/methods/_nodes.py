"""Node effects from gradients: what every gradient method does once it has d loss / d value at each site.

With x = decode(code) + error spliced in as the identity, a unit's gradient is its decoder row times
the gradient of the stream, so all node effects of a pass are matrix products:
effect(unit) = (grad . row) (code_other - code_clean); effect(error) = grad . (error_other - error_clean).
Source: Marks et al. 2024 (arXiv:2403.19647), section 3.1. Our loss is minus the behaviour's metric,
so a positive effect is a drop of the metric: the unit supports the behaviour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clew.circuits.circuit import ANYWHERE, ERROR, NODE_COLUMNS, Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
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
    return contrast.model.run(batch.clean, read=reads, grad=True, logits=1, record=True)


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
        clean, other = clean_run(contrast, batch), contrast.other(batch)
        grads = gradients(contrast, batch, clean, other)
        for site in model.dictionaries:
            mean.add(site, effects(contrast, clean, other, site, grads[site]))
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

    def add(self, site: Site, scored: Scored) -> None:
        """Add one batch's effects at one site."""
        code = self.contrast.model.dictionaries[site].fold(scored.other.code)
        over = 0 if self.keep else (0, 1)
        effect = scored.effect.index_fill(1, torch.arange(min(self.skip, code.shape[1])).to(code.device), 0)
        of_example = effect if self.keep else effect.sum(1)
        for totals, new in ((self._effect, of_example), (self._square, of_example**2), (self._code, code)):
            new = new.sum(over if totals is self._code else 0).reshape(-1, new.shape[-1])
            totals[site] = totals[site] + new if site in totals else new

    def circuit(self) -> Circuit:
        """Effects averaged over examples; codes averaged over examples and, if positions are summed, positions."""
        examples, prompts = len(self.contrast.behaviour), self.contrast.behaviour.distinct
        tokens = sum(b.clean.numel() for b in self.contrast.batches)
        mean = {site: t / examples for site, t in self._effect.items()}
        found = circuit_of(
            self.contrast.model,
            mean,
            {site: t / (examples if self.keep else tokens) for site, t in self._code.items()},
            self.keep,
            {site: standard_error(mean[site], t / examples, prompts) for site, t in self._square.items()},
        )
        found = replace(found, provenance={"baseline": self.contrast.baseline})
        if not self.keep:
            return found
        return found.with_kind(length=self.contrast.batches[0].clean.shape[1]).with_details(
            tokens=self.contrast.words()
        )


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
    sites = tuple(model.dictionaries)
    columns: dict[str, list[np.ndarray]] = {n: [] for n in NODE_COLUMNS}
    for i, site in enumerate(sites):
        dictionary = model.dictionaries[site]
        table = score[site].clone()
        if dictionary.exact:
            table[:, -1] = 0  # rounding, not an error node
        at, unit = table.nonzero(as_tuple=True)
        is_error = unit == dictionary.n_units
        padded = torch.cat([mean[site], torch.full_like(mean[site][:, :1], float("nan"))], dim=1)
        columns["site"].append(np.full(len(at), i))
        columns["unit"].append(torch.where(is_error, ERROR, unit).cpu().numpy())
        columns["position"].append((at if positions else torch.full_like(at, ANYWHERE)).cpu().numpy())
        columns["score"].append(table[at, unit].double().cpu().numpy())
        columns["patch_mean"].append(padded[at, unit].double().cpu().numpy())
        spread = torch.full_like(table, float("nan")) if error is None else error[site]
        columns["score_error"].append(spread[at, unit].double().cpu().numpy())
    whole: dict[str, Any] = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Circuit(sites, {s: model.dictionaries[s].n_units for s in sites}, **whole)
