"""Fast Forward: repeat the last optimiser step while a small validation loss falls.

Source: Rahamim et al. 2024 (arXiv:2409.04206), there for low-rank finetuning. A repeated step costs one forward of
the held rows instead of a forward and a backward of a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clew.training.loop.batches import Batch
from clew.training.loop.fit import Fit
from clew.training.objective import Clock

ROWS = 1024
"""Rows that say whether another repeat still helps."""
MOST = 100
"""Repeats of one step."""


class FastForward:
    """Repeats every `every`-th step. What that saved is told in the log: `repeated` steps, `saved_flops`."""

    def __init__(self, every: int, sample: Batch, batch: int) -> None:
        self.every, self.batch = every, batch
        self.sample = Batch({s: x[:ROWS] for s, x in sample.x.items()}, {s: n[:ROWS] for s, n in sample.near.items()})

    def before(self, fit: Fit, now: Clock) -> dict[str, Tensor] | None:
        """The tensors as they are before a step that may be repeated; None when it is not its turn."""
        due = now.step > 0.05 * now.steps and now.step % self.every == 0
        return {n: t.detach().clone() for n, t in fit.learnt.items()} if due else None

    @torch.no_grad()
    def go(self, fit: Fit, before: dict[str, Tensor], now: Clock) -> None:
        """Make the step that led here from `before` again, until the loss of the sample rises."""
        step = {n: t.detach() - before[n] for n, t in fit.learnt.items()}
        best, looks = self._loss(fit, now), 1
        repeated = 0
        while repeated < MOST:
            stand = {n: t.detach().clone() for n, t in fit.learnt.items()}
            for name, tensor in fit.learnt.items():
                tensor += step[name]
            fit.objective.settle(now)
            loss, looks = self._loss(fit, now), looks + 1
            if not loss < best:
                for name, tensor in fit.learnt.items():
                    tensor.copy_(stand[name])
                break
            best, repeated = loss, repeated + 1
        # As if all were dense: a step is three forwards of a batch, a look one of the sample, and a forward two
        # operations per weight and row. Objectives with sparse gradients spare less.
        spared = 2 * sum(t.numel() for t in step.values()) * (3 * self.batch * repeated - ROWS * looks)
        told = fit.objective.told
        for name, more in {"repeated": repeated, "saved_flops": spared}.items():
            told[name] = told.get(name, 0.0) + more

    def _loss(self, fit: Fit, now: Clock) -> float:
        objective = fit.objective
        state, told = {n: t.clone() for n, t in objective.state.items()}, dict(objective.told)
        loss = float(objective.loss(*self.sample.rows(fit.plan), now))
        objective.told = told
        for name, tensor in objective.state.items():
            tensor.copy_(state[name])
        return loss
