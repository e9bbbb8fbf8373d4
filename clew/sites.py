"""Addresses in a model, positions by meaning, and edits: functions at an address.

A `Site` names a tensor that flows through every transformer of our kind (`resid.3` is the output
of block 3), a `Where` names the positions of a prompt, and an `Edit` is a small frozen record that
knows both and is called with the tensor found there. Nothing here knows what a model is.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, get_args

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
    "mlp_out": "what the MLP's output projection gives; `mlp`, but for a norm that may follow it (Gemma 2 and 3)",
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


MAPS: dict[str, str] = {
    "q": "attn_in to q",
    "k": "attn_in to k",
    "v": "attn_in to v",
    "out": "head to what the attention adds: W_O",
    "down": "neuron to mlp_out: W_down",
    "unembed": "final to the logits: W_U",
}
"""Linear maps that have an address in every model."""


@dataclass(frozen=True)
class Weight:
    """The address of a linear map: `q.3 k.3 v.3 out.3 down.3`, `unembed`, or the dotted path of any linear module.

    >>> Weight("down.3").layer
    3
    """

    name: str

    def __post_init__(self) -> None:
        if not self.name or not all(self.name.split(".")):
            raise ValueError(f"{self.name!r} is no address of a weight; say 'down.3', or the dotted path of a module")
        if self.name in MAPS and self.name != "unembed":
            raise ValueError(f"the address {self.name!r} is not complete: it needs a layer, as in '{self.name}.3'")

    @property
    def part(self) -> str | None:
        """Which of MAPS, None for a path."""
        part, dot, layer = self.name.partition(".")
        return part if part in MAPS and (layer.isdigit() if part != "unembed" else not dot) else None

    @property
    def layer(self) -> int | None:
        return int(self.name.partition(".")[2]) if self.part not in (None, "unembed") else None

    @classmethod
    def parse(cls, address: str | Weight) -> Weight:
        return address if isinstance(address, Weight) else cls(address)

    def __str__(self) -> str:
        return self.name


WhereKind = Literal["every", "prompt", "response", "answer", "position", "token", "phrase", "phrase_end"]


@dataclass(frozen=True)
class Where:
    """Positions of a prompt, by meaning; padding is never among them.

    `every`, `prompt` (not what was generated), `response` (only what was generated), `answer` (the last token of
    the prompt and what was generated: every position from which a token of the answer is written), `position`
    (indices from the first real token; negative ones count from the last prompt token), `token`
    (wherever one of these token ids stands), `phrase` (wherever this run of token ids stands in the prompt; in what is
    generated its first tokens are past before it is whole) and `phrase_end` (its last token, wherever it stands).
    """

    kind: WhereKind = "every"
    values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        kinds = get_args(WhereKind)
        if self.kind not in kinds:
            raise ValueError(f"{self.kind!r} names no positions; {near(self.kind, kinds)}")
        if (self.kind in ("position", "token", "phrase", "phrase_end")) != bool(self.values):
            takes = "needs `values`" if not self.values else "takes no `values`"
            raise ValueError(f"Where({self.kind!r}) {takes}; Where.at(-1) is the last token of the prompt")

    @classmethod
    def at(cls, *positions: int) -> Where:
        """Positions by index; `Where.at(-1)` is the last token of the prompt."""
        return cls("position", positions)

    @classmethod
    def phrase(cls, ids: Iterable[int]) -> Where:
        """Wherever this run of tokens stands in the prompt; all of its positions."""
        return cls("phrase", tuple(ids))

    @classmethod
    def phrase_end(cls, ids: Iterable[int]) -> Where:
        """Wherever this run of tokens stands; its last position."""
        return cls("phrase_end", tuple(ids))

    def mask(
        self, tokens: Int[Tensor, "batch seq"], real: Bool[Tensor, "batch seq"], prompt: int
    ) -> Bool[Tensor, "batch seq"]:
        """Which positions are meant. `real` is False on padding; the first `prompt` columns are the prompt."""
        column = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        if self.kind == "prompt":
            return real & (column < prompt)
        if self.kind == "response":
            return real & (column >= prompt)
        if self.kind == "answer":
            return real & (column >= prompt - 1)
        if self.kind == "token":
            return real & torch.isin(tokens, torch.tensor(self.values, device=tokens.device))
        if self.kind == "position":
            first = real.int().argmax(dim=1, keepdim=True)
            last = (column * (real & (column < prompt))).amax(dim=1, keepdim=True)
            wanted = [first + v if v >= 0 else last + 1 + v for v in self.values]
            return real & torch.stack([column == w for w in wanted]).any(dim=0)
        if self.kind in ("phrase", "phrase_end"):
            return real & self._phrases(tokens, real & ((column < prompt) | (self.kind == "phrase_end")))
        return real

    def _phrases(self, tokens: Int[Tensor, "batch seq"], real: Bool[Tensor, "batch seq"]) -> Bool[Tensor, "batch seq"]:
        long, seq = len(self.values), tokens.shape[1]
        found = torch.zeros_like(real)
        if long > seq:
            return found
        run = torch.tensor(self.values, device=tokens.device)
        start = (tokens.unfold(1, long, 1) == run).all(-1) & real.unfold(1, long, 1).all(-1)
        for offset in range(long) if self.kind == "phrase" else [long - 1]:
            found[:, offset : offset + start.shape[1]] |= start
        return found

    def __str__(self) -> str:
        return f"{self.kind} {','.join(map(str, self.values))}".strip()


EVERY, PROMPT, RESPONSE, ANSWER = Where("every"), Where("prompt"), Where("response"), Where("answer")

Basis = Literal["value", "code", "error"]


Reach = Literal["token", "prompt"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Gate:
    """Opens an edit only where a reading is above a threshold.

    The reading is a probe's, `x @ direction + bias`, or the unit `unit` of the code of the dictionary that writes the
    site. It is taken at the edit's own site, of what arrives there, or at an earlier site `at`. With reach "token" the
    edit is in force at the positions that are above, with "prompt" in all of a row that has one in its prompt.
    """

    above: float = 0.0
    direction: Tensor | None = None
    unit: int | None = None
    bias: float = 0.0
    at: Any = None
    """A Site, or its address in words; None for the edit's own."""
    reach: Reach = "token"

    def __post_init__(self) -> None:
        if (self.direction is None) == (self.unit is None):
            raise ValueError("a gate reads either a direction or a unit of a dictionary; give one of the two")
        if self.reach not in get_args(Reach):
            raise ValueError(f"a gate has no reach {self.reach!r}; {near(self.reach, get_args(Reach))}")
        if self.at is not None:
            object.__setattr__(self, "at", Site.parse(self.at))

    def __call__(self, x: Tensor) -> Bool[Tensor, "*place"]:
        """Where it is open. Args: x: [..., d] what flows, or [..., unit] its code for a gate on a unit."""
        if self.direction is None:
            return x[..., self.unit] > self.above
        wide = torch.promote_types(x.dtype, torch.float32)  # a large coordinate and the bias may cancel
        return x.to(wide) @ self.direction.to(x.device, wide) + self.bias > self.above

    def __str__(self) -> str:
        reading = f"unit {self.unit}" if self.direction is None else "a probe"
        return f"{reading}{f' at {self.at}' if self.at else ''} > {self.above:g} (by {self.reach})"


