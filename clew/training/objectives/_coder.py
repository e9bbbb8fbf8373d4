"""One coder for most objectives: an encoder and a decoder matrix, and a design that says what is particular."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.dictionaries import Dictionary
from clew.sites import Site
from clew.training.objective import Clock, Objective, Scaling
from clew.training.objectives._dead import count, dead, never
from clew.training.objectives._matrices import (
    across,
    across_sites,
    best_scale,
    folded,
    lengths,
    random_rows,
    rate,
    some_rows,
    variance,
)
from clew.training.objectives._readings import Readings

Decoder = Literal["learnt", "random"]
Sites = Literal["one", "pair", "several"]


@dataclass(frozen=True)
class Pass:
    """A batch on its way through a coder, in training."""

    x: Float[Tensor, "row d_in"]
    y: Float[Tensor, "row d_out"]
    r: Readings
    value: Tensor
    """Codes, in the shape of `r.raw`."""
    error: Float[Tensor, "row d_out"]
    """What the units say less what they should."""
    now: Clock


def as_learnt(coder: Coder) -> dict[str, Tensor]:
    return coder.tensors


def as_folded(coder: Coder, given: dict[str, Any], x: Scaling, y: Scaling) -> dict[str, Any]:
    return given


def by_encoder(coder: Coder, factor: Float[Tensor, ""]) -> None:
    coder.tensors["W_enc"] *= factor


def nothing(*_: object) -> None:
    """What most designs have to do here."""


def whole(coder: Coder, r: Readings, value: Tensor, y: Float[Tensor, "row d_out"]) -> tuple[Tensor, list[Tensor]]:
    """The error of all units together, and the share of variance that it leaves."""
    t = coder.matrices
    error = r.write(value, t["W_dec"]) + t["b_dec"] - y
    return error, [coder.unexplained(error)]


@dataclass(frozen=True)
class Design:
    """What makes one coder another: functions, each written once and used by as many objectives as it fits."""

    read: Callable[[Coder, Tensor, Clock], tuple[Readings, Tensor]]
    """(coder, x, now) -> which units are active, and their values: `Ranked` by a rule, or `Gates` of their own."""
    kind: Callable[..., Dictionary]
    """The dictionary that it becomes."""
    terms: tuple[Callable[[Coder, Pass], Tensor | float], ...] = ()
    """What is made small beside the unexplained share of variance."""
    errors: Callable[[Coder, Readings, Tensor, Tensor], tuple[Tensor, list[Tensor]]] = whole
    """(coder, readings, value, y) -> the error, and unexplained shares: their mean is made small, the last is told."""
    beside: Callable[[Coder, Tensor], Tensor] | None = None
    """(coder, x) -> what is added to the units' sum."""
    matrices: Callable[[Coder], dict[str, Tensor]] = as_learnt
    """`W_enc`, `b_enc`, `W_dec`, `b_dec` as they are applied; tied objectives make them from fewer tensors."""
    begin: Callable[[Coder, Tensor, Tensor], None] = nothing
    """(coder, x, y): set the tensors and the state that are added, or take away what it does without."""
    scale: Callable[[Coder, Tensor], None] = by_encoder
    """(coder, factor): make all codes `factor` times as large."""
    note: Callable[[Coder, Pass], None] = nothing
    """Bring the state up to date with a batch."""
    settle: Callable[[Coder, Clock], None] = nothing
    """Bring the state up to date after a step."""
    fold: Callable[[Coder, dict[str, Any], Scaling, Scaling], dict[str, Any]] = as_folded
    """(coder, folded matrices, x, y) -> the arguments of `kind`."""
    frozen: frozenset[str] = frozenset()
    """Names of tensors that are not learnt."""


