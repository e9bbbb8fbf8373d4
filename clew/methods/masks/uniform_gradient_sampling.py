"""Uniform gradient sampling (UGS): masks learned from gradients that are averaged over partly ablated edges.

Source: Li & Janson 2024, "Optimal ablation for interpretability" (arXiv:2409.09951), section 3 and appendix. Each item has a
parameter theta = sigmoid(p) and a window w = theta (1 - theta). A draw u, uniform on (0, 1), makes the mask
alpha = 1 - clamp((u - theta)/w + 1/2, 0, 1): on below the window, off above it, and uniform on (0, 1) with
probability w, when u falls inside.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.circuits.ranked import EdgesOrUnits
from clew.data.behaviours.behaviour import Behaviour
from clew.methods._masked import MaskedEdges, MaskedNodes
from clew.methods._masks import SHORTEST, Schedule, loop
from clew.models import Model
from clew.progress import Tell
from clew.readings.contrast import Baseline


def uniform_gradient_sampling(
    model: Model,
    behaviour: Behaviour,
    *,
    over: Literal["edges", "nodes"] = "edges",
    cost: float = 1e-3,
    objective: str | None = "kl_divergence",
    baseline: Baseline | None = None,
    positions: bool | None = None,
    schedule: Schedule = Schedule(steps=300),
    samples: int = 4,
    tokens: int = 512,
    seed: int = 0,
    progress: Tell | None = None,
) -> EdgesOrUnits:
    """Masks over edges or nodes that keep the loss low at a price for every item that stays.

    Args:
        over: the edges of the component graph, or the nodes of the view.
        cost: the price of an item, in units of the objective; dearer items make smaller circuits.
        positions: as for `attribution_patching`; of nodes only.
        schedule: of Adam (beta 0.9 and 0.995) on p, which starts at 1; see `clew.methods.Schedule`.
        samples: masks under which a step looks at its batch, each mask on a whole copy of it.
        tokens: run at once, all copies counted, but for one prompt at least.
        objective, baseline, seed: as for `edge_pruning`. progress: called with (step, steps, {"loss", "on"}).

    The gradient is d theta/d p times (the mean of d loss/d alpha over the draws inside the window, plus `cost`): what
    the authors get from a surrogate for theta and a factor batch/(draws inside) on the gradient. Differs: a mask for
    each copy of the batch, not for each example; no penalty on nodes; Adam without weight decay.

    Returns: a Circuit scored by theta, in [0, 1]: a ranking, not an effect, and without a sign; what is above 0.5 is
    the method's own circuit. `details["masks"]` holds its size and the loss with it alone.
    Raises: ValueError; Stopped at an interrupt, which holds the circuit so far.
    """
    if over not in ("edges", "nodes"):
        raise ValueError(f"over={over!r}: masks can be over 'edges' or 'nodes'")
    if samples < 1:
        raise ValueError(f"samples={samples}: give at least one")
    shared = {"objective": objective, "baseline": baseline, "tokens": tokens // samples, "seed": seed}
    if over == "edges":
        masked = MaskedEdges(model, behaviour, **shared)
    else:
        masked = MaskedNodes(model, behaviour, positions=positions, **shared)
    random = torch.Generator(masked.like.device).manual_seed(seed)
    start = 1.0 if schedule.start is None else schedule.start
    p = masked.like.new_full((masked.items,), start).requires_grad_()
    adam = torch.optim.Adam([p], lr=schedule.lr, betas=(0.9, 0.995))

    def step(i: int) -> dict[str, float]:
        theta = p.detach().sigmoid().clamp(SHORTEST, 1 - SHORTEST)
        u = torch.rand(samples, masked.items, generator=random, dtype=theta.dtype, device=theta.device)
        alpha, inside = drawn(u, theta)
        alpha.requires_grad_()
        loss = masked.loss(alpha)
        (gradient,) = torch.autograd.grad(loss.sum(), [alpha])
        p.grad = (inside_mean(gradient, inside) + cost) * theta * (1 - theta)
        adam.step()
        return {"loss": float(loss.detach().mean()), "on": float(theta.mean())}

    def score() -> Tensor:
        return p.detach().double().sigmoid()

    loop(schedule.steps, step, lambda: masked.circuit(score()), progress)
    return masked.kept(score(), int((score() > 0.5).sum()))


def drawn(
    u: Float[Tensor, "sample item"], theta: Float[Tensor, " item"]
) -> tuple[Float[Tensor, "sample item"], Bool[Tensor, "sample item"]]:
    """The masks that draws of u make, and which draws fell inside the window."""
    place = (u - theta) / (theta * (1 - theta)) + 0.5
    return 1 - place.clamp(0, 1), (place > 0) & (place < 1)


def inside_mean(gradient: Float[Tensor, "sample item"], inside: Bool[Tensor, "sample item"]) -> Float[Tensor, " item"]:
    """Mean gradient over the samples inside the window; 0 where there is none."""
    return (gradient * inside).sum(0) / inside.sum(0).clamp_min(1)
