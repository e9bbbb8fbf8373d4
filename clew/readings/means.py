"""Means over prompts of what flows at the places that mean the same: what stands in mean ablations for "otherwise".

In an aligned behaviour a position means the same in all prompts of one length and has a mean of its own. Elsewhere there
are three places: the first token, special tokens, and all others. For the first token of most models is a sink, whose
norm is tens of times that of any word (Xiao et al. 2024, arXiv:2309.17453; special tokens are often sinks too), so a mean
over all positions is nothing that ever flows at a word.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.data.behaviours.behaviour import Behaviour
from clew.models import Model

FIRST, SPECIAL, OTHER = range(3)
K = TypeVar("K", bound=Hashable)


class Means(Generic[K]):
    """Means of values [row, seq, ...] of some prompts, at each of their places."""

    def __init__(
        self, prompts: Iterable[tuple[Tensor, Mapping[K, Tensor]]], *, aligned: bool, special: Sequence[int] = ()
    ) -> None:
        """Args: prompts: batches of token ids [row, seq], with what is to be averaged of each. special: ids of a kind."""
        self.aligned, self.special = aligned, torch.tensor(special, dtype=torch.long)
        sums, counts = dict[tuple[int, K], Tensor](), dict[int, Tensor]()
        for tokens, values in prompts:
            table, places = self._table(tokens), self._places(tokens)
            counts[table] = counts.get(table, 0) + places.sum((0, 1))
            for what, value in values.items():
                new = _summed(places, value)
                sums[table, what] = sums[table, what] + new if (table, what) in sums else new
        self._means = {(table, what): _mean(total, counts[table]) for (table, what), total in sums.items()}

    @classmethod
    def of(cls, model: Model, behaviour: Behaviour, prompts: Iterable[tuple[Tensor, Mapping[K, Tensor]]]) -> Means[K]:
        """Means over prompts of a behaviour, whose special tokens are those of the model's tokenizer."""
        return cls(prompts, aligned=behaviour.aligned, special=_special_ids(model))

    def at(self, what: K, tokens: Int[Tensor, "row seq"]) -> Float[Tensor, "rows seq ..."]:
        """The mean at every place of some prompts; a single row where all of them have the same places."""
        means = self._means[self._table(tokens), what]
        return means[None] if self.aligned else means[self._places(tokens).argmax(-1)]

    def _table(self, tokens: Tensor) -> int:
        """Places of prompts of two lengths are the same ones only where they are kinds of tokens."""
        return tokens.shape[1] if self.aligned else 0

    def _places(self, tokens: Tensor) -> Int[Tensor, "row seq place"]:
        """One-hot, at which place each token stands."""
        if self.aligned:
            return torch.eye(tokens.shape[1], dtype=torch.long, device=tokens.device).repeat(len(tokens), 1, 1)
        place = torch.where(torch.isin(tokens, self.special.to(tokens.device)), SPECIAL, OTHER)
        place[:, 0] = FIRST
        return torch.nn.functional.one_hot(place, 3)


def _special_ids(model: Model) -> list[int]:
    try:
        return model.tokenizer.all_special_ids
    except ValueError:  # opened without a tokenizer
        return []


def _summed(places: Tensor, values: Float[Tensor, "row seq ..."]) -> Float[Tensor, "place ..."]:
    wide = torch.promote_types(values.dtype, torch.float32)
    return torch.einsum("rsp,rs...->p...", places.to(wide), values.to(wide))


def _mean(total: Float[Tensor, "place ..."], count: Int[Tensor, " place"]) -> Float[Tensor, "place ..."]:
    """A place at which no prompt had a token takes the mean over all places."""
    each = count.to(total).view(-1, *[1] * (total.ndim - 1))
    return torch.where(each > 0, total / each.clamp_min(1), total.sum(0) / count.sum())