class Coder(Objective):
    """`W_enc` and `W_dec` [unit, d] as rows, `b_enc` [unit], `b_dec` [d_out], and what the design adds to them.

    Where what is read is written, b_dec is taken off what is encoded, decoder rows start at activations and the encoder
    at the scale that fits best; then rows keep length one, so that a code is a length in the units of x. Over several
    sites side by side, the sum of a row's lengths, one per site, keeps to one. A pair (a transcoder) starts with a
    decoder of zeros, and its rows are free.
    """

    def __init__(
        self,
        units: int,
        design: Design,
        *,
        sites: Sites = "one",
        lr: float | None = None,
        decoder: Decoder = "learnt",
        dead_after: int = 100_000,
    ) -> None:
        super().__init__(rate(units, lr))
        if decoder not in ("learnt", "random"):
            raise ValueError(f"decoder={decoder!r} is unknown; choose learnt, or random for the frozen baseline")
        self.units, self.design, self.decoder, self.dead_after = units, design, decoder, dead_after
        self.pairs, self.several = sites == "pair", sites == "several"
        self.frozen = set(design.frozen) | ({"W_dec"} if decoder == "random" else set())

    def place(self, reads: Mapping[Site, int], writes: Mapping[Site, int]) -> None:
        super().place(reads, writes)
        if self.several and len(reads) < 2:
            raise ValueError(f"a crosscoder reads at least two sites; it was given {', '.join(map(str, reads))} alone")

    def start(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], g: torch.Generator) -> None:
        rows = self.first(y if self.centred else x, g)
        zero = x.new_zeros
        self.tensors = {"W_enc": rows.clone(), "b_enc": zero(self.units), "W_dec": rows, "b_dec": zero(y.shape[1])}
        if self.pairs:
            free = random_rows(self.units, y, g) if self.decoder == "random" else zero(self.units, y.shape[1])
            self.tensors |= {"W_dec": free, "b_dec": y.mean(0), "b_enc": -(rows @ x.mean(0))}
        self.state |= {"variance": variance(y), "idle": never(self.units, x)}
        self.design.begin(self, x, y)
        if self.centred:
            self.design.scale(self, best_scale(self.reconstruct(x[:2048]), y[:2048]))

    def first(self, x: Float[Tensor, "row d"], g: torch.Generator) -> Float[Tensor, "unit d"]:
        """Where the encoder starts, and the decoder of what is read."""
        drawn = random_rows if self.decoder == "random" and self.centred else some_rows
        rows = drawn(self.units, x, g)
        return rows / self.length(rows)[:, None] if self.several else rows

    @property
    def centred(self) -> bool:
        return not self.pairs

    @property
    def widths(self) -> list[int]:
        return list(self.reads.values())

    @property
    def matrices(self) -> dict[str, Tensor]:
        return self.design.matrices(self)

    @property
    def size(self) -> Float[Tensor, ""]:
        """The length of a typical row: codes divided by it are pure numbers."""
        return self.state["variance"].sqrt()

    @property
    def dead(self) -> Bool[Tensor, " unit"]:
        return dead(self, self.dead_after)

    def length(self, rows: Float[Tensor, "unit d"]) -> Float[Tensor, " unit"]:
        """Of each row; where it spans several sites, the sum of its lengths at each."""
        return lengths(rows, self.widths).sum(1) if self.several else rows.norm(dim=1)

    def shifted(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_in"]:
        """What the encoder reads: x without b_dec, but in a pair."""
        return x - self.matrices["b_dec"] if self.centred else x

    def code(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row unit"]:
        """All pre-activations, dense."""
        t = self.matrices
        return torch.addmm(t["b_enc"], self.shifted(x), t["W_enc"].T)

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_out"]:
        """By the tensors as they are, with the units that are active at the end of training."""
        t, (r, value) = self.matrices, self.design.read(self, x, Clock(1, 1))
        made = r.write(value, t["W_dec"]) + t["b_dec"]
        return made if self.design.beside is None else made + self.design.beside(self, x)

    def unexplained(self, error: Float[Tensor, "row d_out"]) -> Float[Tensor, ""]:
        """Mean squared error as a share of the variance of what is written."""
        return error.square().sum(1).mean() / self.state["variance"]

    def loss(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], now: Clock) -> Float[Tensor, ""]:
        if self.design.beside is not None:
            y = y - self.design.beside(self, x)
        r, value = self.design.read(self, x, now)
        error, shares = self.design.errors(self, r, value, y)
        count(self, r.fired(value.detach()), len(x), float((value != 0).sum()) / len(x), self.dead_after)
        self.told["unexplained"] = float(shares[-1].detach())
        seen = Pass(x, y, r, value, error, now)
        self.design.note(self, seen)
        loss = sum(shares[1:], shares[0]) / len(shares)
        for term in self.design.terms:
            loss = loss + term(self, seen)
        return loss

    def adjust(self, gradients: dict[str, Tensor]) -> None:
        if self.pairs or "W_dec" not in gradients:
            return
        if self.several:
            across_sites(gradients["W_dec"], self.tensors["W_dec"], self.widths)
        else:
            across(gradients["W_dec"], self.tensors["W_dec"])

    def settle(self, now: Clock) -> None:
        if self.centred:
            self.tensors["W_dec"] /= self.length(self.tensors["W_dec"])[:, None]
        self.design.settle(self, now)

    def folded(self, x: Scaling, y: Scaling) -> dict[str, Any]:
        """The arguments of the dictionary, but its sites."""
        return self.design.fold(self, folded(self.matrices, x, y, centred=self.centred), x, y)

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> Dictionary:
        if not self.several:
            return self.design.kind(reads[0], writes[0], **self.folded(x, y), **meta)
        scales = [float(part.mean()) for part in y.scale.split(self.widths)]
        return self.design.kind(sites=list(self.reads), widths=self.widths, scales=scales, **self.folded(x, y), **meta)
