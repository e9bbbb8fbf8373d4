"""Learn a dictionary by Group Bias Adaptation: each unit is held to a frequency. Source: Chen et al. 2025
(arXiv:2506.14002)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.dictionaries import JumpReLU, ReLU
from clew.training.objective import Clock, Scaling
from clew.training.objectives._checks import check_units
from clew.training.objectives._coder import Coder, Decoder, Design, Pass
from clew.training.objectives._gates import Gates
from clew.training.objectives._readings import Readings

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
) -> Coder:
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
    check(check_units(units), highest, lowest, groups, every, rate, gate)
    held = Groups(highest, lowest, groups, every, rate)
    design = jumps(held) if gate == "jump" else rectifies(held)
    return Coder(units, design, lr=lr, decoder=decoder)


def check(units: int, highest: float, lowest: float, groups: int, every: int, rate: float, gate: str) -> None:
    if not 0 < lowest <= highest < 1:
        raise ValueError(f"highest={highest} and lowest={lowest} must be frequencies: 0 < lowest <= highest < 1")
    if not 1 <= groups <= units:
        raise ValueError(f"groups is {groups}; it must lie between 1 and the number of units, {units}")
    if every < 1 or not 0 < rate < 1:
        raise ValueError(f"every={every} must be at least 1 step, and rate={rate} a share above 0 and below 1")
    if gate not in ("jump", "relu"):
        raise ValueError(f"gate={gate!r} is unknown; choose jump or relu")


@dataclass(frozen=True)
class Groups:
    """Biases that hold units to frequencies. Dead units have no loss: biases wake the units that are never on."""

    highest: float
    lowest: float
    groups: int
    every: int
    rate: float

    def group(self, coder: Coder) -> Int[Tensor, " unit"]:
        """The group of each unit."""
        return torch.arange(coder.units, device=coder.state["bias"].device) * self.groups // coder.units

    def often(self, coder: Coder) -> Float[Tensor, " unit"]:
        """How often each unit may be on."""
        share = self.group(coder) / max(1, self.groups - 1)
        return self.highest * (self.lowest / self.highest) ** share

    def note(self, coder: Coder, above: Tensor, seen: Pass) -> None:
        """Count how often units were on, by how far their readings are above their thresholds."""
        state = coder.state
        state["on"] += seen.r.count(above, coder.units)
        state["rows"] += len(seen.x)
        torch.maximum(state["peak"], seen.r.peak(above, coder.units), out=state["peak"])

    def settle(self, coder: Coder, now: Clock) -> None:
        if now.step % self.every == 0 and coder.state["rows"] > 0:
            self.adapt(coder)

    def adapt(self, coder: Coder) -> None:
        """Move the biases by what was seen since the last look; they stay between -length of a row and 0."""
        bias, on, peak = coder.state["bias"], coder.state["on"], coder.state["peak"]
        group = self.group(coder)
        total = torch.zeros(self.groups).to(bias).index_add_(0, group, peak)
        lively = torch.zeros(self.groups).to(bias).index_add_(0, group, (peak > 0).to(bias))
        typical = (total / lively.clamp_min(1))[group]
        bias -= self.rate * peak * (on > self.often(coder) * coder.state["rows"])
        bias += self.rate * typical * (on == 0)
        bias.clamp_(-float(coder.size), 0.0)
        for name in ("on", "peak", "rows"):
            coder.state[name].zero_()


def jumps(held: Groups) -> Design:
    """A reading passes as it is where it is above -bias."""

    def open(coder: Coder, raw: Float[Tensor, "row unit"], seen: Tensor) -> Bool[Tensor, "row unit"]:
        return raw > -coder.state["bias"]

    def value(coder: Coder, r: Readings) -> Tensor:
        return torch.where(r.raw > r.of(-coder.state["bias"]), r.raw, 0.0)

    def matrices(coder: Coder) -> dict[str, Tensor]:
        return tied(coder, torch.zeros_like(coder.state["bias"]))

    @torch.no_grad()
    def note(coder: Coder, seen: Pass) -> None:
        held.note(coder, seen.r.raw - seen.r.of(-coder.state["bias"]), seen)

    def with_threshold(coder: Coder, given: dict[str, Any], x: Scaling, y: Scaling) -> dict[str, Any]:
        return given | {"threshold": y.size * -coder.state["bias"]}

    return Design(
        Gates(open, value),
        JumpReLU,
        matrices=matrices,
        begin=begin,
        scale=scale,
        note=note,
        settle=held.settle,
        fold=with_threshold,
        frozen=frozenset({"b_dec"}),
    )


def rectifies(held: Groups) -> Design:
    """Reading + bias passes where it is above 0."""

    def matrices(coder: Coder) -> dict[str, Tensor]:
        return tied(coder, coder.state["bias"])

    @torch.no_grad()
    def note(coder: Coder, seen: Pass) -> None:
        held.note(coder, seen.r.raw, seen)

    return Design(
        Gates(value=passed),
        ReLU,
        matrices=matrices,
        begin=begin,
        scale=scale,
        note=note,
        settle=held.settle,
        frozen=frozenset({"b_dec"}),
    )


def passed(coder: Coder, r: Readings) -> Tensor:
    return torch.where(r.raw > 0, r.raw, 0.0)


def begin(coder: Coder, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"]) -> None:
    """`W_dec` holds unit rows w, `gain` [unit] their lengths: x is about the sum of gain * w * gated <w, x>."""
    t = coder.tensors
    coder.tensors = {"W_dec": t["W_dec"], "gain": x.new_ones(coder.units), "b_dec": t["b_dec"]}
    coder.state |= {name: x.new_zeros(coder.units) for name in ("bias", "on", "peak")} | {"rows": x.new_zeros(())}


def scale(coder: Coder, factor: Float[Tensor, ""]) -> None:
    coder.tensors["gain"] *= factor


def tied(coder: Coder, b_enc: Float[Tensor, " unit"]) -> dict[str, Tensor]:
    t = coder.tensors
    return {"W_enc": t["W_dec"], "b_enc": b_enc, "W_dec": t["gain"][:, None] * t["W_dec"], "b_dec": t["b_dec"]}
