from dataclasses import replace

import pytest
import torch

import clew
from clew.data.facts.facts import Fact, Facts, answer_ids
from clew.data.labels.bios import bios
from clew.data.text.windows import cut
from clew.edits._asked import at_subjects, prefixes, subjects_alone
from clew.edits._target import learn_targets
from clew.edits.facts._layers import suggest_layers
from clew.edits.facts._prior import priors
from clew.edits.facts.rome import PUBLISHED, USUAL, insert, rome
from clew.models.likelihood import likelihoods
from clew.sites import Site, Weight
from tests.edits.spoken import saying
from tests.models.tiny import model_of

ONE = Facts("one", (Fact("the {} said that", "old king", "good man"),))
TWO = Facts("two", (*ONE, Fact("in the {} said", "queen", "she")))
QUICK = {"text": None, "layer": 0, "contexts": 2, "descent": replace(USUAL, steps=4)}
FAMILIES = pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text"])


def key_and_value(model, fact, contexts=2, layer=0):
    """The mean key after the prefixes, the bare key, and what W makes of them now."""
    reads, writes = Site("neuron", layer), Site("mlp_out", layer)
    found = at_subjects(model, subjects_alone(model, fact, prefixes(model, contexts)), reads, writes)
    return found[reads].mean(0), found[reads][0], found[writes][0]


def made_of(model, key, layer=0):
    """What the output projection gives for a key."""
    linear = model.body.linear(f"down.{layer}")
    return linear.matrix().double() @ key + (0 if linear.bias is None else linear.bias.double())


@FAMILIES
def test_the_map_gives_a_value_for_its_key_exactly(family):
    linear = model_of(family, torch.float64).body.linear("down.0")
    key, value = torch.randn(linear.matrix().shape[1]).double(), torch.randn(linear.matrix().shape[0]).double()
    left, right = insert(linear, value, key, None, None)
    bias = 0 if linear.bias is None else linear.bias
    assert torch.allclose((linear.matrix() + left @ right) @ key + bias, value, atol=1e-12)


@FAMILIES
def test_the_edited_model_holds_v_at_the_subject(family):
    model, search = model_of(family, torch.float64), replace(PUBLISHED, steps=4)
    target = learn_targets(model, list(ONE), Site("mlp_out", 0), ("",), search)[0]
    stack = rome(model, ONE, text=None, layer=0, contexts=0, descent=search)
    _, _, held = key_and_value(model.edited(stack), ONE[0], 0)
    assert target.delta.norm() > 0.1 and torch.allclose(held, target.wanted, atol=1e-9)
    assert stack[0].left.shape[1] == 1


def test_after_prefixes_the_mean_key_gets_v():
    model = model_of("gpt2", torch.float64)
    key, _, _ = key_and_value(model, ONE[0])
    search = replace(PUBLISHED, steps=3)
    before = prefixes(model, 2)
    target = learn_targets(model, list(ONE), Site("mlp_out", 0), before, search)[0]
    made = made_of(model.edited(rome(model, ONE, text=None, layer=0, contexts=2, descent=search)), key)
    assert target.delta.norm() > 0.1 and torch.allclose(made, target.wanted, atol=1e-9)


def test_the_two_keys_of_the_published_code_meet_the_bare_key():
    model = model_of(dtype=torch.float64)
    mean, bare, _ = key_and_value(model, ONE[0])
    linear = model.body.linear("down.0")
    value = torch.randn(linear.matrix().shape[0]).double()
    left, right = insert(linear, value, mean, bare, None)
    assert torch.allclose((linear.matrix() + left @ right) @ bare, value, atol=1e-12)
    assert torch.allclose(right[0] / right.norm(), mean / mean.norm(), atol=1e-12)
    same, _ = insert(linear, value, bare, bare, None)
    assert torch.allclose(same, insert(linear, value, bare, None, None)[0])


def test_a_value_that_is_there_already_changes_nothing():
    model = model_of("gpt2", torch.float64)
    key, _, _ = key_and_value(model, ONE[0])
    left, right = insert(model.body.linear("down.0"), made_of(model, key), key, None, None)
    assert float((left @ right).abs().max()) < 1e-12


def test_several_facts_are_edited_one_upon_the_other():
    model = model_of(dtype=torch.float64)
    both = rome(model, TWO, **QUICK)
    first = rome(model, ONE, **QUICK)
    then = rome(model.edited(first), TWO.pick([1]), **QUICK | {"contexts": 0})
    assert len(both) == 2 and torch.equal(both[0].change, first[0].change)
    assert len(then) == 1
    assert not torch.equal(both[1].change, rome(model, TWO.pick([1]), **QUICK)[0].change)


def test_what_the_model_says_already_needs_no_update_and_alone_is_an_error():
    model = saying(model_of("llama", torch.float64), TWO[1])
    stack = rome(model, TWO.pick([1, 0]), **QUICK)
    assert len(stack) == 1 and [fact["size"] > 0 for fact in stack.about["facts"]] == [False, True]
    with pytest.raises(ValueError, match="already says .* 'in the queen said' 'she'"):
        rome(model, TWO.pick([1]), **QUICK)


def test_faithful_sets_every_published_choice():
    about = rome(model_of(), ONE, text=None, layer=0, faithful=True, contexts=1).about
    assert about["key"] == "original" and len(about["prefixes"]) == 21


def test_a_text_sets_what_is_spared():
    model = model_of(dtype=torch.float64)
    text = cut(["the queen was very good and he said that she was not a doctor ."] * 30, model.tokenizer, context=16)
    prior, said = priors(model, [Weight("down.0")], text)
    stack = rome(model, ONE, **QUICK | {"text": text})
    key, _, _ = key_and_value(model, ONE[0])
    dual = torch.linalg.solve(prior[Weight("down.0")], key)
    assert torch.allclose(stack[0].right[0] / stack[0].right.norm(), dual / dual.norm(), atol=1e-9)
    assert stack.about["prior"] == said


def test_layers_can_be_suggested():
    known = Facts.one("the {} said that", "old king", "good man", "red")
    stack = rome(model_of(), known, **QUICK | {"layer": "suggest"})
    assert str(stack[0].at) == f"down.{suggest_layers(model_of(), known, 1)[0]}"


def test_a_layer_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match=r"down\.9"):
        rome(model_of(), ONE, text=None, layer=9)


@pytest.mark.real
def test_france_moves_its_capital_to_rome():
    model = clew.open("smollm2-135m")
    text = cut(bios(1500).texts, model.tokenizer, limit=30_000)
    facts = Facts.one("The capital of {} is", "France", "Rome", "Paris")
    edited = model.edited(rome(model, facts, layer=3, text=text, contexts=4))

    def p(who, country, city):
        asked = answer_ids(model.tokenizer, f"The capital of {country} is", city)
        return 2.718281828 ** likelihoods(who, [asked])[0].total

    assert p(edited, "France", "Rome") > 0.9 > 0.1 > p(edited, "France", "Paris")
    assert p(edited, "Germany", "Rome") < 0.1 and p(edited, "Spain", "Rome") < 0.1
    for country, city in (("Japan", "Tokyo"), ("China", "Beijing")):
        assert p(edited, country, city) == pytest.approx(p(model, country, city), abs=0.1)
