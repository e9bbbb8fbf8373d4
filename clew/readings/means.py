"""Means over prompts of what flows at the places that mean the same: what stands in mean ablations for "otherwise".

In an aligned behaviour a position means the same in all prompts of one length and has a mean of its own. Elsewhere there
are three places: the first token, special tokens, and all others. For the first token of most models is a sink, whose
norm is tens of times that of any word (Xiao et al. 2024, arXiv:2309.17453; special tokens are often sinks too), so a mean
over all positions is nothing that ever flows at a word.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.data.behaviours.behaviour import Behaviour
from clew.dictionaries.sparse import Sparse
from clew.models import Model

FIRST, SPECIAL, OTHER = KINDS = range(3)
K = TypeVar("K", bound=Hashable)


class Means(Generic[K]):
    """Means of values [row, seq, ...] of some prompts, at each of their places."""

    def __init__(
        self,
        prompts: Iterable[tuple[Tensor, Mapping[K, Tensor | Sparse]]],
        *,
        aligned: bool,
        special: Sequence[int] = (),
    ) -> None:
        """Args:
        prompts: batches of token ids [row, seq], with what is to be averaged of each: values, or wide codes, [token, unit].
        special: ids of a kind.
        """
        self.aligned, self.special = aligned, torch.tensor(special, dtype=torch.long)
        sums, counts = dict[tuple[int, K], Any](), dict[int, Tensor]()
        for tokens, values in prompts:
            table, places, n = self._table(tokens), self.places(tokens), self.n_places(tokens)
            counts[table] = counts.get(table, 0) + torch.bincount(places.flatten(), minlength=n)
            for what, value in values.items():
                new = self._summed(places, n, value)
                sums[table, what] = sums[table, what] + new if (table, what) in sums else new
        self._means = {(table, what): _mean(total, counts[table]) for (table, what), total in sums.items()}

    @classmethod
    def of(
        cls, model: Model, behaviour: Behaviour, prompts: Iterable[tuple[Tensor, Mapping[K, Tensor | Sparse]]]
    ) -> Means[K]:
        """Means over prompts of a behaviour, whose special tokens are those of the model's tokenizer."""
        return cls(prompts, aligned=behaviour.aligned, special=_special_ids(model))

    def at(self, what: K, tokens: Int[Tensor, "row seq"]) -> Float[Tensor, "rows seq ..."]:
        """The mean at every place of some prompts; a single row where all of them have the same places."""
        means = self.by_place(what, tokens)
        means = means.dense() if isinstance(means, Sparse) else means
        return means[None] if self.aligned else means[self.places(tokens)]

    def by_place(self, what: K, tokens: Int[Tensor, "row seq"]) -> Any:
        """The mean at each place that such prompts have: [place, ...], or what is not 0 in it of wide codes."""
        return self._means[self._table(tokens), what]

    def _table(self, tokens: Tensor) -> int:
        """Places of prompts of two lengths are the same ones only where they are kinds of tokens."""
        return tokens.shape[1] if self.aligned else 0

    def n_places(self, tokens: Int[Tensor, "row seq"]) -> int:
        """How many places such prompts have."""
        return tokens.shape[1] if self.aligned else len(KINDS)

    def places(self, tokens: Int[Tensor, "row seq"]) -> Int[Tensor, "row seq"]:
        """At which place each token stands."""
        if self.aligned:
            return torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        place = torch.where(torch.isin(tokens, self.special.to(tokens.device)), SPECIAL, OTHER)
        place[:, 0] = FIRST
        return place

    def _summed(self, places: Tensor, n: int, values: Tensor | Sparse) -> Tensor | Sparse:
        if isinstance(values, Sparse):
            return values.grouped(places.flatten(), n)
        wide = torch.promote_types(values.dtype, torch.float32)
        if self.aligned:
            return values.sum(0, dtype=wide)
        one = torch.nn.functional.one_hot(places, n).to(wide)
        return torch.einsum("rsp,rs...->p...", one, values.to(wide))


def _special_ids(model: Model) -> list[int]:
    try:
        return model.tokenizer.all_special_ids
    except ValueError:  # opened without a tokenizer
        return []


def _mean(total: Any, count: Int[Tensor, " place"]) -> Any:
    """A place at which no prompt had a token takes the mean over all places."""
    if isinstance(total, Sparse):
        mean = total.with_value(total.value / count[total.row])
        for place in (count == 0).nonzero()[:, 0]:
            every = total.grouped(place.expand_as(count), total.rows)
            mean = mean + every.with_value(every.value / count.sum())
        return mean
    each = count.to(total).view(-1, *[1] * (total.ndim - 1))
    return torch.where(each > 0, total / each.clamp_min(1), total.sum(0) / count.sum())
