"""Learn a dictionary by Group Bias Adaptation: each unit is held to a frequency. Source: Chen et al. 2025
(arXiv:2506.14002)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.dictionaries import Dictionary, JumpReLU, ReLU
from clew.sites import Site
from clew.training.objective import Decoder, Moment, Scaling
from clew.training.objectives._gates import GateCoder, Readings

Gate = Literal["jump", "relu"]


def gba(
    *,
    units: int,
    highest: float = 0.1,
    lowest: float = 1e-3,
    groups: int = 10,
    every: int = 10,
    rate: float = 0.05,
    gate: Gate = "jump",
    lr: float | None = None,
    decoder: Decoder = "learnt",
) -> GateCoder:
    """Tied units in groups; biases are not learnt but moved until a unit is on as often as its group should be.

    Args:
        highest, lowest: how often, at most, units of the first and of the last group are on; in between the groups'
            frequencies fall by equal factors. They take the place of k.
        groups: of equal size, as far as that goes.
        every: steps between two looks at how often units were on.
        rate: how far a bias moves at a look: this share of the unit's largest reading down where the unit was on too
            often, and of its group's mean largest reading up where it was never on.
        gate: "jump" passes a reading on as it is where reading + bias is above 0; "relu" passes reading + bias.
        lr, decoder: as for `topk`.

    The paper looks every 50 steps with a rate of 0.01, which takes some ten thousand steps; the defaults here settle in
    some hundred. The centre of the rows stands fixed, as units held shut would move it until they open. Becomes a
    JumpReLU dictionary with thresholds -bias, or a ReLU one.
    Raises: ValueError when an option does not fit.
    """
    return GBACoder(units, highest, lowest, groups, every, rate, gate, lr=lr, decoder=decoder)


class GBACoder(GateCoder):
    """`W_dec` holds unit rows w, `gain` [unit] their lengths: x is about the sum of gain * w * gated <w, x>."""

    def __init__(
        self, units: int, highest: float, lowest: float, groups: int, every: int, rate: float, gate: Gate, **rest: Any
    ) -> None:
        super().__init__(units, **rest)
        if not 0 < lowest <= highest < 1:
            raise ValueError(f"highest={highest} and lowest={lowest} must be frequencies: 0 < lowest <= highest < 1")
        if not 1 <= groups <= units:
            raise ValueError(f"groups is {groups}; it must lie between 1 and the number of units, {units}")
        if every < 1 or not 0 < rate < 1:
            raise ValueError(f"every={every} must be at least 1 step, and rate={rate} a share above 0 and below 1")
        if gate not in ("jump", "relu"):
            raise ValueError(f"gate={gate!r} is unknown; choose jump or relu")
        self.frozen = self.frozen | {"b_dec"}
        self.groups, self.every, self.rate, self.gate = groups, every, rate, gate
        self.highest, self.lowest = highest, lowest

    @property
    def group(self) -> Tensor:
        """The group of each unit."""
        return torch.arange(self.units, device=self.state["bias"].device) * self.groups // self.units

    @property
    def often(self) -> Float[Tensor, " unit"]:
        """How often each unit may be on."""
        share = self.group / max(1, self.groups - 1)
        return self.highest * (self.lowest / self.highest) ** share

    def further(self, x: Float[Tensor, "row d_in"]) -> None:
        self.tensors = {"W_dec": self.tensors["W_dec"], "gain": x.new_ones(self.units), "b_dec": self.tensors["b_dec"]}
        for name in ("bias", "on", "peak"):
            self.state[name] = x.new_zeros(self.units)
        self.state["rows"] = x.new_zeros(())

    def scale(self, factor: Float[Tensor, ""]) -> None:
        self.tensors["gain"] *= factor

    @property
    def matrices(self) -> dict[str, Tensor]:
        t, bias = self.tensors, self.state["bias"]
        b_enc = bias if self.gate == "relu" else torch.zeros_like(bias)
        return {"W_enc": t["W_dec"], "b_enc": b_enc, "W_dec": t["gain"][:, None] * t["W_dec"], "b_dec": t["b_dec"]}

    @property
    def threshold(self) -> Float[Tensor, " unit"]:
        """What a reading must exceed (with the bias in it already, if the gate is a ReLU)."""
        return torch.zeros_like(self.state["bias"]) if self.gate == "relu" else -self.state["bias"]

    def open(self, raw: Float[Tensor, "row unit"], x: Float[Tensor, "row d_in"]) -> Bool[Tensor, "row unit"]:
        return raw > self.threshold

    def value(self, r: Readings) -> Tensor:
        return torch.where(r.raw > r.of(self.threshold), r.raw, 0.0)

    @torch.no_grad()
    def cost(self, r: Readings, value: Tensor, y: Float[Tensor, "row d_out"], now: Moment) -> float:
        above = r.raw - r.of(self.threshold)
        state = self.state
        state["on"] += r.count(above, self.units)
        state["rows"] += len(r.x)
        torch.maximum(state["peak"], r.peak(above, self.units), out=state["peak"])
        return 0.0

    def auxiliary(self, x: Float[Tensor, "row d_in"], left: Float[Tensor, "row d_out"]) -> float:
        """Nothing: biases wake the units that are never on."""
        return 0.0

    def settle(self, now: Moment) -> None:
        super().settle(now)
        if now.step % self.every == 0 and self.state["rows"] > 0:
            self.adapt()

    def adapt(self) -> None:
        """Move the biases by what was seen since the last look; they stay between -length of a row and 0."""
        bias, on, peak = self.state["bias"], self.state["on"], self.state["peak"]
        group = self.group
        total = torch.zeros(self.groups).to(bias).index_add_(0, group, peak)
        lively = torch.zeros(self.groups).to(bias).index_add_(0, group, (peak > 0).to(bias))
        typical = (total / lively.clamp_min(1))[group]
        bias -= self.rate * peak * (on > self.often * self.state["rows"])
        bias += self.rate * typical * (on == 0)
        bias.clamp_(-float(self.size), 0.0)
        for name in ("on", "peak", "rows"):
            self.state[name].zero_()

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Dictionary:
        whole = self.folded(x, y)
        if self.gate == "relu":
            return ReLU(reads[0], writes[0], **whole, **meta)
        return JumpReLU(reads[0], writes[0], threshold=y.size * self.threshold, **whole, **meta)
