"""Names of clusters by rule: the one or two things that are true where its members end, and seldom elsewhere.

A name is a rule that can be run: of the answer, of the last tokens, of what is nearby. It is sought on two thirds of the
contexts and tested on the others, so what is said of a cluster comes with how far that holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from clew.data.predicates.before import BEFORE, ECHO, HERE, NEARBY, NEXT, WINDOW
from clew.data.predicates.predicate import Predicate
from clew.data.predicates.rule import Clause
from clew.data.predicates.table import Table
from clew.data.text.tokenised import Tokenised
from clew.studies.atlas._sklearn import sparse
from clew.studies.atlas.clustering import Clustering
from clew.studies.atlas.contexts import Contexts

TRIED = 16
"""Single predicates of a cluster that pairs are made of."""
RAREST = 2
"""Members that a predicate holds of at least."""
LEFT_OUT = 3
"""One in so many contexts is left out of the search, and tests it."""


@dataclass(frozen=True)
class Name:
    """What is said of a cluster, and how far it holds in contexts that it was not made from."""

    said: str
    """In words; empty where no rule says more than nothing."""
    predicates: tuple[Predicate, ...]
    precision: float
    """Of the contexts left out of which it is true, the share that are members; nan where there is none."""
    recall: float
    """Of the members left out, the share of which it is true."""
    usual: str
    """The most common last token and answer of its members."""

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 where either is."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both > 0 else 0.0


class _Column(NamedTuple):
    """One predicate: where it is true."""

    f1: float
    predicate: Predicate
    true: Bool[np.ndarray, " context"]


def names(given: Contexts, clustering: Clustering, words: Mapping[int, str]) -> list[Name]:
    """A name for each cluster, in their order. Args: words: what each token stands for, with the blank before it."""
    prompts = [[*given.prompt(i), int(given.answer[i])] for i in range(len(given))]
    table = Table(Tokenised.of([[words.get(token, f"<{token}>") for token in ids] for ids in prompts]))
    ends = table.text.documents[1:] - 2
    """Where the last token of each context stands; its answer is the next."""
    seen = [(at, *_seen(table, ends, at)) for at in (NEXT, HERE, *BEFORE, ECHO, NEARBY)]
    learnt = np.arange(len(given)) % LEFT_OUT > 0
    return [_name(clustering.which == k, learnt, seen, given, words) for k in range(clustering.k)]


def _seen(table: Table, ends: Int[np.ndarray, " context"], at: str) -> tuple[list[tuple[str, str]], Any]:
    """The properties, and of which contexts each is true of the token that is seen from their end: [context, property]."""
    properties = list(table.properties)
    pieces = np.concatenate([table.properties[name] for name in properties])
    owner = np.repeat(np.arange(len(properties)), [len(table.properties[name]) for name in properties])
    shape = len(table.text.pieces), len(properties)
    of_piece = sparse("csr_matrix")((np.ones(len(pieces), np.int32), (pieces, owner)), shape=shape)
    if at == NEARBY:
        starts = table.text.documents[:-1]
        looks = np.stack([np.where(ends - lag >= starts, ends - lag, -1) for lag in range(1, WINDOW + 1)])
    else:
        looks = table.view(at)[ends][None]
    total = sparse("csr_matrix")((looks.shape[1], len(properties)), dtype=np.int32)
    for look in looks:
        rows = of_piece[table.text.kinds[np.maximum(look, 0)]]
        total = total + sparse("diags")((look >= 0).astype(np.int32), dtype=np.int32) @ rows
    return properties, (total > 0).astype(np.int32).tocsc()


def _name(
    inside: Bool[np.ndarray, " context"],
    learnt: Bool[np.ndarray, " context"],
    seen: list[tuple[str, list[tuple[str, str]], Any]],
    given: Contexts,
    words: Mapping[int, str],
) -> Name:
    singles = sorted(_singles(inside & learnt, learnt, seen), key=lambda c: -c.f1)[:TRIED]
    best, true = 0.0, np.zeros(len(inside), bool)
    chosen: tuple[Predicate, ...] = ()
    for some in [*((c,) for c in singles), *combinations(singles, 2)]:
        if len({c.predicate.at for c in some}) < len(some):
            continue
        both = np.logical_and.reduce([c.true for c in some])
        value = _f1(both, inside, learnt) - 0.01 * (len(some) - 1)
        if value > best:
            best, true, chosen = value, both, tuple(c.predicate for c in some)
    left, hits = ~learnt & true, (~learnt & true & inside).sum()
    members = (~learnt & inside).sum()
    return Name(
        str(Clause(chosen, 1.0)) if chosen else "",
        chosen,
        float(hits / left.sum()) if left.any() else float("nan"),
        float(hits / members) if members else float("nan"),
        _usual(given.take(inside), words),
    )


def _singles(
    inside: np.ndarray, learnt: np.ndarray, seen: list[tuple[str, list[tuple[str, str]], Any]]
) -> Iterator[_Column]:
    """The best predicates of each view."""
    for at, properties, true in seen:
        hits = np.asarray(true[inside].sum(0)).ravel()
        total = np.asarray(true[learnt].sum(0)).ravel()
        f1 = 2 * hits / np.maximum(1, inside.sum() + total)
        for i in np.argsort(-f1, kind="stable")[:TRIED]:
            if hits[i] >= RAREST:
                family, value = properties[i]
                column = np.asarray(true[:, [i]].todense()).ravel() > 0
                yield _Column(float(f1[i]), Predicate(family, (value,), at), column)


def _f1(true: np.ndarray, inside: np.ndarray, among: np.ndarray) -> float:
    hits = (true & inside & among).sum()
    return float(2 * hits / max(1, (true & among).sum() + (inside & among).sum()))


def _usual(members: Contexts, words: Mapping[int, str]) -> str:
    (last, answer), _ = Counter(zip(members.ids[:, -1].tolist(), members.answer.tolist(), strict=True)).most_common(1)[
        0
    ]
    return f"{words.get(last, f'<{last}>')!r} then {words.get(answer, f'<{answer}>')!r}"
