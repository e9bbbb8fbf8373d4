"""A trial of nodes: every node outside a circuit is ablated, site by site in forward order.

What flows at a site when it is reached, ablations below included, is encoded anew; nodes of the circuit stay.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple, TypeGuard

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.changes import ActivationEdit, Set
from clew.circuits.circuit import ANYWHERE, ERROR, Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.dictionaries import Dictionary, Learned
from clew.dictionaries.sparse import is_wide
from clew.measures.circuits._trial import Trial
from clew.measures.circuits._wide import Otherwise, exchange, otherwise
from clew.models import Model, Trace
from clew.models.run import first_block
from clew.models.standing import changes, standing
from clew.progress import Tell
from clew.readings.ablation import Ablation
from clew.readings.contrast import MeanStates, batch_tokens, check_fits, mean_states, read_sites, resampled, state
from clew.scale.budget import at_once
from clew.sites import Site

TOKENS = 1024
"""Circuits run side by side up to so many tokens; from some 500 on a token costs no less."""
FAR = 5.0
"""So many times as long as what flows may be what replaces it, at the median position."""


class Keep(NamedTuple):
    """What is in place: the nodes of a circuit, or (`complement`) all others."""

    circuit: Circuit | None
    """None: an empty one."""
    complement: bool = False

    def mask(self, site: Site, units: int, length: int) -> Bool[Tensor, "seq unit_and_error"]:
        """Which (position, unit or error) of a site are in place."""
        return _mask(self.circuit, site, units, length) ^ self.complement


class _Ends(NamedTuple):
    """What the trials of one behaviour have in common: the states that nodes take, and the metric at the two ends."""

    mean: MeanStates | None
    other: list[Trace | None]
    bases: list[Trace | None]
    whole: np.ndarray
    empty: np.ndarray
    far: str


class NodeTrial(Trial):
    """A model, some prompts and a way to ablate: measures any number of circuits against the same two ends."""

    unit = "node"

    def __init__(
        self,
        model: Model,
        behaviour: Behaviour,
        ablation: Ablation,
        *,
        seed: int,
        progress: Tell | None = None,
        circuits: int = 0,
    ) -> None:
        """Args: circuits: how many will be measured, for `progress`."""
        self.kind = ablation.kind_for(behaviour)
        if self.kind == "patch" and behaviour.baseline != "patch":
            raise ValueError(f"{behaviour.name} has no patch prompts; choose ablation='mean', 'zero' or 'resample'")
        self.model, self.behaviour, self.ablation, self.seed = model, behaviour, ablation, seed
        self.progress, self.expected = progress, 2 + circuits
        self._others: dict[tuple[int, Site], Otherwise] = {}
        start = ablation.start
        self.sites = [s for s in model.dictionaries if s.layer is None or s.layer >= start if s.part != "embed"]
        if not self.sites:
            raise ValueError(
                f"with start={start} no site of the view is left to ablate; {model.name} has {model.n_layers} layers"
            )
        self.batches = list(behaviour.batches(model, tokens=batch_tokens(model)))
        self._logits = behaviour.needs.last
        self._copies = _at_once(model, self.batches)
        self._first = 0 if "resume" in model.body.refused else first_block(self._visited())
        shared = model.shared if ablation.constants is None else None
        ends = shared.of(self._key, self._run_ends) if shared else self._run_ends()
        self._mean, self.other, self._bases, self.whole, self.empty, self.far = ends
        self.forwards = 2
        if self.far:
            warnings.warn(f"{behaviour.name}: {self.far}", stacklevel=2)
        self.check_ends(f"every node at {len(self.sites)} sites")

    @property
    def how(self) -> tuple[str, ...]:
        error = {"nodes": "errors are nodes", "keep": "errors kept", "remove": "errors ablated"}[self.ablation.errors]
        kind = self.kind if self.ablation.constants is None else "constant"
        return (
            f"{kind} ablation at {len(self.sites)} sites, {error}; {self.said_prompts}; "
            f"metric {self.whole.mean():z.3f} whole, {self.empty.mean():z.3f} empty",
            *([self.far] if self.far else []),
        )

    @property
    def _key(self) -> tuple[Hashable, ...]:
        """What the ends depend on."""
        metric, behaviour, how = self.behaviour.metric, self.behaviour, self.ablation
        of = (metric, *changes(metric), behaviour.hash, behaviour.aligned)
        return (_Ends, *standing(self.model, units=True), *of, self.kind, how.errors, how.start, self.seed)

    def _run_ends(self) -> _Ends:
        constants = self.ablation.constants is not None
        mean = self.kind == "mean" and not constants
        self._mean = mean_states(self.model, self.behaviour, of="patch") if mean else None
        run = self.kind in ("resample", "patch") and not constants
        self.other = [self._other_run(batch) if run else None for batch in self.batches]
        self._bases, whole, far = self._run_whole()
        (empty,) = self.metrics([Keep(None)])
        return _Ends(self._mean, self.other, self._bases, whole, empty, far)

    def _other_run(self, batch: Batch) -> Trace:
        tokens = batch.patch if self.kind == "patch" else resampled(batch, self.seed)
        assert tokens is not None
        return self.model.run(tokens, read=read_sites(self.model), logits=0)

    def instead(self, batch: Batch, other: Trace | None, site: Site) -> tuple[Tensor | float, Tensor | float]:
        """What the code and the error become where they are ablated."""
        if self.ablation.constants is not None:
            return self.ablation.constants[site], 0.0
        if self._mean is not None:
            mean = self._mean(site, batch.clean)
            return mean.code, mean.error
        if other is None:
            return 0.0, 0.0
        there = state(other, site)
        return there.code, there.error

    def _goes_by_what_fires(self, dictionary: Dictionary) -> TypeGuard[Learned]:
        return self.ablation.constants is None and is_wide(dictionary)

    def _otherwise(self, batch: Batch, other: Trace | None, site: Site) -> Otherwise:
        """The same of a site with a wide dictionary, kept for the circuits that follow."""
        dictionary, key = self.model.dictionaries[site], (id(batch), site)
        assert is_wide(dictionary)
        if key not in self._others:
            self._others[key] = otherwise(dictionary, site, batch.clean, self._mean, other)
        return self._others[key]

    def _visited(self) -> Iterator[Site]:
        """Every site at which something happens in a run of this trial."""
        yield from self.behaviour.needs.reads
        for site in self.sites:
            yield from (site, self.model.dictionaries[site].reads)
        for edit in self.model.activation_edits:
            yield edit.at
            if edit.gate and edit.gate.at:
                yield edit.gate.at
            if edit.at in self.model.dictionaries:
                yield self.model.dictionaries[edit.at].reads

    def _run_whole(self) -> tuple[list[Trace | None], np.ndarray, str]:
        """From where other runs resume, the metric of every prompt in the model as it is, and what `_told_far` says."""
        watched = self.sites if self._mean is not None or self.ablation.constants is not None else []
        ratios = {site: list[Tensor]() for site in watched}  # not where zero is asked for, or other prompts are run
        values, bases = list[Tensor](), list[Trace | None]()
        for batch in self.over(self.batches):
            reads = [*watched, *self.behaviour.needs.reads]
            run = self.model.run(batch.clean, read=reads, logits=self._logits, record=self._first > 0)
            values.append(self.behaviour.measured(run, batch).detach())
            bases.append(self._base(run) if self._first else None)
            for site, seen in ratios.items():
                seen.append(self._ratio(batch, run, site))
        far = _told_far({site: torch.cat(seen) for site, seen in ratios.items()})
        return bases, torch.cat(values).cpu().double().numpy(), far

    def _base(self, whole: Trace) -> Trace:
        """What a run needs of the whole one to resume: the block below the first site."""
        below = self._first - 1
        return replace(whole, logits=None, values={}, blocks={below: whole.blocks[below]})

    def _ratio(self, batch: Batch, clean: Trace, site: Site) -> Float[Tensor, " position"]:
        """How many times as long as what flows is what replaces it."""
        dictionary = self.model.dictionaries[site]
        if self._goes_by_what_fires(dictionary):
            instead = self._otherwise(batch, None, site)
            there = instead.decoded + instead.error
        else:
            code, left = self.instead(batch, None, site)
            there = dictionary.decode(torch.as_tensor(code)) + left
        return (there.norm(dim=-1) / clean[site].norm(dim=-1)).expand(batch.clean.shape).flatten()

    def metrics(self, keeps: Sequence[Keep]) -> Float[np.ndarray, "keep example"]:
        """Metric of every prompt with all nodes ablated but those that `keep` holds, for each keep, all at once."""
        n, values = len(keeps), list[Tensor]()
        for batch, other, base in self.over(list(zip(self.batches, self.other, self._bases, strict=True)), n):
            copies = batch.repeat(n) if n > 1 else batch
            edits = list(self._edits(batch, other, keeps))
            run = self.model.run(
                copies.clean, read=self.behaviour.needs.reads, edits=edits, logits=self._logits, base=base
            )
            values.append(self.behaviour.measured(run, copies).detach().view(n, -1))
        return torch.cat(values, dim=1).cpu().double().numpy()

    def _edits(self, batch: Batch, other: Trace | None, keeps: Sequence[Keep]) -> Iterator[ActivationEdit]:
        rows, length = batch.clean.shape

        def each(x: Tensor) -> Tensor:
            """What stands for every copy of the prompts, one after the other."""
            return x.repeat(len(keeps), 1, 1) if x.ndim == 3 and len(x) > 1 and len(keeps) > 1 else x

        for site in self.sites:
            dictionary = self.model.dictionaries[site]
            if self._goes_by_what_fires(dictionary):
                yield exchange(site, keeps, self.ablation.errors, dictionary, self._otherwise(batch, other, site))
                continue
            masks = torch.stack([keep.mask(site, dictionary.n_units, length) for keep in keeps]).to(batch.clean.device)
            mask = masks.repeat_interleave(rows, 0) if len(keeps) > 1 else masks
            code, left = (each(torch.as_tensor(x)) for x in self.instead(batch, other, site))
            yield Set(site, value=code, keep=dictionary.unfold(mask[..., :-1]), basis="code")
            if self.ablation.errors == "keep" or dictionary.exact:
                continue
            error = mask[..., -1:] if self.ablation.errors == "nodes" else torch.zeros_like(mask[..., -1:])
            yield Set(site, value=left, keep=error, basis="error")

    def circuit_metric(self, circuit: Circuit, *, complement: bool = False) -> np.ndarray:
        """Metric of every prompt with only the circuit in place, or with only the rest of the model."""
        return next(self.circuit_metrics([(circuit, complement)]))

    def circuit_metrics(self, asked: Iterable[tuple[Circuit, bool]]) -> Iterator[np.ndarray]:
        lengths = {b.clean.shape[1] for b in self.batches}
        rest = iter(asked)
        while some := list(islice(rest, self._copies)):
            for circuit, _ in some:
                check_fits(self.model, circuit, lengths)
            yield from self.metrics([Keep(*kept) for kept in some])

    def size(self, circuit: Circuit) -> int:
        return len(circuit)

    def largest(self, circuit: Circuit, n: int) -> Circuit:
        return circuit.top(n)

    def draw(self, circuit: Circuit, index: np.ndarray) -> Circuit:
        return circuit.keep(index)


def _at_once(model: Model, batches: Sequence[Batch]) -> int:
    """How many copies of the prompts run side by side: by their tokens, and by the logits of their last positions."""
    rows = at_once(model.body.n_answers)
    return min(max(1, min(TOKENS // batch.clean.numel(), rows // len(batch))) for batch in batches)


def _told_far(ratios: Mapping[Site, Tensor]) -> str:
    """Where what replaces is far longer than what flows, in words: nothing like it ever flows there."""
    times = {site: float(ratio.nanmedian()) for site, ratio in ratios.items()}
    site = max(times, key=lambda s: times[s], default=None)
    if site is None or times[site] <= FAR:
        return ""
    return (
        f"what replaces {site} is {times[site]:.0f} times as long as what flows there (the median over positions), so "
        'the model without it is no model that ever runs; choose another ablation, such as "patch" or "resample"'
    )


def _mask(circuit: Circuit | None, site: Site, units: int, length: int) -> Tensor:
    """Which (position, unit or error) the circuit holds at a site."""
    mask = torch.zeros(length, units + 1, dtype=torch.bool)
    if circuit is None or site not in circuit.sites:
        return mask
    here = np.flatnonzero(circuit.site == circuit.sites.index(site))
    unit = torch.from_numpy(np.where(circuit.unit[here] == ERROR, units, circuit.unit[here]))
    position = torch.from_numpy(circuit.position[here])
    everywhere = position == ANYWHERE
    mask[:, unit[everywhere]] = True
    mask[position[~everywhere], unit[~everywhere]] = True
    return mask
