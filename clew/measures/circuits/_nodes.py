"""A trial of nodes: every node outside a circuit is ablated, site by site in forward order.

What flows at a site when it is reached, ablations below included, is encoded anew; nodes of the circuit stay.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from clew.changes import ActivationEdit, Set
from clew.circuits.circuit import ANYWHERE, ERROR, Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.measures.circuits._trial import Trial
from clew.models import Model, Trace
from clew.progress import Tell
from clew.readings.ablation import Ablation
from clew.readings.contrast import batch_tokens, check_fits, mean_states, read_sites, resampled, state
from clew.sites import Site

FAR = 5.0
"""So many times as long as what flows may be what replaces it, at the median position."""


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
        start, constants = ablation.start, ablation.constants
        self.sites = [s for s in model.dictionaries if s.layer is None or s.layer >= start if s.part != "embed"]
        if not self.sites:
            raise ValueError(
                f"with start={start} no site of the view is left to ablate; {model.name} has {model.n_layers} layers"
            )
        self.batches = list(behaviour.batches(model, tokens=batch_tokens(model)))
        self._mean = mean_states(model, behaviour, of="patch") if self.kind == "mean" and constants is None else None
        self.other = (
            [self._other_run(b) for b in self.batches]
            if self.kind in ("resample", "patch") and constants is None
            else [None] * len(self.batches)
        )
        self.whole = self.metric(None)
        self.far = self._far()
        self.empty = self.metric(lambda site, unit, length: torch.zeros(length, unit + 1, dtype=torch.bool))
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

    def _far(self) -> str:
        """Where what replaces is far longer than what flows, in words: nothing like it ever flows there."""
        if self._mean is None and self.ablation.constants is None:
            return ""  # zero is asked for, and other prompts are run
        ratios: dict[Site, list[Tensor]] = {site: [] for site in self.sites}
        for batch in self.batches:
            clean = self.model.run(batch.clean, read=self.sites, logits=0)
            for site, seen in ratios.items():
                code, left = self.instead(batch, None, site)
                there = self.model.dictionaries[site].decode(torch.as_tensor(code)) + left
                ratio = there.norm(dim=-1) / clean[site].norm(dim=-1)
                seen.append(ratio.expand(batch.clean.shape).flatten())
        times = {site: float(torch.cat(seen).nanmedian()) for site, seen in ratios.items()}
        site = max(times, key=lambda s: times[s])
        if times[site] <= FAR:
            return ""
        return (
            f"what replaces {site} is {times[site]:.0f} times as long as what flows there (the median over positions), so "
            'the model without it is no model that ever runs; choose another ablation, such as "patch" or "resample"'
        )

    def metric(self, keep: Callable[[Site, int, int], Tensor] | None) -> np.ndarray:
        """Metric of every prompt with all nodes ablated but those that `keep(site, n_units, seq)`, [seq, unit + 1], holds."""
        values: list[Tensor] = []
        for batch, other in self.over(list(zip(self.batches, self.other, strict=True))):
            edits = [] if keep is None else list(self._edits(batch, other, keep))
            reads = self.behaviour.needs.reads
            run = self.model.run(batch.clean, read=reads, edits=edits, logits=1)
            values.append(self.behaviour.measured(run, batch).detach())
        return torch.cat(values).cpu().double().numpy()

    def _edits(
        self, batch: Batch, other: Trace | None, keep: Callable[[Site, int, int], Tensor]
    ) -> Iterator[ActivationEdit]:
        for site in self.sites:
            dictionary = self.model.dictionaries[site]
            mask = keep(site, dictionary.n_units, batch.clean.shape[1]).to(batch.clean.device)
            code, left = self.instead(batch, other, site)
            yield Set(site, value=code, keep=dictionary.unfold(mask[:, :-1]), basis="code")
            if self.ablation.errors == "keep" or dictionary.exact:
                continue
            error = mask[:, -1:] if self.ablation.errors == "nodes" else torch.zeros_like(mask[:, -1:])
            yield Set(site, value=left, keep=error, basis="error")

    def circuit_metric(self, circuit: Circuit, *, complement: bool = False) -> np.ndarray:
        """Metric of every prompt with only the circuit in place, or with only the rest of the model."""
        check_fits(self.model, circuit, {b.clean.shape[1] for b in self.batches})
        return self.metric(lambda site, units, length: _mask(circuit, site, units, length) ^ complement)

    def size(self, circuit: Circuit) -> int:
        return len(circuit)

    def largest(self, circuit: Circuit, n: int) -> Circuit:
        return circuit.top(n)

    def draw(self, circuit: Circuit, index: np.ndarray) -> Circuit:
        return circuit.keep(index)


def _mask(circuit: Circuit, site: Site, units: int, length: int) -> Tensor:
    """Which (position, unit or error) the circuit holds at a site."""
    mask = torch.zeros(length, units + 1, dtype=torch.bool)
    if site not in circuit.sites:
        return mask
    here = np.flatnonzero(circuit.site == circuit.sites.index(site))
    unit = torch.from_numpy(np.where(circuit.unit[here] == ERROR, units, circuit.unit[here]))
    position = torch.from_numpy(circuit.position[here])
    everywhere = position == ANYWHERE
    mask[:, unit[everywhere]] = True
    mask[position[~everywhere], unit[~everywhere]] = True
    return mask
