"""Changes as values: functions at an address.

An `Edit` is a small frozen record that knows its address and is called with the tensor found there. An `ActivationEdit`
changes what flows at a site, where it says and while its `Gate` is open; an `Update` changes a weight.
"""

from __future__ import annotations

# torch and transformers leave arguments of their methods without a type:
# pyright: reportUnknownMemberType=false
import math
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, cast, get_args

import torch
from jaxtyping import Bool
from torch import Tensor

from clew.near import near
from clew.probing import Probe
from clew.sites import EVERY, PATTERNS, Site, Weight, Where
from clew.values import Value

Basis = Literal["value", "code", "error"]


Reach = Literal["token", "prompt"]


@dataclass(frozen=True, eq=False)
class Gate:
    """Opens an edit only where a reading is above a threshold.

    The reading is a probe's, at the probe's own site, or the unit `unit` of the code of the dictionary that writes the
    site, at the edit's own site or at an earlier one, `at`. Of the edit's own site it is taken of what arrives there.
    With reach "token" the edit is in force at the positions that are above, with "prompt" in all of a row that has one
    in its prompt.
    """

    probe: Probe | None = None
    unit: int | None = field(default=None, kw_only=True)
    above: float = field(default=0.0, kw_only=True)
    at: Any = field(default=None, kw_only=True)
    """A Site, or its address in words; a probe's is its own, and None is the edit's."""
    reach: Reach = field(default="token", kw_only=True)

    def __post_init__(self) -> None:
        if (self.probe is None) == (self.unit is None):
            raise ValueError("a gate reads either a probe or a unit of a dictionary; give one of the two")
        if self.reach not in get_args(Reach):
            raise ValueError(f"a gate has no reach {self.reach!r}; {near(self.reach, get_args(Reach))}")
        if not math.isfinite(self.above):
            raise ValueError(f"above={self.above}: a gate opens above a finite number")
        at = None if self.at is None else Site.parse(self.at)
        if self.probe is not None and at not in (None, self.probe.site):
            raise ValueError(f"a gate reads {self.probe!r} where the probe says, not at {at}; leave at= out")
        object.__setattr__(self, "at", self.probe.site if self.probe else at)

    def __call__(self, x: Tensor) -> Bool[Tensor, "*place"]:
        """Where it is open. Args: x: [..., d] what flows, or [..., unit] its code for a gate on a unit."""
        return (x[..., self.unit] if self.probe is None else self.probe(x)) > self.above

    def __str__(self) -> str:
        reading = f"unit {self.unit}" if self.probe is None else "a probe"
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


def _exact(value: object) -> torch.dtype | None:
    """A number of Python's is one of 64 bits, of which float32 would make some infinite."""
    return None if isinstance(value, Tensor) else torch.float64


def _check_values(edit: Edit, *names: str) -> None:
    """One value that is no number would make a whole run of them. Raises: ValueError naming the field that holds one."""
    where = f"the {type(edit).__name__.lower()} at {edit.at}"
    for name in names:
        value = getattr(edit, name)
        if isinstance(value, Tensor) and not value.is_floating_point():
            raise ValueError(
                f"{name} of {where} is of {value.dtype}; give floats, as {name}.float() of whole numbers is"
            )
        if value is not None and not bool(torch.as_tensor(value, dtype=_exact(value)).detach().isfinite().all()):
            said = "holds values that are" if isinstance(value, Tensor) and value.ndim else f"is {float(value)},"
            raise ValueError(f"{name} of {where} {said} not finite (NaN or inf); give finite numbers")


def _check_fits(edit: Edit, name: str, value: Tensor, x: Tensor) -> None:
    """Raises: ValueError for a value that does not broadcast to what flows."""
    if value.ndim > x.ndim or any(a not in (1, b) for a, b in zip(value.shape[::-1], x.shape[::-1], strict=False)):
        raise ValueError(
            f"{name} of shape {tuple(value.shape)} does not fit the {type(edit).__name__.lower()} at {edit.at}, where "
            f"{tuple(x.shape)} flows"
        )


def _same(value: object, default: object) -> bool:
    return default is not MISSING and not isinstance(value, Tensor) and value == default


def _short(value: object) -> str:
    if isinstance(value, Tensor):
        norm = cast("Tensor", value.detach().double().norm())
        return f"{list(value.shape)} of norm {float(norm):.4g}"
    if isinstance(value, tuple) and len(several := cast("tuple[object, ...]", value)) > 8:
        return f"{len(several)} from {several[0]} to {several[-1]}"
    return f"{value:.6g}" if isinstance(value, float) else str(cast("object", value))


