"""Optimal ablation: what is lost without a component when the best constant takes its place.

a* = argmin over a of E loss(model with the component held at a), each component alone, at every position; the gap
E loss(a*) - E loss(whole) is never above that of mean ablation. Source: Li & Janson 2024 (arXiv:2409.09951), section 2.
A constant that misleads the rest of the model ("spoofing") is not the fault of the component; this one misleads least.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.changes import ActivationEdit, Set
from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.data.behaviours.metrics import needs
from clew.methods._masked import judged, mask_like, minus
from clew.methods._masks import loop
from clew.methods._nodes import circuit_of, standard_error
from clew.models import Model, Trace
from clew.progress import Tell
from clew.readings.contrast import batch_tokens, read_sites
from clew.sites import Site


def optimal_ablation(
    model: Model,
    behaviour: Behaviour,
    *,
    objective: str | None = "kl_divergence",
    steps: int = 100,
    lr: float = 0.05,
    tokens: int = 4096,
    progress: Tell | None = None,
) -> Circuit:
    """Every unit of the view by what its best constant loses; made for `model.components()` and `model.heads()`.

    Args:
        objective: the metric that the constant keeps high, by name; None is the behaviour's own. Li & Janson use
            -KL from the whole model, as the default here.
        steps: of Adam, each over all prompts. lr: in units of the component's own standard deviation.
        tokens: how many run at once; several components share a pass, each on a copy of the prompts.
        progress: called with (step, steps, {"loss"}) for each group of components.

    Returns: a Circuit; a score is the drop of the objective (nats for the default) under the unit's best constant,
    with its standard error over examples. `details["constants"]` holds the constants by site, a number for each
    coordinate of the code; `constants` gives them as tensors. Errors of a dictionary have no constant and no score.
    Raises: ValueError; Stopped at an interrupt, which holds the groups that were done.
    Costs: a forward and a backward for each unit and step, from the unit's layer on.
    """
    search = _Search(model, behaviour, objective, tokens)
    search.learn(steps, lr, tokens, progress)
    return search.circuit()


def constants(
    model: Model,
    behaviour: Behaviour,
    *,
    objective: str | None = "kl_divergence",
    steps: int = 100,
    lr: float = 0.05,
    tokens: int = 4096,
    progress: Tell | None = None,
) -> dict[Site, Float[Tensor, " code"]]:
    """The best constant of every unit, in the coordinates of its site's code; arguments as for optimal_ablation.

    `Set(site, value=constants[site], keep=..., basis="code")` ablates the units whose coordinates `keep` leaves out.
    """
    search = _Search(model, behaviour, objective, tokens)
    search.learn(steps, lr, tokens, progress)
    return search.constant


@dataclass(frozen=True)
class _Prompts:
    """One batch and its clean run, recorded to resume from."""

    batch: Batch
    clean: Trace
    whole: Float[Tensor, " example"]
    """The loss of the whole model."""


class _Search:
    """The constants and what they lose: those of the mean until `learn` comes to a unit."""

    def __init__(self, model: Model, behaviour: Behaviour, objective: str | None, tokens: int) -> None:
        own, behaviour = behaviour.metric, judged(behaviour, objective)
        self.model, self.metric, self.in_metric_units = model, behaviour.metric, behaviour.metric == own
        self.reads = needs(self.metric).reads
        self.prompts = [
            self._clean(batch) for batch in behaviour.batches(model, tokens=min(tokens, batch_tokens(model)))
        ]
        self.examples, self.distinct = len(behaviour), behaviour.distinct
        self.constant: dict[Site, Float[Tensor, " code"]] = {}
        self.deviation: dict[Site, Float[Tensor, " unit"]] = {}
        """Root mean square distance of a coordinate of the unit from its mean."""
        self.drop: dict[Site, Float[Tensor, "example unit"]] = {}
        """Of the objective when the unit is held at its constant; nan for a unit not reached."""
        for site, dictionary in model.dictionaries.items():
            code = torch.cat([p.clean.code(site).detach().to(mask_like(model)).flatten(0, 1) for p in self.prompts])
            ones = torch.ones_like(code[0])
            self.constant[site] = code.mean(0)
            self.deviation[site] = (dictionary.fold(code.var(0, correction=0)) / dictionary.fold(ones)).sqrt()
            self.drop[site] = code.new_full((self.examples, dictionary.n_units), float("nan"))

    def _clean(self, batch: Batch) -> _Prompts:
        clean = self.model.run(
            batch.clean, read=[*read_sites(self.model), *self.reads], logits=needs(self.metric).last, record=True
        )
        return _Prompts(batch, clean, minus(self.metric, clean, batch, 1)[0])

    def learn(self, steps: int, lr: float, tokens: int, progress: Tell | None) -> None:
        """All units, in groups of neighbours that share a pass, so that it can resume far up."""
        if steps < 0:
            raise ValueError(f"steps={steps}: give 0, which is mean ablation, or more")
        units = [(site, unit) for site, d in self.model.dictionaries.items() for unit in range(d.n_units)]
        size = max(1, tokens // max(p.batch.clean.numel() for p in self.prompts))
        for first in range(0, len(units), size):
            self._learn(units[first : first + size], steps, lr, progress)

    def _learn(self, group: list[tuple[Site, int]], steps: int, lr: float, progress: Tell | None) -> None:
        """Each unit on copies of the prompts of its own; of all constants seen, the one with the lowest loss stays."""
        coordinates = [self._coordinates(site, unit) for site, unit in group]
        mean = [self.constant[site][at] for (site, _), at in zip(group, coordinates, strict=True)]
        deviation = [self.deviation[site][unit] for site, unit in group]
        away = [torch.zeros_like(m) for m in mean]
        adam = torch.optim.Adam(away, lr=lr)

        def look(grad: bool) -> Float[Tensor, "unit example"]:
            """Losses at the constants as they are, which are kept where they are the best so far; and the gradient."""
            at = [(m + s * a).requires_grad_(grad) for m, s, a in zip(mean, deviation, away, strict=True)]
            gradient, parts = [torch.zeros_like(a) for a in away], []
            for prompts in self.prompts:
                losses = self._losses(prompts, group, coordinates, at)
                parts.append((losses - prompts.whole).detach())
                if grad:  # here, so that no more than one batch has its graph in memory
                    more = torch.autograd.grad(losses.sum() / self.examples, at)
                    gradient = [g + s * m for g, s, m in zip(gradient, deviation, more, strict=True)]
            for a, g in zip(away, gradient, strict=True):
                a.grad = g
            found = torch.cat(parts, dim=1)
            for (site, unit), where, constant, gaps in zip(group, coordinates, at, found, strict=True):
                if not bool(gaps.mean() >= self.drop[site][:, unit].mean()):  # nan is not reached yet
                    self.drop[site][:, unit] = gaps
                    self.constant[site][where] = constant.detach()
            return found

        def step(i: int) -> dict[str, float]:
            found = look(grad=True)
            adam.step()
            return {"loss": float(found.mean())}

        loop(steps, step, self.circuit, progress)
        with torch.no_grad():
            look(grad=False)

    def _coordinates(self, site: Site, unit: int) -> Int[Tensor, " coordinate"]:
        dictionary = self.model.dictionaries[site]
        owner = dictionary.unfold(torch.arange(dictionary.n_units, device=self.model.device))
        return (owner == unit).nonzero()[:, 0]

    def _losses(
        self, prompts: _Prompts, group: list[tuple[Site, int]], coordinates: list[Tensor], at: list[Tensor]
    ) -> Float[Tensor, "unit example"]:
        """The loss of every example with one unit after the other held at a constant."""
        copies, examples = len(group), len(prompts.batch)
        edits: list[ActivationEdit] = []
        for site in dict.fromkeys(site for site, _ in group):
            value = self.constant[site].repeat(copies, 1, 1)
            keep = torch.ones_like(value, dtype=torch.bool)
            for i in [i for i, (other, _) in enumerate(group) if other == site]:
                value[i, 0, coordinates[i]] = at[i]
                keep[i, 0, coordinates[i]] = False
            value, keep = (t.repeat_interleave(examples, 0) for t in (value, keep))
            edits.append(Set(site, value=value, keep=keep, basis="code"))
        tokens = prompts.batch.clean.repeat(copies, 1)
        trace = self.model.run(
            tokens, read=self.reads, edits=edits, grad=True, logits=needs(self.metric).last, base=prompts.clean
        )
        return minus(self.metric, trace, prompts.batch, copies)

    def circuit(self) -> Circuit:
        """Every unit that was reached, scored by the mean drop."""
        score, error, mean = {}, {}, {}
        for site, drop in self.drop.items():
            padded = torch.nn.functional.pad(drop.nan_to_num(0.0), (0, 1))
            score[site] = padded.mean(0, keepdim=True)
            error[site] = standard_error(score[site], (padded**2).mean(0, keepdim=True), self.distinct)
            mean[site] = self.model.dictionaries[site].fold(self.constant[site])[None]
        found = circuit_of(self.model, score, mean, positions=False, error=error)
        found = found.with_kind(in_metric_units=self.in_metric_units)
        return found.with_details(constants={str(site): c.tolist() for site, c in self.constant.items()})
