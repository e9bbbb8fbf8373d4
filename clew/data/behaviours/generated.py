"""From a template's candidates to a behaviour of n pairs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.pairs import Encoded, encode, grouped
from clew.data.text.spaces import space_between

SPARE = 8
"""Candidates made per pair wanted, for a tokenizer to choose from."""


def generated(
    name: str, candidates: Iterable[Pair], *, description: str, model: Any, n: int, seed: int, aligned: bool = False
) -> Behaviour:
    """The first n candidates that the tokenizer, if there is one, can pose, each with a clean prompt of its own.

    Fewer where the words run out. A candidate and its reverse should follow each other: they end on the same side of
    the split. `dropped` stays 0, for what a tokenizer passes over was never part of the behaviour.
    """
    if n < 2:
        raise ValueError(f"n is {n}; a behaviour has a training and a test half, so it takes at least 2 pairs")
    some = tuple(islice(candidates, SPARE * n))
    made = Behaviour(name, some, aligned=aligned, split=0, description=description, seed=seed)  # in their order
    fresh: dict[object, Pair] = {}
    for pair in made.pairs if model is None else _posed(made, model, n).pairs:
        fresh.setdefault(pair.clean, pair)
    pairs, split = grouped(list(fresh.values())[:n])
    return replace(made, pairs=pairs, split=split)


def _posed(made: Behaviour, model: Any, n: int) -> Behaviour:
    """What the tokenizer can pose; of a template the shortest prompts of which there are n.

    There every slot is one token, while two longer prompts may be long in different slots.
    """
    bound = replace(made, aligned=False).bind(model)
    if not made.aligned:
        return bound
    encoded = [e for e in encode(model, bound.pairs) if isinstance(e, Encoded)]
    prompts = Counter(map(len, {tuple(e.clean) for e in encoded}))
    return bound.of_length(model, min((length for length, count in prompts.items() if count >= n), default=None))


def reverse(pair: Pair, case: str | None = None) -> Pair:
    """The same pair asked the other way round."""
    assert pair.patch is not None
    case = pair.case if case is None else case
    return Pair(pair.patch, pair.clean, pair.patch_answers, pair.answers, case)


def exchanged(facts: Mapping[str, str], prompt: Callable[[str], str], rng: random.Random) -> Iterator[Pair]:
    """Each question with one of another answer, both ways round; many partners each, so that a tokenizer can choose."""
    questions = list(facts)
    for _ in questions:
        rng.shuffle(questions)
        for one, other in zip(questions[::2], questions[1::2], strict=False):
            if facts[one] != facts[other]:
                space = space_between(prompt(one), facts[one])
                answers = (f"{space}{facts[one]}",), (f"{space}{facts[other]}",)
                pair = Pair(prompt(one), prompt(other), *answers)
                yield from (pair, reverse(pair))
