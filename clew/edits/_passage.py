"""What an MLP's raw output becomes on its way into the stream: the same, or what a norm makes of it (Gemma 2 and 3).

Such a norm writes g · u / rms(u) for the raw output u. So a neuron adds in the direction g · w of its column w, and the
whole MLP can write nothing but points of an ellipsoid, whose axes are the gains: what lies elsewhere is only neared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from clew.models import Model
from clew.readings.norms import parts
from clew.readings.readout import Readout

RIDGE = 0.01
"""ρ, in mean squares of what a coordinate of a column does to the logits: on Gemma 3 270M, columns change by .1 to .4
of their size where without it they change by .2 to 70 times, and the other logits as much as without."""
HALVINGS = 200
"""Of an interval in float64, down to rounding, wherever in it the root is."""


class Passage(ABC):
    """Between an output projection and the stream."""

    @abstractmethod
    def along(self, columns: Float[Tensor, "*unit d_model"]) -> Float[Tensor, "*unit d_model"]:
        """The directions in which columns of the projection move the stream."""

    @abstractmethod
    def towards(self, readout: Readout, token: int) -> Float[Tensor, " d_model"]:
        """The step of a column that raises this token's logit in what it writes, and as far as may be no other."""

    @abstractmethod
    def change(
        self, raw: Float[Tensor, " d_model"], more: Float[Tensor, "*unit d_model"]
    ) -> Float[Tensor, "*unit d_model"]:
        """What the stream gets more, when the raw output becomes raw + more."""

    @abstractmethod
    def reach(
        self, raw: Float[Tensor, "fact d_model"], more: Float[Tensor, "fact d_model"]
    ) -> Float[Tensor, "fact d_model"]:
        """What to add to each raw output so that the stream gets `more`, or as near to it as can be."""


class Straight(Passage):
    """Nothing is in between."""

    def along(self, columns: Tensor) -> Tensor:
        return columns

    def towards(self, readout: Readout, token: int) -> Tensor:
        return readout.towards(token)

    def change(self, raw: Tensor, more: Tensor) -> Tensor:
        return more

    def reach(self, raw: Tensor, more: Tensor) -> Tensor:
        return more


STRAIGHT = Straight()


@dataclass(frozen=True, eq=False)
class Normed(Passage):
    """An RMS norm is in between: what is written is gain · u / sqrt(mean u² + eps)."""

    gain: Float[Tensor, " d_model"]
    eps: float
    factors: dict[Readout, Float[Tensor, "d_model d_model"]] = field(default_factory=dict, init=False, repr=False)
    """Of each readout's squares, see `towards`: made at its first token, for they cost d_model³ and no token changes them."""

    def along(self, columns: Tensor) -> Tensor:
        return columns * self.gain.to(columns)

    def towards(self, readout: Readout, token: int) -> Tensor:
        """The s with least |W_U (readout's gain · gain · s) - e_token|² + ρ |s|².

        Without ρ it is the readout's own direction over the gain. Where a gain is next to 0 that swells the column, and
        with it the rms by which all that the MLP writes is divided.
        """
        through = (readout.gain * self.gain.to(readout.gain)).double()
        if readout not in self.factors:
            root = through[:, None] * readout.gram
            square = root @ root.T
            square.diagonal().add_(RIDGE * square.diagonal().mean())
            self.factors[readout] = torch.linalg.cholesky(square)
        wanted = through * readout.unembed[token].double()
        return torch.cholesky_solve(wanted[:, None], self.factors[readout])[:, 0].to(readout.unembed)

    def change(self, raw: Tensor, more: Tensor) -> Tensor:
        return self.written(raw + more) - self.written(raw)

    def reach(self, raw: Tensor, more: Tensor) -> Tensor:
        size = self._size(raw)
        return size * nearest(self.gain.to(raw), raw / size, self.written(raw) + more) - raw

    def written(self, raw: Float[Tensor, "*place d_model"]) -> Float[Tensor, "*place d_model"]:
        """What the stream gets of a raw output."""
        return self.gain.to(raw) * raw / self._size(raw)

    def _size(self, raw: Tensor) -> Tensor:
        return (raw.square().mean(-1, keepdim=True) + self.eps).sqrt()


def nearest(
    gain: Float[Tensor, " d_model"], a: Float[Tensor, "fact d_model"], wanted: Float[Tensor, "fact d_model"]
) -> Float[Tensor, "fact d_model"]:
    """Of all vectors as long as `a`, the one for which gain · vector is nearest to what is wanted.

    At the minimum, gain (gain · x - wanted) + μ x = 0 with one number μ > -gain² that gives x its length, and the length
    falls as μ grows: μ is found by bisection. Coordinates without a gain would be free; a vanishing pull towards `a`
    holds them, and settles what would be a tie. Only bringing wanted / gain to that length would spend it on coordinates
    that hardly pass: by MEMIT in two layers of Gemma 3 270M, P(Rome) in "The capital of France is" comes to .85 by the
    nearest, to .00 by that.
    """
    pull = 1e-12 * gain.square().mean()
    towards, stiff = gain * wanted + pull * a, gain.square() + pull
    length = a.norm(dim=-1, keepdim=True)
    low = -stiff.min() + 0 * length
    high = towards.norm(dim=-1, keepdim=True) / length  # there the vector is shorter, for stiff + μ > μ
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        longer = (towards / (stiff + middle)).norm(dim=-1, keepdim=True) > length
        low, high = torch.where(longer, middle, low), torch.where(longer, high, middle)
    found = towards / (stiff + high)
    return found * length / found.norm(dim=-1, keepdim=True)


def passage_of(model: Model, layer: int) -> Passage:
    """From the MLP of a layer into the stream. Raises: ValueError for a norm that is not a plain RMS norm."""
    norm, factor = model.body.after("down", layer)
    if factor != 1:
        raise ValueError(
            f"the MLP of layer {layer} of {model.name} is multiplied by {factor:g} as it joins the stream, whose way back is "
            "not known here"
        )
    if norm is None:
        return STRAIGHT
    gain, shift, centres, eps = parts(model, norm)
    if centres or bool(shift.any()):
        raise ValueError(
            f"the MLP of layer {layer} of {model.name} writes through a layer norm, whose way back is not known here"
        )
    return Normed(gain, eps)
