"""Addresses in a model, positions by meaning, and edits: functions at an address.

A `Site` names a tensor that flows through every transformer of our kind (`resid.3` is the output
of block 3), a `Where` names the positions of a prompt, and an `Edit` is a small frozen record that
knows both and is called with the tensor found there. Nothing here knows what a model is.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

PARTS: dict[str, str] = {
    "embed": "what enters the first block",
    "attn_in": "what the attention reads, after its norm",
    "q": "queries, before rotation; all heads side by side",
    "k": "keys, before rotation; one per key-value head",
    "v": "values; one per key-value head",
    "pattern": "attention probabilities, [head, query, key]",
    "head": "each head's mix of values, before the output projection",
    "attn": "what the attention adds to the stream",
    "mlp_in": "what the MLP reads, after its norm",
    "neuron": "MLP hidden units, before the output projection",
    "mlp": "what the MLP adds to the stream",
    "resid": "the stream after the block",
    "final": "the stream after the last norm, as the unembedding reads it",
}
"""Every part of a site address, in the order in which a sequential block computes them."""

WHOLE_MODEL = ("embed", "final")

READERS = {"q": "head", "k": "head", "v": "head", "mlp_in": "mlp"}
"""Parts that read the stream, and the part of the same layer that writes what they let in."""


def near(word: str, known: Iterable[str]) -> str:
    """A clause that names the known words closest to `word`, for error messages."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"known: {', '.join(known[:30])}" + (f" and {len(known) - 30} more" if len(known) > 30 else "")


@dataclass(frozen=True)
class Site:
    """An address: a part and, unless the part exists once, a layer.

    >>> Site.parse("resid.3")
    Site('resid.3')
    """

    part: str
    layer: int | None = None

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ValueError(f"{self.part!r} is not a part of a model; {near(self.part, PARTS)}")
        if (self.layer is None) != (self.part in WHOLE_MODEL):
            wanted = "takes no layer" if self.part in WHOLE_MODEL else "needs a layer, as in " + repr(f"{self.part}.3")
            raise ValueError(f"the address {str(self)!r} is not complete: {self.part!r} {wanted}")

    @classmethod
    def parse(cls, address: str | Site) -> Site:
        """Read `part` or `part.layer`. Raises: ValueError, naming the near addresses."""
        if isinstance(address, Site):
            return address
        part, dot, layer = address.partition(".")
        if dot and not layer.isdigit():
            raise ValueError(f"{address!r} is not a site: after the dot comes a layer number, as in 'resid.3'")
        return cls(part, int(layer) if dot else None)

    @property
    def order(self) -> tuple[int, int]:
        """Sorts sites as a forward pass meets them."""
        if self.part == "embed":
            return (-1, 0)
        return (self.layer if self.layer is not None else 1 << 30, list(PARTS).index(self.part))

    def __lt__(self, other: Site) -> bool:
        return self.order < other.order

    def __str__(self) -> str:
        return self.part if self.layer is None else f"{self.part}.{self.layer}"

    def __repr__(self) -> str:
        return f"Site({str(self)!r})"


WhereKind = Literal["every", "prompt", "response", "position", "token"]


@dataclass(frozen=True)
class Where:
    """Positions of a prompt, by meaning; padding is never among them.

    `every`, `prompt` (not what was generated), `response` (only what was generated), `position`
    (indices from the first real token; negative ones count from the last prompt token), `token`
    (wherever one of these token ids stands).
    """

    kind: WhereKind = "every"
    values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        kinds = get_args(WhereKind)
        if self.kind not in kinds:
            raise ValueError(f"{self.kind!r} names no positions; {near(self.kind, kinds)}")
        if (self.kind in ("position", "token")) != bool(self.values):
            takes = "needs `values`" if not self.values else "takes no `values`"
            raise ValueError(f"Where({self.kind!r}) {takes}; Where.at(-1) is the last token of the prompt")

    @classmethod
    def at(cls, *positions: int) -> Where:
        """Positions by index; `Where.at(-1)` is the last token of the prompt."""
        return cls("position", positions)

    def mask(
        self, tokens: Int[Tensor, "batch seq"], real: Bool[Tensor, "batch seq"], prompt: int
    ) -> Bool[Tensor, "batch seq"]:
        """Which positions are meant. `real` is False on padding; the first `prompt` columns are the prompt."""
        column = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        if self.kind == "prompt":
            return real & (column < prompt)
        if self.kind == "response":
            return real & (column >= prompt)
        if self.kind == "token":
            return real & torch.isin(tokens, torch.tensor(self.values, device=tokens.device))
        if self.kind == "position":
            first = real.int().argmax(dim=1, keepdim=True)
            last = (column * (real & (column < prompt))).amax(dim=1, keepdim=True)
            wanted = [first + v if v >= 0 else last + 1 + v for v in self.values]
            return real & torch.stack([column == w for w in wanted]).any(dim=0)
        return real