@dataclass(frozen=True, eq=False, repr=False)
class ActivationEdit(Edit):
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
        if gate and {self.at.part, gate.at and gate.at.part} & {*PATTERNS}:
            raise ValueError(f"an edit at {self.at} cannot have this gate: a pattern holds pairs of positions")
        if gate and gate.at and self.at < gate.at:
            raise ValueError(f"the gate reads {gate.at}, which comes after the edit at {self.at}; read an earlier site")

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Map `x`, [..., picked units], to a tensor that broadcasts to the same shape."""


@dataclass(frozen=True, eq=False, repr=False)
class Through(ActivationEdit):
    """A change through a dictionary that works on what fires there, and needs no code of all units."""

    basis: Basis = field(default="code", kw_only=True)

    def __call__(self, x: Tensor) -> Tensor:
        raise TypeError(f"the {type(self).__name__.lower()} at {self.at} is made through a dictionary, by `rewritten`")

    @abstractmethod
    def rewritten(self, dictionary: Any, read: Tensor, value: Tensor) -> Tensor:
        """What shall flow. Args: read: what the dictionary reads, value: what flows, [batch, seq, d]."""


@dataclass(frozen=True)
class Steer(Value):
    """How a direction that was found is added: where, how often, and at which length."""

    where: Where | None = None
    """The positions that are steered; every one by default, which leaves padding out; where a gate asks first, those from
    which the answer is written."""
    scale: float = 1.0
    """How many times the vector is added; negative for the opposite."""
    normalise: bool = False
    """Make the vector one of length 1 ("unit") rather than of its own length ("natural")."""
    keep_norm: bool = False
    """Bring the sum back to the norm that the stream had."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.scale):
            raise ValueError(f"scale={self.scale}: give how many times the vector is added, such as 1.0 or -0.5")

    @property
    def norm(self) -> str:
        """The length of the vector, in a word."""
        return "unit" if self.normalise else "natural"

    def add(self, site: Site | str, vector: Tensor, *, usual: Where = EVERY, **more: Any) -> Add:
        """The edit that adds the vector. Args: usual: where, if nothing else was said. more: as of an Add."""
        vector = vector / cast("Tensor", vector.norm()) if self.normalise else vector
        where = usual if self.where is None else self.where
        return Add(site, vector=vector, scale=self.scale, where=where, keep_norm=self.keep_norm, **more)


@dataclass(frozen=True, eq=False, repr=False)
class Add(ActivationEdit):
    """x + scale * vector: steering. With `keep_norm` the sum is brought back to the norm that x had."""

    vector: Tensor = field(kw_only=True)
    scale: float = field(default=1.0, kw_only=True)
    keep_norm: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_values(self, "vector", "scale")

    def __call__(self, x: Tensor) -> Tensor:
        _check_fits(self, "vector", self.vector, x)
        moved = x + self.scale * self.vector.to(x)
        if not self.keep_norm:
            return moved
        before, after = (cast("Tensor", v.norm(dim=-1, keepdim=True)) for v in (x, moved))
        return moved * (before / after.clamp(min=torch.finfo(x.dtype).tiny))


@dataclass(frozen=True, eq=False, repr=False)
class Set(ActivationEdit):
    """x becomes `value` where `keep` is False (everywhere when `keep` is None): ablating, patching."""

    value: Tensor | float = field(kw_only=True)
    keep: Tensor | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_values(self, "value")
        if self.keep is not None and self.keep.dtype != torch.bool:
            raise ValueError(f"keep of the set at {self.at} is of {self.keep.dtype}; it says yes or no, in torch.bool")

    def __call__(self, x: Tensor) -> Tensor:
        value = torch.as_tensor(self.value).to(x)
        _check_fits(self, "value", value, x)
        return value.expand_as(x) if self.keep is None else torch.where(self.keep.to(x.device), x, value)


@dataclass(frozen=True, eq=False, repr=False)
class Mix(ActivationEdit):
    """weight * x + (1 - weight) * value: a mask between 0 and 1 through which gradients reach both."""

    value: Tensor | float = field(kw_only=True)
    weight: Tensor | float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_values(self, "value", "weight")

    def __call__(self, x: Tensor) -> Tensor:
        weight, value = (torch.as_tensor(part).to(x) for part in (self.weight, self.value))
        _check_fits(self, "weight", weight, x)
        _check_fits(self, "value", value, x)
        return weight * x + (1 - weight) * value


@dataclass(frozen=True, eq=False, repr=False)
class Scale(ActivationEdit):
    """factor * x: clamping a feature off (0), damping or boosting it."""

    factor: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_values(self, "factor")

    def __call__(self, x: Tensor) -> Tensor:
        return self.factor * x


@dataclass(frozen=True, eq=False, repr=False)
class Clamp(ActivationEdit):
    """x held between `low` and `high`; one of them may be left out."""

    low: float | None = field(default=None, kw_only=True)
    high: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low is None and self.high is None:
            raise ValueError(f"the clamp at {self.at} has no limit; give low, high or both")
        _check_values(self, "low", "high")

    def __call__(self, x: Tensor) -> Tensor:
        return x.clamp(self.low, self.high)


@dataclass(frozen=True, eq=False, repr=False)
class Project(ActivationEdit):
    """The part of x in the span of `directions`, [direction, d], becomes that of `value`: by default it is taken out.

    The directions need not be independent; the rest of x stays.
    """

    directions: Tensor = field(kw_only=True)
    value: Tensor | float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_values(self, "directions", "value")
        if self.directions.ndim != 2:
            shape = tuple(self.directions.shape)
            raise ValueError(f"the directions of the project at {self.at} are {shape}; they must be [direction, d]")

    def __call__(self, x: Tensor) -> Tensor:
        if self.directions.shape[1] != x.shape[-1]:
            raise ValueError(
                f"directions {self.directions.shape[1]} wide do not fit the project at {self.at}, where {tuple(x.shape)} "
                "flows"
            )
        wide = torch.promote_types(x.dtype, torch.float32)
        directions = self.directions.to(x.device, wide)
        _, size, rows = cast("tuple[Tensor, Tensor, Tensor]", torch.linalg.svd(directions, full_matrices=False))
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
        _check_values(self, "left", "right", "scale")

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
