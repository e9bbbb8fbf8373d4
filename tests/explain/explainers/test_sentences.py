import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import clew
from clew.explain.explainers._examples import firing_windows, known_of
from clew.explain.explainers.sentences import MARK, sentences
from clew.firings import Fired, Held
from clew.readings.asking.asks import Asks
from clew.readings.asking.kept import Remembered
from clew.readings.asking.local import Local
from clew.readings.unseen import UNSEEN
from clew.sites import Site
from tests.explain.known import known, unit, unseen
from tests.explain.reader import garbled, perfect, windows
from tests.models.tiny import model_of, sharp, word_tokenizer
from tests.readings.asking.scripted import scripted


def asked(**options):
    asks = perfect()
    sentences(known().firings, [unit("months")], known().table, asks=asks, **options)
    return asks.answers.asked[0].messages


def row(address):
    site, _, number = address.partition("/")
    return known().firings.row(Site.parse(site), int(number))


def test_what_the_model_says_is_the_explanation():
    asks = perfect("months")
    ((address, (prose,)),) = sentences(known().firings, [unit("months")], asks=asks).items()
    assert (address, prose.text, prose.side, prose.kind, prose.asks) == (unit("months"), "months", 1, "prose", asks)
    assert asks.count.requests == 1 and prose.origin == "scripted"


def test_it_is_shown_marked_windows_with_strengths():
    task, *_, last = asked(examples=3)
    assert MARK in task.content and last.content.count("Text ") == 3 and last.content.count("Strengths: ") == 3
    assert last.content.count("<<") >= 3 and '": 10)' in last.content


def test_it_sees_nothing_of_what_scorers_see():
    """Every window shown is one of documents that are not held out, for every planted unit."""
    text, part = known().table.text, unseen().part
    held_out = {words for words, tokens in windows().items() if part[text.document[tokens[0]]] == UNSEEN}
    for number in range(len(known().truth)):
        made = firing_windows(known_of(known().table), row(known().address(number)), 1, 40, spread=True)
        inside = np.concatenate([np.empty(0, np.int64), *(one.tokens for one in made)])
        assert not np.isin(inside, unseen().rows).any()
    shown = asked(examples=40)[-1].content.replace("<<", "").replace(">>", "").split("\n")
    assert not {line.partition(": ")[2] for line in shown} & held_out
    unseen_windows = np.concatenate([unseen().tokens(w) for w in range(len(unseen().starts))])
    assert not np.isin(unseen_windows, np.flatnonzero(known_of(known().table).window >= 0)).any()


def test_examples_are_of_all_strengths_or_the_strongest():
    known_part, of = known_of(known().table), row(unit("months"))
    spread, strongest = (
        [one.values.max() for one in firing_windows(known_part, of, 1, 10, spread=s)] for s in (True, False)
    )
    assert spread == sorted(spread, reverse=True) and spread[0] == 1 and min(spread) < min(strongest)


def both_sides():
    tokens = np.tile(np.arange(8), 100)
    above, below = np.flatnonzero(tokens == 2), np.flatnonzero(tokens == 5)
    value = np.concatenate([np.full(len(above), 2.0), np.full(len(below), -1.0)])
    words = {i: f" w{i}" for i in range(8)}
    rows = [Fired(np.concatenate([above, below]), value), Fired(np.empty(0, np.int64), np.empty(0))]
    return Held(tokens, np.arange(0, 801, 40), words, {"resid.1": rows})


def test_both_sides_are_explained_from_their_own_firings():
    asks = scripted(lambda q: f"{MARK} {'two' if '<<w2>>' in q.messages[-1].content else 'five'}")
    found = sentences(both_sides(), ["resid.1/0", "resid.1/1"], asks=asks)
    assert [(p.text, p.side) for p in found["resid.1/0"]] == [("two", 1), ("five", -1)]
    assert str(found["resid.1/0"][1]) == "five (its negative side)" and len(asks.answers.asked) == 2
    assert "w5>>" not in asks.answers.asked[0].messages[-1].content
    assert [bool(p) for p in found["resid.1/1"]] == [False]
    (one,) = sentences(both_sides(), ["resid.1/0"], asks=asks, sides=False)["resid.1/0"]
    assert one.text == "two"


def test_an_answer_without_the_line_is_no_explanation_and_is_counted():
    asks = scripted(lambda q: "Well.\nLet me think.")
    (prose,) = sentences(known().firings, [unit("months")], asks=asks)[unit("months")]
    assert not prose and str(prose) == "no description found" and asks.count.unread == 1


def test_one_line_without_the_mark_is_taken():
    (prose,) = sentences(known().firings, [unit("months")], asks=garbled())[unit("months")]
    assert prose.text == "I would rather talk about the sea."


def test_a_question_that_is_too_long_for_a_model_in_this_process_is_refused():
    with pytest.raises(ValueError, match="tokens that tiny llama is made for"):
        sentences(known().firings, [unit("months")], asks=Asks(Local(model_of()), Remembered()))


def chatty():
    """A tiny random model with room for long questions, which writes words of its few at random."""
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=8192, eos_token_id=None, bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    return clew.open(sharp(LlamaForCausalLM(config)), tokenizer=word_tokenizer())


def test_a_tiny_model_in_this_process_explains_and_is_scored_end_to_end():
    asks = Asks(Local(chatty()), Remembered())
    options = {
        "by": "sentences",
        "scorers": ("detection", "surprisal", "intruder"),
        "windows": 4,
        "floors": ("permuted",),
    }
    labels = clew.explain(known().firings, [unit("months")], asks=asks, examples=2, **options)
    (label,) = labels[unit("months")]
    found = {(row.measure, row.of): row.value for row in label.scores}
    assert label.kind == "prose" and label.text and asks.said() in label.origin and asks.soft
    assert found["detection unread", "answers"] == 1 and found["detection AUROC", "all"] == 0.5
    assert 0 <= found["surprisal AUROC", "all"] <= 1 and found["intruder accuracy", "chance"] == 0.2
    assert asks.count.requests > 10 and asks.count.unread > 0