@dataclass(frozen=True, eq=False)
class Edit(ABC):
    """A function at an address: called with what is there, it returns what shall be there instead."""

    at: Any
    """A Site, for what flows in a run, or a Weight; an address in words becomes one."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor: ...

    def __str__(self) -> str:
        said = [f"{f.name} {_short(v)}" for f in fields(self)[1:] if not _same(v := getattr(self, f.name), f.default)]
        return f"{type(self).__name__.lower()} at {self.at}" + (f": {', '.join(said)}" if said else "")

    def __repr__(self) -> str:
        return f"<{self}>"


def _same(value: object, default: object) -> bool:
    return default is not MISSING and not isinstance(value, Tensor) and value == default


def _short(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{list(value.shape)} of norm {float(value.detach().double().norm()):.4g}"
    if isinstance(value, tuple) and len(value) > 8:
        return f"{len(value)} from {value[0]} to {value[-1]}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, eq=False, repr=False)
class SiteEdit(Edit):
    """A function of what flows at a site.

    `basis` says in which coordinates the function sees the tensor: the raw `value`, the `code` of
    the dictionary through which the model is seen, or that dictionary's `error`. `units` picks
    coordinates of it (all when None). The rest of the tensor, and every position outside `where` or
    where the `gate` is shut, stays as it was, bit for bit.
    """

    where: Where = field(default=EVERY, kw_only=True)
    basis: Basis = field(default="value", kw_only=True)
    units: tuple[int, ...] | None = field(default=None, kw_only=True)
    gate: Gate | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", Site.parse(self.at))
        if self.basis not in get_args(Basis):
            raise ValueError(f"an edit has no basis {self.basis!r}; {near(self.basis, get_args(Basis))}")
        units = self.units
        if units is not None and (not units or min(units) < 0 or len(set(units)) < len(units)):
            raise ValueError(f"units={units} of the edit at {self.at}: name at least one, each once, counted from 0")
        gate = self.gate
        if gate and "pattern" in (self.at.part, gate.at and gate.at.part):
            raise ValueError(f"an edit at {self.at} cannot have this gate: a pattern holds pairs of positions")
        if gate and gate.at and self.at < gate.at:
            raise ValueError(f"the gate reads {gate.at}, which comes after the edit at {self.at}; read an earlier site")

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Map `x`, [..., picked units], to a tensor that broadcasts to the same shape."""


