"""What an addition to what flows does to the next token, at the strength at which it does as much as any other.

Some vector is added at the last token of contexts, and the next token's log-probabilities are compared with those of the
clean run. What two vectors do can only be compared where both move the model equally far: the strength is sought at which
the mean divergence KL(clean || edited) over the contexts is a given number of nats.

Source: Paulo et al. 2024, arXiv:2410.13928 (interventions compared at equal KL, found by bisection in log space).
Differs: the first steps follow the slope, of about strength², and only the last token is run again, above the site.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.changes import Add, Edit
from clew.data.predicates.predicate import unit_of
from clew.data.predicates.table import Table
from clew.firings import Firings
from clew.models import Model
from clew.models.body import Body
from clew.models.likelihood import log_softmax
from clew.readings._tail import Tail
from clew.readings.index.index import Index
from clew.readings.unseen import SHARES
from clew.sites import Site, Where

SIGMA = 0.1
"""Nats of KL(clean || edited)."""
WITHIN = 0.1
"""The divergence is met to this share of it."""
STEPS, QUICK = 40, 8
"""Strengths that are tried at most, and those after which the interval is halved."""
REACH = (1e-4, 1e4)
"""The smallest and the largest strength that is tried, as a share of the size of what flows there."""
FIRST = 0.3
TOKENS = 256
"""Run at once."""
MANY, LONGEST = 16, 32
"""How many contexts, and of how many tokens at most."""


@dataclass(frozen=True, eq=False)
class Pushed:
    """What several directions do, each at a strength of its own."""

    strength: Float[Tensor, " direction"]
    """Times which each was added; nan where no strength reaches the divergence."""
    kl: Float[Tensor, " direction"]
    """Mean KL(clean || edited), in nats."""
    change: Float[Tensor, "direction context token"]
    """Of the log-probability of each token of the vocabulary."""


class Contexts:
    """Contexts of one length, and what a model says comes next, before and after an addition at their last token."""

    def __init__(self, model: Model, tokens: Int[Tensor, "context token"]) -> None:
        """Args: tokens: ids of two contexts or more."""
        model.body.check_causal("what an addition pushes")
        self.model, self._base = model, model.run(tokens, record=True, logits=1)
        assert self._base.logits is not None
        self.clean: Float[Tensor, "context token"] = log_softmax(self._base.logits[:, -1])

    def __len__(self) -> int:
        return len(self.clean)

    def change(self, site: Site | str, added: Float[Tensor, "direction d"]) -> Float[Tensor, "direction context token"]:
        """By how much each token's log-probability is other when this is added at the last token."""
        at, rows = self.model.body.site(site), max(1, TOKENS // self._tail.trace.tokens.numel())
        return torch.cat([self._changed(at, some) for some in added.split(rows)])

    def divergence(self, change: Float[Tensor, "direction context token"]) -> Float[Tensor, " direction"]:
        """Mean KL(clean || edited) over the contexts, in nats."""
        return -(self.clean.exp() * change).sum(-1).mean(-1)

    def at_kl(self, site: Site | str, directions: Float[Tensor, "direction d"], sigma: float = SIGMA) -> Pushed:
        """What directions do at the strength at which their mean divergence is sigma.

        Raises: ValueError for a sigma that is no number above 0.
        """
        if not 0 < sigma < math.inf:
            raise ValueError(f"sigma={sigma}: a divergence is matched above 0 nats; 0.1 is usual")
        found = [self._one_kl(site, some, sigma) for some in directions.split(max(1, TOKENS // len(self)))]
        return Pushed(*(torch.cat([getattr(one, name) for one in found]) for name in ("strength", "kl", "change")))

    def _one_kl(self, site: Site | str, directions: Tensor, sigma: float) -> Pushed:
        """A search in the logarithm of the strength: along the last slope while that stays inside, else by halves."""
        usual = self._size(site) / directions.norm(dim=-1).double().cpu().clamp(min=1e-30)
        search, strength = _Search(len(directions), sigma), usual
        change = self.clean.new_zeros(len(directions), *self.clean.shape)
        for _ in range(STEPS):
            left = search.left
            strength = usual * search.x.exp()
            change[left] = self.change(site, directions[left] * strength[left, None].to(directions))
            if not search.told(self.divergence(change)):
                break
        return Pushed(torch.where(search.met, strength, torch.nan), search.kl, change)

    def _size(self, site: Site | str) -> float:
        """The mean norm of what flows at the last token."""
        trace = self.model.run(
            self._tail.trace.tokens, read=[site], logits=0, base=self._tail.trace, past=self._kept(site, 1)
        )
        return float(trace[site][:, -1].float().norm(dim=-1).mean())

    @cached_property
    def _tail(self) -> Tail:
        """The last column, where nothing else can change."""
        return Tail(self.model, self._base, self._base.tokens.shape[1] - 1)

    def _kept(self, site: Site | str, copies: int) -> Any:
        """The past of so many copies, for a run that adds its own to it; blocks below the site are not run."""
        past, order = self._tail.past(), torch.arange(len(self), device=self.model.device).repeat(copies)
        for layer in past.layers[Site.parse(site).layer or 0 :] if past is not None and copies > 1 else ():
            layer.batch_select_indices(order)
        return past

    def _changed(self, site: Site, added: Tensor) -> Tensor:
        vector = added.repeat_interleave(len(self), 0)[:, None].to(self.model.body.dtype)
        edit = Add(site, vector=vector, where=Where.at(-1))
        tokens = self._tail.trace.tokens.repeat(len(added), 1)
        past = self._kept(site, len(added))
        run = self.model.run(tokens, edits=[edit], logits=1, base=self._tail.trace, past=past)
        assert run.logits is not None
        return log_softmax(run.logits[:, -1]).unflatten(0, (len(added), len(self))) - self.clean


class _Search:
    """For each of several directions the logarithm of a strength, sought between bounds."""

    def __init__(self, n: int, sigma: float) -> None:
        self.goal, self.x = math.log(sigma), torch.full((n,), math.log(FIRST), dtype=torch.float64)
        self.low, self.high = (torch.full_like(self.x, math.log(bound)) for bound in REACH)
        self.kl, self.left = torch.zeros_like(self.x), torch.ones(n, dtype=torch.bool)
        self._slope, self._before, self.tried = torch.full_like(self.x, 2.0), (self.x, self.x), 0

    @property
    def met(self) -> Bool[Tensor, " direction"]:
        return (self.kl.clamp(min=1e-12).log() - self.goal).abs() < math.log1p(WITHIN)

    def told(self, kl: Float[Tensor, " direction"]) -> bool:
        """What the strengths tried last reached; whether there are others to try."""
        self.kl = kl.double().cpu()
        y = self.kl.clamp(min=1e-12).log()
        self.low, self.high = (
            torch.where(y < self.goal, self.x, self.low),
            torch.where(y < self.goal, self.high, self.x),
        )
        self.left = ~self.met & (self.high - self.low > 1e-6)
        if self.tried:
            x, before = self._before
            slope = (y - before) / torch.where(self.x == x, torch.inf, self.x - x)
            self._slope = torch.where(slope > 0.1, slope, self._slope)
        self._before, self.tried = (self.x, y), self.tried + 1
        guess = self.x + (self.goal - y) / self._slope
        inside = (guess > self.low) & (guess < self.high) & (self.tried < QUICK)
        self.x = torch.where(self.left, torch.where(inside, guess, (self.low + self.high) / 2), self.x)
        return bool(self.left.any())


@runtime_checkable
class SaysNext(Protocol):
    """An explanation that names what a unit does to the next token."""

    @property
    def side(self) -> int: ...

    @property
    def sigma(self) -> float:
        """The divergence, in nats, at which that was looked at."""
        ...

    @property
    def raises(self) -> Mapping[int, str]:
        """Tokens whose probability grows, by id, in words."""
        ...

    @property
    def lowers(self) -> Mapping[int, str]: ...


def check_same(model: Model, firings: Firings, site: Site) -> None:
    """Raises: ValueError where an index says that its units at a site are of another dictionary than the model's."""
    about = firings.about["sites"].get(str(site), {}) if isinstance(firings, Index) else {}
    dictionary = model.dictionaries.get(site)
    if dictionary is not None and about.get("fingerprint", dictionary.fingerprint) != dictionary.fingerprint:
        raise ValueError(
            f"the units at {site} in the index are those of another dictionary than the one that the model is seen in; "
            "see it through the one that was indexed"
        )


def row_of(model: Model, address: str) -> Float[Tensor, " d"]:
    """What a unit writes at its site.

    Raises: ValueError for a unit that the model's view has not, or one of several coordinates, such as a head.
    """
    site, unit = unit_of(address)
    dictionary = model.dictionaries.get(site)
    if dictionary is None or unit >= dictionary.n_units:
        there = ", ".join(f"{s} ({d.n_units} units)" for s, d in list(model.dictionaries.items())[:8])
        raise ValueError(
            f"the model has no unit {address}; it is seen in {there}: see it through the unit's dictionary"
        )
    dtype = next((b.dtype for b in dictionary.buffers() if b.is_floating_point()), model.body.dtype)
    own = torch.zeros(dictionary.n_units, dtype=dtype, device=model.device)
    own[unit] = 1
    if dictionary.unfold(own).shape != own.shape:
        raise ValueError(
            f"{address} has several coordinates and so no direction of its own; effects are of single ones"
        )
    return dictionary.write(own)


def contexts_of(model: Model, firings: Firings, table: Table, part: Sequence[int], seed: int = 0) -> Contexts:
    """Beginnings of windows, each of another document and all of one length; kept while the same are asked for.

    Args:
        table: of the text of the firings.
        part: the parts of its documents that they are taken from, as `SHARES` divides them.
        seed: draws the documents.

    Raises: ValueError for a text that is in other tokens than the model's, or of fewer than two documents there.
    """
    return _contexts(model.body, model.body.fingerprint, model.edits, firings, table, tuple(part), seed)


@lru_cache(maxsize=4)
def _contexts(
    body: Body, weights: str, edits: tuple[Edit, ...], firings: Firings, table: Table, part: tuple[int, ...], seed: int
) -> Contexts:
    text, known = table.text, int(firings.tokens.max(initial=0)) < body.vocabulary
    if not known:
        raise ValueError(
            f"the text of the firings has the token {int(firings.tokens.max())}, and {body.name} knows "
            f"{body.vocabulary}; give the model whose units fired there"
        )
    sizes = np.minimum(np.diff(text.documents), LONGEST) * np.isin(text.parts(*SHARES), part)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    _, first = np.unique(text.group[text.documents[:-1]][order], return_index=True)
    chosen = order[np.sort(first)[:MANY]]
    length = int(np.median(sizes[chosen])) if len(chosen) else 0
    chosen = chosen[sizes[chosen] >= length]
    if len(chosen) < 2 or length < 2:
        raise ValueError("what comes next is asked after several documents; give a text with more of them in each part")
    rows = firings.tokens[text.documents[chosen][:, None] + np.arange(length)]
    return Contexts(Model(body, edits=edits), torch.from_numpy(rows.astype(np.int64)).to(body.device))
