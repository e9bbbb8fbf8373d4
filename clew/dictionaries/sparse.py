"""Codes of wide dictionaries as what fires in them: of a hundred thousand units some dozens do at a token.

Encoding multiplies every token with every unit once, a few tokens at a time; all else touches what fires alone, so that no
[token, unit] ever stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeGuard

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from clew.dictionaries.dictionary import Dictionary, Learned

WIDE = 32_768
"""From so many units on a code is kept as what fires."""
NUMBERS = 2**25
"""A wide code stands for so many numbers at once, [token, unit], while it is encoded: 128 MiB in float32."""
GATHERED = 2**20
"""Numbers of decoder rows that are multiplied at once: they stay in the cache."""


@dataclass(frozen=True, eq=False)
class Sparse:
    """What is not 0 of values, [row, unit]: of the codes of some tokens, or of sums over tokens by their place."""

    key: Int[Tensor, " entry"]
    """row * units + unit, ascending, each once."""
    value: Float[Tensor, "entry ..."]
    rows: int
    units: int

    @classmethod
    def summed(cls, key: Int[Tensor, " entry"], value: Float[Tensor, "entry ..."], rows: int, units: int) -> Sparse:
        """Entries in any order; those of one key are added up.

        >>> Sparse.summed(torch.tensor([5, 1, 5]), torch.tensor([1.0, 2.0, 3.0]), rows=2, units=4).dense()
        tensor([[0., 2., 0., 0.],
                [0., 4., 0., 0.]])
        """
        ordered, order = key.sort()
        once, into = torch.unique_consecutive(ordered, return_inverse=True)
        return cls(once, value.new_zeros(len(once), *value.shape[1:]).index_add(0, into, value[order]), rows, units)

    @cached_property
    def row(self) -> Int[Tensor, " entry"]:
        return self.key // self.units

    @cached_property
    def unit(self) -> Int[Tensor, " entry"]:
        return self.key % self.units

    def __add__(self, other: Sparse) -> Sparse:
        key, value = torch.cat([self.key, other.key]), torch.cat([self.value, other.value])
        return Sparse.summed(key, value, self.rows, self.units)

    def with_value(self, value: Float[Tensor, "entry ..."]) -> Sparse:
        """Other values at the same places."""
        return Sparse(self.key, value, self.rows, self.units)

    def grouped(self, group: Int[Tensor, " row"], groups: int, units: int | None = None) -> Sparse:
        """The sums over the rows of each group. Args: units: how many there are from now on, where some are added."""
        units = units or self.units
        return Sparse.summed(group[self.row] * units + self.unit, self.value, groups, units)

    def at(self, row: int) -> tuple[Int[Tensor, " entry"], Float[Tensor, "entry ..."]]:
        """The units of one row, ascending, and their values."""
        ends = torch.tensor([row, row + 1], device=self.key.device) * self.units
        here = slice(*torch.searchsorted(self.key, ends).tolist())
        return self.unit[here], self.value[here]

    def of(self, row: Int[Tensor, "..."], unit: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The values of some units at some rows, which broadcast; 0 where they do not fire."""
        if not len(self.key):
            return self.value.new_zeros(torch.broadcast_shapes(row.shape, unit.shape))
        wanted = row * self.units + unit
        found = torch.searchsorted(self.key, wanted).clamp_max(len(self.key) - 1)
        return torch.where(self.key[found] == wanted, self.value[found], 0)

    def columns(self, unit: Int[Tensor, " picked"]) -> Float[Tensor, "row picked"]:
        """The values of some units at every row."""
        return self.of(torch.arange(self.rows, device=unit.device)[:, None], unit)

    def take(self, row: Int[Tensor, " picked"]) -> Sparse:
        """Some of its rows, in any order, the same one as often as it is named."""
        first, last = (torch.searchsorted(self.key, (row + i) * self.units) for i in (0, 1))
        into = torch.repeat_interleave(last - first)
        skipped = first - torch.cat([first[:1] * 0, (last - first).cumsum(0)[:-1]])
        entry = torch.arange(len(into), device=row.device) + skipped[into]
        return Sparse(into * self.units + self.unit[entry], self.value[entry], len(row), self.units)

    def dense(self) -> Float[Tensor, "row unit"]:
        """All of it, with its zeros."""
        flat = self.value.new_zeros(self.rows * self.units)
        return flat.index_copy(0, self.key, self.value).view(self.rows, self.units)


def is_wide(dictionary: Dictionary) -> TypeGuard[Learned]:
    """Whether codes are kept as what fires: of a decoder matrix with at least `WIDE` rows, in float32 or float64."""
    if not isinstance(dictionary, Learned) or dictionary.joint or dictionary.n_units < WIDE:
        return False
    return dictionary.W_dec.dtype in (torch.float32, torch.float64)


def encode(dictionary: Learned, x: Float[Tensor, "token d_in"]) -> Sparse:
    """What fires at each token; not differentiable."""
    units, keys, values = dictionary.n_units, list[Tensor](), list[Tensor]()
    tokens = max(1, NUMBERS // units)
    with torch.no_grad():
        for first in range(0, len(x), tokens):
            code = dictionary.encode(x[first : first + tokens]).flatten()
            fires = code.nonzero()[:, 0]
            keys.append(fires + first * units)
            values.append(code[fires])
    return Sparse(torch.cat(keys), torch.cat(values), len(x), units)


def write(dictionary: Learned, code: Sparse) -> Float[Tensor, "row d_out"]:
    """What a code adds to y: `Dictionary.write` of it."""
    first = torch.searchsorted(code.key, torch.arange(code.rows, device=code.key.device) * code.units)
    return embedding_bag(code.unit, dictionary.W_dec, first, mode="sum", per_sample_weights=code.value)


def pull(dictionary: Learned, grad: Float[Tensor, "row d_out"], code: Sparse) -> Float[Tensor, " entry"]:
    """`Dictionary.pull` of a gradient, at what stands in a code alone."""
    some = max(1, GATHERED // dictionary.d_out)
    parts = zip(code.unit.split(some), code.row.split(some), strict=True)
    return torch.cat([(dictionary.W_dec[unit] * grad[row]).sum(-1) for unit, row in parts])


def pull_back(dictionary: Learned, code: Sparse, grad: Float[Tensor, "row d_out"]) -> Float[Tensor, "row d_in"]:
    """The gradient of write(code) . grad in what was encoded, through the units of a code that are not 0."""
    through = pull(dictionary, grad, code) * dictionary.slope(code.unit) * (code.value != 0)
    found = grad.new_zeros(code.rows, dictionary.d_in)
    some = max(1, GATHERED // dictionary.d_in)
    for unit, row, times in zip(code.unit.split(some), code.row.split(some), through.split(some), strict=True):
        found.index_add_(0, row, dictionary.W_enc[:, unit].T * times[:, None])
    return found
