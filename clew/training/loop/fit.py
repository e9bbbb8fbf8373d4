"""A plan under way: an objective, Adam's moments, and the scalings that are folded back in the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from clew.dictionaries import Dictionary
from clew.scale import processes
from clew.sites import Site
from clew.training.loop.batches import Batch
from clew.training.objective import Clock, Scaling
from clew.training.plan import Plan, seed_of


class Fit:
    """One dictionary being learnt."""

    def __init__(self, plan: Plan, scalings: Mapping[Site, Scaling]) -> None:
        self.plan, self.objective = plan, plan.made()
        reads, writes = ({s: len(scalings[s].centre) for s in sites} for sites in (plan.inputs, plan.outputs))
        self.objective.place(reads, writes)
        self.x, self.y = (_joined([scalings[s] for s in sites]) for sites in (plan.inputs, plan.outputs))
        self.log: dict[str, float] = {}

    def start(self, first: Batch) -> None:
        """Initial values from the first rows; alike on every process."""
        x, y = first.rows(self.plan)
        self.objective.start(x, y, torch.Generator().manual_seed(seed_of(self.plan.title, self.plan.seed)))
        if not self.objective.gathers:
            processes.share(self.objective.tensors | self.objective.state)
        self.adam()

    def adam(self) -> None:
        """Adam over the tensors that are learnt."""
        for tensor in self.learnt.values():
            tensor.requires_grad_(True)
        device = next(iter(self.learnt.values())).device.type if self.learnt else "cpu"
        self.optimiser = (
            torch.optim.Adam(
                list(self.learnt.values()),
                lr=self.objective.lr,
                betas=self.objective.betas,
                fused=device in ("cpu", "cuda"),
            )
            if self.learnt
            else None
        )

    @property
    def learnt(self) -> dict[str, Tensor]:
        """By name, in an order that does not depend on how the tensors came here: Adam's moments are found by it."""
        return {n: t for n, t in sorted(self.objective.tensors.items()) if n not in self.objective.frozen}

    def step(self, batch: Batch, now: Clock, parts: int) -> None:
        """One step of Adam; the gradient is summed over `parts` of the batch."""
        objective, learnt = self.objective, self.learnt
        x, y = batch.rows(self.plan)
        if processes.largest(int(not len(x))):  # a process without rows would leave the others waiting
            return
        gradients: dict[str, Tensor] = {}
        total = 0.0
        for some in torch.arange(len(x), device=x.device).chunk(parts):
            a, b = (x, y) if parts == 1 else (x[some], y[some])
            share = len(a) / len(x)
            loss = objective.loss(a, b, now)
            total += share * float(loss.detach())
            if learnt:
                for name, grad in zip(learnt, torch.autograd.grad(share * loss, list(learnt.values())), strict=True):
                    gradients[name] = gradients[name] + grad if name in gradients else grad
        if processes.largest(int(not math.isfinite(total))):
            raise ValueError(
                f"the loss of {self.plan.title} is {total} at step {now.step}; lower its lr, or look for values that are "
                "not finite in the activations"
            )
        if not objective.gathers:
            processes.average(gradients, objective.state, rows=len(x))
        with torch.no_grad():
            if self.optimiser is not None:
                objective.adjust(gradients)
                for name, tensor in learnt.items():
                    tensor.grad = gradients[name]
                self.optimiser.param_groups[0]["lr"] = objective.lr * rate(now)
                self.optimiser.step()
                self.optimiser.zero_grad()
            objective.settle(now)
        self.log = {"loss": total, **objective.told}

    def finished(self, how: dict[str, Any]) -> Dictionary:
        with torch.no_grad():
            for tensor in self.objective.tensors.values():
                tensor.requires_grad_(False)
            meta = {
                "trained": how
                | self.plan.plain()
                | {
                    "last": {k: round(v, 6) for k, v in self.log.items()},
                    **self.objective.settings,
                }
            }
            return self.objective.finish(self.plan.inputs, self.plan.outputs, self.x, self.y, **meta)


def rate(now: Clock) -> float:
    """The share of the learning rate: up over the first 5 % of the steps, down over the last 30 %."""
    return now.ramp(0.05) * min(1.0, (now.steps - now.step + 1) / max(1.0, 0.3 * now.steps))


def _joined(parts: Sequence[Scaling]) -> Scaling:
    return Scaling(torch.cat([p.centre for p in parts]), torch.cat([p.scale for p in parts]))