@dataclass(frozen=True, eq=False, repr=False)
class Add(SiteEdit):
    """x + scale * vector: steering. With `keep_norm` the sum is brought back to the norm that x had."""

    vector: Tensor = field(kw_only=True)
    scale: float = field(default=1.0, kw_only=True)
    keep_norm: bool = field(default=False, kw_only=True)

    def __call__(self, x: Tensor) -> Tensor:
        moved = x + self.scale * self.vector.to(x)
        if not self.keep_norm:
            return moved
        before, after = x.norm(dim=-1, keepdim=True), moved.norm(dim=-1, keepdim=True)
        return moved * (before / after.clamp(min=torch.finfo(x.dtype).tiny))


@dataclass(frozen=True, eq=False, repr=False)
class Set(SiteEdit):
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


@dataclass(frozen=True, eq=False, repr=False)
class Mix(SiteEdit):
    """weight * x + (1 - weight) * value: a mask between 0 and 1 through which gradients reach both."""

    value: Tensor | float = field(kw_only=True)
    weight: Tensor | float = field(kw_only=True)

    def __call__(self, x: Tensor) -> Tensor:
        weight = torch.as_tensor(self.weight).to(x)
        return weight * x + (1 - weight) * torch.as_tensor(self.value).to(x)


@dataclass(frozen=True, eq=False, repr=False)
class Scale(SiteEdit):
    """factor * x: clamping a feature off (0), damping or boosting it."""

    factor: float = field(kw_only=True)

    def __call__(self, x: Tensor) -> Tensor:
        return self.factor * x


@dataclass(frozen=True, eq=False, repr=False)
class Clamp(SiteEdit):
    """x held between `low` and `high`; one of them may be left out."""

    low: float | None = field(default=None, kw_only=True)
    high: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low is None and self.high is None:
            raise ValueError(f"the clamp at {self.at} has no limit; give low, high or both")

    def __call__(self, x: Tensor) -> Tensor:
        return x.clamp(self.low, self.high)


@dataclass(frozen=True, eq=False, repr=False)
class Project(SiteEdit):
    """The part of x in the span of `directions`, [direction, d], becomes that of `value`: by default it is taken out.

    The directions need not be independent; the rest of x stays.
    """

    directions: Tensor = field(kw_only=True)
    value: Tensor | float = field(default=0.0, kw_only=True)

    def __call__(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        _, size, rows = torch.linalg.svd(self.directions.to(x.device, wide), full_matrices=False)
        basis = rows[size > size.max() * max(self.directions.shape) * torch.finfo(wide).eps].to(x.dtype)
        return x - ((x - torch.as_tensor(self.value).to(x)) @ basis.T) @ basis


@dataclass(frozen=True, eq=False, repr=False)
class Update(Edit):
    """W + scale * left @ right, of a linear map W [out, in]; just W + scale * left where there is no `right`.

    W is seen as [out, in] however the module stores it. The sum is taken in float64 and rounded once.
    """

    left: Tensor = field(kw_only=True)
    right: Tensor | None = field(default=None, kw_only=True)
    scale: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", Weight.parse(self.at))
        left, right = self.left.shape, None if self.right is None else self.right.shape
        if len(left) != 2 or (right is not None and (len(right) != 2 or left[1] != right[0])):
            raise ValueError(
                f"the factors of the update of {self.at} are {tuple(left)} and {right and tuple(right)}; "
                "they must be [out, rank] and [rank, in]"
            )

    @property
    def change(self) -> Tensor:
        """What is added to W, in float64, [out, in]."""
        left = self.left.double()
        return self.scale * (left if self.right is None else left @ self.right.double())

    def __call__(self, x: Tensor) -> Tensor:
        change = self.change.to(x.device)
        if change.shape != x.shape:
            raise ValueError(f"an update of {list(change.shape)} does not fit {self.at}, which is {list(x.shape)}")
        return (x.double() + change).to(x.dtype)