EVERY, PROMPT, RESPONSE = Where("every"), Where("prompt"), Where("response")

Basis = Literal["value", "code", "error"]


@dataclass(frozen=True, eq=False)
class Edit(ABC):
    """A function at an address: called with what flows there, it returns what shall flow instead.

    `basis` says in which coordinates the function sees the tensor: the raw `value`, the `code` of
    the dictionary through which the model is seen, or that dictionary's `error`. `units` picks
    coordinates of it (all when None). The rest of the tensor, and every position outside `where`,
    stays as it was, bit for bit.
    """

    at: Site
    where: Where = field(default=EVERY, kw_only=True)
    basis: Basis = field(default="value", kw_only=True)
    units: tuple[int, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", Site.parse(self.at))  # an address in words will do
        if self.basis not in get_args(Basis):
            raise ValueError(f"an edit has no basis {self.basis!r}; {near(self.basis, get_args(Basis))}")
        units = self.units
        if units is not None and (not units or min(units) < 0 or len(set(units)) < len(units)):
            raise ValueError(f"units={units} of the edit at {self.at}: name at least one, each once, counted from 0")

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Map `x`, [..., picked units], to a tensor that broadcasts to the same shape."""


@dataclass(frozen=True, eq=False)
class Add(Edit):
    """x + scale * vector: steering."""

    vector: Tensor = field(kw_only=True)
    scale: float = field(default=1.0, kw_only=True)

    def __call__(self, x: Tensor) -> Tensor:
        return x + self.scale * self.vector.to(x)


@dataclass(frozen=True, eq=False)
class Set(Edit):
    """x becomes `value` where `keep` is False (everywhere when `keep` is None): ablating, patching."""

    value: Tensor | float = field(kw_only=True)
    keep: Tensor | None = field(default=None, kw_only=True)

    def __call__(self, x: Tensor) -> Tensor:
        value = torch.as_tensor(self.value).to(x)
        if value.ndim > x.ndim or any(a not in (1, b) for a, b in zip(value.shape[::-1], x.shape[::-1], strict=False)):
            raise ValueError(
                f"a value of shape {tuple(value.shape)} cannot be set at {self.at}, where {tuple(x.shape)} flows"
            )
        return value.expand_as(x) if self.keep is None else torch.where(self.keep.to(x.device), x, value)


@dataclass(frozen=True, eq=False)
class Mix(Edit):
    """weight * x + (1 - weight) * value: a mask between 0 and 1 through which gradients reach both."""

    value: Tensor | float = field(kw_only=True)
    weight: Tensor | float = field(kw_only=True)

    def __call__(self, x: Tensor) -> Tensor:
        weight = torch.as_tensor(self.weight).to(x)
        return weight * x + (1 - weight) * torch.as_tensor(self.value).to(x)


@dataclass(frozen=True, eq=False)
class Scale(Edit):
    """factor * x: clamping a feature off (0), damping or boosting it."""

    factor: float = field(kw_only=True)

    def __call__(self, x: Tensor) -> Tensor:
        return self.factor * x


@dataclass(frozen=True, eq=False)
class Project(Edit):
    """Take the span of `directions`, [direction, d], out of x, leaving the rest; they need not be independent."""

    directions: Tensor = field(kw_only=True)

    def __call__(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        _, size, rows = torch.linalg.svd(self.directions.to(x.device, wide), full_matrices=False)
        basis = rows[size > size.max() * max(self.directions.shape) * torch.finfo(wide).eps].to(x.dtype)
        return x - (x @ basis.T) @ basis
