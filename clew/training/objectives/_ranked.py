"""Units that are active where their pre-activations are among the largest; forward and backward touch those alone."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.training.objective import Clock
from clew.training.objectives._coder import Coder
from clew.training.objectives._products import all_products, half_pays
from clew.training.objectives._readings import Readings
from clew.training.objectives._sparse import Active, read

Choose = Callable[[Tensor], Active]


@dataclass(frozen=True)
class Ranked:
    """Reads a coder: `choose` finds the active units from all pre-activations, `shape` makes their values."""

    choose: Callable[[Tensor, Clock], Active]
    shape: Callable[[Tensor], Tensor] = torch.relu
    half: bool | None = None
    """Choose by bfloat16 products; by default where the machine is faster at it."""

    def __call__(self, coder: Coder, x: Float[Tensor, "row d_in"], now: Clock) -> tuple[Readings, Tensor]:
        t, half = coder.tensors, by_half(coder.settings, self.half, coder.tensors["W_enc"])
        with torch.no_grad():
            seen = coder.shifted(x)
        shift = t["b_dec"] if coder.centred else None
        active, raw = chosen(x, seen, (t["W_enc"], t["b_enc"], shift), lambda p: self.choose(p, now), half=half)
        return Readings(seen, raw, active), self.shape(raw)


def by_half(settings: MutableMapping[str, Any], given: bool | None, W: Float[Tensor, "unit d"]) -> bool:
    """Whether units are chosen in bfloat16: as given, or once and for all by what pays on this machine."""
    if "half" not in settings:
        settings["half"] = half_pays(W) if given is None else given
    return settings["half"]


def chosen(
    x: Float[Tensor, "row d_in"],
    seen: Float[Tensor, "row d_in"],
    encoder: tuple[Tensor, Tensor, Tensor | None],
    choose: Choose,
    *,
    half: bool,
) -> tuple[Active, Float[Tensor, " active"]]:
    """Which units are active, and their pre-activations; differentiable in the encoder.

    Args: seen: x less the shift. encoder: W [unit, d_in], b [unit], and the shift [d_in] if there is one.
    """
    W, b, shift = encoder
    with torch.no_grad():
        raw = all_products(seen, W, b, half=half)
        active = choose(raw)
    return active, read(x, W, b, shift, active, None if half else raw)
