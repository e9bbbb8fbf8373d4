"""The gradient of the loss by every weight in the blocks, projected: contexts from which the model would learn the same."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from jaxtyping import Float

from clew.models import Model
from clew.models.factors import factors
from clew.progress import Tell
from clew.studies.atlas._sketch import Sketch
from clew.studies.atlas._vectors import rows, surprise
from clew.studies.atlas.contexts import Contexts

CENTRED = False
"""Whether the mean over contexts says nothing, and is taken off before angles are."""


def gradients(
    model: Model,
    given: Contexts,
    *,
    dims: int = 4096,
    tokens: int = 1024,
    seed: int = 0,
    progress: Tell | None = None,
) -> Float[np.ndarray, "context dim"]:
    """d -log p(answer) / d weights of every linear map in the blocks, through a sparse random projection.

    Each weight goes, with a sign, into one of the sums: that of its input times that of its output, both drawn at random. So
    a gradient, which is a sum over tokens of outer products, is projected by projecting its two sides, and is never held.

    Args: dims: a square number; in so many dimensions.
    Costs: one forward and one backward to the activations. Source: Marks et al. 2024, section 5, after Michaud et al. 2023;
        projected there by a matrix of -1, 0 and 1 over all weights, here by one that is the product of two (Choe et al. 2024,
        arXiv:2405.13954).
    """
    side = round(dims**0.5)
    if dims < 1 or side**2 != dims:
        raise ValueError(f"dims={dims} is no square number; give one such as {max(1, side) ** 2}")

    @cache
    def sketch(name: str, end: str, width: int) -> Sketch:
        return Sketch(f"{name} {end}", width, side, seed)

    def row(ids: torch.Tensor, real: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(len(ids), side, side, device=model.device)

        def see(name: str, came_in: torch.Tensor, gradient: torch.Tensor) -> None:
            inner, outer = sketch(name, "in", came_in.shape[-1]), sketch(name, "out", gradient.shape[-1])
            total.baddbmm_(outer(gradient).transpose(1, 2).to(total), inner(came_in).to(total))

        factors(model, ids, lambda trace: surprise(trace, answer), see, real=real)
        return total.flatten(1)

    return rows(given, row, tokens, progress)
