"""Node effects at a wide dictionary, from what fires in it alone: see `_nodes`, which does the same where units are few.

A unit has an effect where it fires in the clean or in the other run. A mean over prompts is another matter: most units are in
it. But it is one vector for each place of a prompt, so gradients are added up by place before they meet the decoder.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.dictionaries import sparse
from clew.dictionaries.dictionary import Dictionary, Learned
from clew.dictionaries.sparse import Sparse, is_wide, pull
from clew.models import Trace
from clew.models.trace import as_read
from clew.readings.contrast import Contrast, fires
from clew.sites import Site


def goes_by_what_fires(contrast: Contrast, dictionary: Dictionary, keep: bool) -> bool:
    """Whether effects are had of what fires: not where positions are told apart whose means are of kinds of tokens."""
    return is_wide(dictionary) and not (keep and contrast.mean is not None and not contrast.mean.means.aligned)


def sums(contrast: Contrast, clean: Trace, other: Trace | None, site: Site, grad: Tensor, keep: bool) -> Sparse:
    """Sums over the examples of a batch at one site, [entry, 3]: of effects, of their squares, of the other codes.

    Args: grad: [example, seq, d]. keep: whether positions are told apart.
    Returns: its rows are positions, or there is one; the last unit is the error.
    """
    dictionary = contrast.model.dictionaries[site]
    assert is_wide(dictionary)
    grad = as_read(grad, dictionary)
    if contrast.mean is None:
        here, there = contrast.fires(clean, other, site)
        found, error = _from_what_fires(dictionary, here.code, there.code, grad, keep), there.error - here.error
    else:
        here = fires(clean, site)
        found = _toward_mean(contrast, clean, site, dictionary, here.code, grad, keep)
        error = contrast.mean.error(site, clean.tokens) - here.error
    return found + _of_errors((grad * error).sum(-1), keep, found)


def _from_what_fires(dictionary: Learned, here: Sparse, there: Sparse, grad: Tensor, keep: bool) -> Sparse:
    examples, seq, _ = grad.shape
    both = here.with_value(torch.stack([-here.value, torch.zeros_like(here.value)], dim=1))
    both = both + there.with_value(torch.stack([there.value, there.value], dim=1))
    change, code = both.value.T
    each = both.with_value(torch.stack([change * pull(dictionary, grad.flatten(0, 1), both), code], dim=1))
    token = torch.arange(examples * seq, device=grad.device)
    if keep:
        return _squared(each).grouped(token % seq, seq, each.units + 1)
    each = each.grouped(token // seq, examples)
    return _squared(each).grouped(torch.zeros_like(token[:examples]), 1, each.units + 1)


def _squared(each: Sparse) -> Sparse:
    effect, code = each.value.T
    return each.with_value(torch.stack([effect, effect**2, code], dim=1))


def _of_errors(effect: Float[Tensor, "example seq"], keep: bool, like: Sparse) -> Sparse:
    """The entries of the error nodes."""
    effect = effect if keep else effect.sum(1, keepdim=True)
    value = torch.stack([effect.sum(0), (effect**2).sum(0), torch.zeros_like(effect[0])], dim=1)
    rows = torch.arange(like.rows, device=effect.device)
    return Sparse(rows * like.units + like.units - 1, value.to(like.value), like.rows, like.units)


def _toward_mean(
    contrast: Contrast, clean: Trace, site: Site, dictionary: Learned, here: Sparse, grad: Tensor, keep: bool
) -> Sparse:
    assert contrast.mean is not None
    examples, units = len(grad), dictionary.n_units
    mean, places = contrast.mean.by_place(site, clean.tokens), contrast.mean.means.places(clean.tokens)
    parts = _by_place(dictionary, here, grad, mean, places)
    if keep:  # a place is a position
        keys, values = list[Tensor](), list[Tensor]()
        for place, unit, code, toward in parts:
            keys.append(place * (units + 1) + unit)
            values.append(torch.stack([toward.sum(0), (toward**2).sum(0), examples * code], dim=1))
        return Sparse(torch.cat(keys), torch.cat(values), mean.rows, units + 1)
    each, total = grad.new_zeros(examples, units), grad.new_zeros(units)
    tokens = torch.bincount(places.flatten(), minlength=mean.rows)
    for place, unit, code, toward in parts:
        each[:, unit] += toward
        total[unit] += tokens[place] * code
    value = torch.stack([each.sum(0), (each**2).sum(0), total], dim=1)
    some = value.any(1).nonzero()[:, 0]
    return Sparse(some, value[some], 1, units + 1)


def _by_place(
    dictionary: Learned,
    here: Sparse,
    grad: Float[Tensor, "example seq d"],
    mean: Sparse,
    places: Int[Tensor, "example seq"],
) -> Iterator[tuple[int, Int[Tensor, " some"], Float[Tensor, " some"], Float[Tensor, "example some"]]]:
    """Place by place some of the units of its mean: their codes there, and each example's effect of taking them.

    The mean is one of these very prompts, so what fires at a place stands in the mean of that place.
    """
    examples, tokens = len(grad), grad.flatten(0, 1)
    group = (places * examples + torch.arange(examples, device=places.device)[:, None]).flatten()
    pulled = tokens.new_zeros(mean.rows * examples, tokens.shape[1]).index_add(0, group, tokens)
    gone = here.with_value(here.value * pull(dictionary, tokens, here)).grouped(group, len(pulled))
    ends = torch.arange(mean.rows + 1, device=group.device) * examples * gone.units
    ends = torch.searchsorted(gone.key, ends).tolist()
    for place in range(mean.rows):
        rows, (units, codes) = slice(place * examples, (place + 1) * examples), mean.at(place)
        left = slice(ends[place], ends[place + 1])
        example, lost, value = gone.row[left] - rows.start, gone.unit[left], gone.value[left]
        some = max(1, sparse.NUMBERS // max(examples, tokens.shape[1]))
        for unit, code in zip(units.split(some), codes.split(some), strict=True):
            if not len(unit):
                continue
            toward = (pulled[rows] @ dictionary.W_dec[unit].T) * code
            column = torch.searchsorted(unit, lost).clamp_max(len(unit) - 1)
            met = unit[column] == lost
            yield place, unit, code, toward.index_put((example[met], column[met]), -value[met], accumulate=True)


class Adding:
    """Sparse values that are added up as they come: two are made one as soon as the later is as long as the earlier."""

    def __init__(self) -> None:
        self._parts = list[Sparse]()

    def add(self, new: Sparse) -> None:
        self._parts.append(new)
        while len(self._parts) > 1 and len(self._parts[-1].key) >= len(self._parts[-2].key):
            self._merge()

    def _merge(self) -> None:
        last = self._parts.pop()
        self._parts[-1] = self._parts[-1] + last

    def total(self) -> Sparse:
        """All of them."""
        while len(self._parts) > 1:
            self._merge()
        return self._parts[0]
