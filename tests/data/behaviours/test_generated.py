"""From candidates to pairs: as many as asked for, of those that the tokenizer can pose, each clean prompt once."""

import random
from collections.abc import Iterator
from itertools import count, islice

import pytest

from clew.data.behaviours.behaviour import Pair
from clew.data.behaviours.generated import SPARE, exchanged, generated, reverse

CAPITALS = {"France": "Paris", "Gaul": "Paris", "Italy": "Rome", "Spain": "Madrid"}


def numbered(drawn: list[int] | None = None) -> Iterator[Pair]:
    """Candidates without end; `drawn` notes which were taken."""
    for i in count():
        if drawn is not None:
            drawn.append(i)
        yield Pair(f"a {i}", f"b {i}", (" c",), (" d",))


def made(candidates: Iterator[Pair], n: int, model: object = None, seed: int = 0):
    return generated("toy", candidates, description="a toy", model=model, n=n, seed=seed)


def test_the_first_candidates_are_taken_in_their_order_and_no_more_drawn_than_may_be_needed():
    drawn = list[int]()
    behaviour = made(numbered(drawn), 6)
    assert [p.clean for p in behaviour.pairs] == [f"a {i}" for i in range(6)]
    assert len(drawn) == SPARE * 6 and (behaviour.name, behaviour.description) == ("toy", "a toy")
    assert len(behaviour.train) == 3 and behaviour.dropped == 0


def test_a_tokenizer_chooses_among_the_spare_ones_and_nothing_counts_as_dropped(toy):
    wanted = [Pair("a b", "b a", (" c",), (" d",)), Pair("c a", "c b", (" a",), (" b",))]
    others = [Pair(f"e{i} a", "b a", (" c",), (" cc dd",)) for i in range(4)]  # an answer of two tokens
    behaviour = made(iter([others[0], wanted[0], *others[1:], wanted[1]]), 2, toy("a b c d"))
    assert list(behaviour.pairs) == wanted and behaviour.dropped == 0


def test_a_clean_prompt_is_asked_once_and_a_reverse_stays_on_its_side():
    pairs = [Pair(f"a {i // 2}", f"b {i}", (" c",), (" d",)) for i in range(8)]
    assert [p.patch for p in made(iter(pairs), 8).pairs] == ["b 0", "b 2", "b 4", "b 6"]
    both = made((p for pair in islice(numbered(), 5) for p in (pair, reverse(pair))), 10)
    sides = [{p.clean for p in half.pairs} | {p.patch for p in half.pairs} for half in (both.train, both.test)]
    assert len(both) == 10 and not sides[0] & sides[1]


def test_words_may_run_out_but_one_pair_is_no_behaviour():
    assert len(made(islice(numbered(), 3), 100)) == 3
    with pytest.raises(ValueError, match="n is 1; a behaviour has a training and a test half"):
        made(numbered(), 1)


def test_a_pair_reversed_twice_is_itself():
    pair = Pair("a", "b", (" c",), (" d", " e"), "one")
    assert reverse(pair) == Pair("b", "a", (" d", " e"), (" c",), "one") and reverse(reverse(pair)) == pair
    assert reverse(pair, "two").case == "two"


def test_a_question_is_exchanged_for_one_of_another_answer_both_ways_round():
    pairs = list(exchanged(CAPITALS, "The capital of {} is".format, random.Random(0)))
    said = {f"The capital of {land} is": (f" {city}",) for land, city in CAPITALS.items()}
    assert pairs and all((p.answers, p.patch_answers) == (said[p.clean], said[p.patch]) for p in pairs)
    assert not any(p.answers == p.patch_answers for p in pairs)
    assert all(back == reverse(one) for one, back in zip(pairs[::2], pairs[1::2], strict=True))
    assert len({p.patch for p in pairs if p.clean == "The capital of Spain is"}) > 1  # many partners to choose from
