"""Evidence of every kind keeps one contract: halves that share no prompt, a hash of the content, a card of plain JSON."""

import json
from dataclasses import replace

import pytest
import torch

import clew
from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.pairs import apart
from clew.data.facts.facts import Fact, Facts
from clew.data.facts.secrets import Secret, Secrets, synthetic_secrets
from clew.data.labels.labelled import Labelled
from clew.data.planted import induction, ioi
from clew.data.text.lists import Texts
from clew.data.text.windows import cut
from clew.evidence import Evidence, groups, half, in_half
from tests.models.tiny import model_of
from tests.planted import random_behaviour

WHO = ("nurse", "king", "man", "queen", "boy", "girl", "woman", "doctor")
SAID = [f"the {who} said that the {other} was old ." for who in WHO for other in WHO[:3]]


def text(texts=SAID):
    return cut(texts, model_of().tokenizer, packing="none")


def facts(order=WHO):
    return Facts("said", tuple(Fact("the {} said that", w, "he", "she", (f"then the {w} said that",)) for w in order))


def secrets(order=WHO):
    return Secrets("mail", tuple(Secret(f"write to the {who} at", f"{who}@example.org") for who in order))


def labelled(texts=SAID):
    return Labelled("kings", tuple(texts), {"kind": tuple("king" if "king" in t else "" for t in texts)})


KINDS = {
    "behaviour": lambda: random_behaviour(n=8, vocab=50),
    "facts": facts,
    "secrets": secrets,
    "labelled": labelled,
    "windows": text,
    "a list": lambda: Texts.of(SAID),
    "two lists": lambda: Texts.of((SAID[:12], SAID[12:])),
}
EVERY = pytest.mark.parametrize("kind", KINDS)


@EVERY
def test_every_kind_is_evidence(kind):
    assert isinstance(KINDS[kind](), Evidence) and isinstance(KINDS[kind]().train, Evidence)


@EVERY
def test_the_halves_share_no_prompt_and_are_all_of_it(kind):
    whole = KINDS[kind]()
    train, test = set(whole.train.prompts()), set(whole.test.prompts())
    assert train and test and not train & test
    assert train | test == set(whole.prompts()) >= set(whole.asked())


@EVERY
def test_a_half_is_its_own_half_and_has_no_other(kind):
    train = KINDS[kind]().train
    assert train.train.hash == train.hash
    with pytest.raises(ValueError, match=r"half"):
        _ = train.test


@EVERY
def test_the_hash_and_the_halves_are_the_same_every_time_and_the_hash_is_of_the_content(kind):
    one, other = KINDS[kind](), KINDS[kind]()
    assert one.hash == other.hash and one.test.hash == other.test.hash
    assert len({one.hash, one.train.hash, one.test.hash}) == 3


@EVERY
def test_the_card_is_plain_json_and_holds_the_hash(kind):
    whole = KINDS[kind]()
    assert whole.hash in json.dumps(whole.card()) and whole.train.card() != whole.card()


@EVERY
def test_only_a_behaviour_is_halved_unless_told(kind):
    whole = KINDS[kind]()
    assert (half(whole, "test") is whole) is (kind != "behaviour")
    assert half(whole, "test", False) is whole and half(whole, "test", True).hash == whole.test.hash


@pytest.mark.parametrize(("make", "items"), [(facts, WHO), (secrets, WHO), (labelled, SAID), (text, SAID)])
def test_an_item_stays_in_its_half_whatever_stands_beside_it(make, items):
    whole = set(make(items).train.prompts())
    assert set(make(items[::-1]).train.prompts()) == whole
    assert set(make(items[:5]).train.prompts()) == whole & set(make(items[:5]).prompts())


def test_items_that_share_a_key_are_a_group_also_over_a_third():
    assert groups([["a"], ["b"], ["c"], ["c", "a"], []]) == [0, 1, 0, 0, 4]
    some = [["a"], ["b"], ["c"], ["d"], ["e"], ["a", "b"], ["c", "b"]]
    train = set(in_half("some", some, "train"))
    assert {0, 1, 2, 5, 6} <= train or not {0, 1, 2, 5, 6} & train


def test_facts_of_one_subject_stand_on_one_side():
    both = Facts("both", (*facts(), *(Fact("{} was born in", w.upper(), "Rome") for w in WHO)))
    train = {f.subject.lower() for f in both.train}
    assert train.isdisjoint(f.subject.lower() for f in both.test)


def test_half_of_nothing_says_so():
    with pytest.raises(ValueError, match="half of said is empty, for its 1 parts all belong to the other; give more"):
        _ = (facts(WHO[:1]).train, facts(WHO[:1]).test)
    with pytest.raises(ValueError, match="a Circuit has no halves"):
        half(clew.find(model_of(), random_behaviour(n=4, vocab=20), by="attribution_patching"), "train", True)


def test_equal_prompts_of_the_users_own_pairs_are_brought_to_one_side():
    a, b, c, again = (Pair(w, f"{w}s", (" x",), (" y",)) for w in ("a", "b", "c", "a"))
    assert apart((a, b, c), 1) == ((a, b, c), 1)
    assert apart((a, b, c, again), 2) == ((a, again, b, c), 2)
    other = replace(again, patch="z")
    assert apart((a, b, c, other), 2) == ((a, other, b, c), 2)


@pytest.mark.parametrize("planted", [induction, ioi])
def test_no_prompt_of_a_planted_set_is_on_both_sides(planted):
    task = planted(n=64, seed=1).behaviour
    assert set(task.train.prompts()).isdisjoint(task.test.asked())


def only(model: clew.Model, given: Facts | Secrets | Labelled | Texts, **options: object) -> clew.Stack:
    """An edit that says how much it was made from."""
    add = clew.Add("resid.1", vector=torch.ones(model.body.widths[clew.Site.parse("resid.1")]))
    return clew.Stack((add,), about={"seen": len(given.prompts())})


@pytest.mark.parametrize("kind", ["facts", "secrets", "labelled", "two lists"])
def test_held_out_means_the_same_for_all_and_what_is_met_again_is_said_once(kind, recwarn):
    model, given = model_of(), KINDS[kind]()
    whole, part = clew.edit(model, given, by=only), clew.edit(model, given, by=only, held_out=True)
    assert whole.about["seen"] == len(given.prompts()) and part.about["seen"] == len(given.train.prompts())
    options = {"by": "undone", "prompts": 2}
    fair = [clew.verify(model, given, part, held_out=True, **options), clew.verify(model, given, whole, **options)]
    assert not recwarn and not any("made from" in note for report in fair for note in report.notes)
    unfair = clew.verify(model, given, whole, held_out=True, **options)
    n = len(given.test.asked())
    assert [str(w.message) for w in recwarn] == [unfair.notes[-1]]
    assert unfair.notes[-1].startswith(f"{n} of the {n} prompts of {given.name}")


def test_secrets_of_a_half_are_still_told_apart_by_all_they_were_picked_from():
    whole = synthetic_secrets(8)
    assert whole.train.among == whole.secrets


def test_a_behaviour_asks_its_clean_prompts_and_holds_both():
    task = Behaviour("b", (Pair("the boy", "the boys", " has", " have"), Pair("a cow", "all cows", " has", " have")))
    assert task.asked() == ["the boy", "a cow"] and set(task.prompts()) == {"the boy", "the boys", "a cow", "all cows"}
