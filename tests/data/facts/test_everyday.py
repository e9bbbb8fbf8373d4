"""Facts of our own: enough of them, new subjects first, neighbours untouched, and only what the model knows."""

import pytest

import clew
from clew.data.facts import everyday
from clew.data.facts.everyday import RELATIONS, facts
from clew.data.facts.facts import answer_ids
from clew.models.likelihood import likelihoods
from tests.models.tiny import model_of


def test_generated_facts_leave_their_neighbours_alone():
    made = facts(150)
    edited = {fact.subject for fact in made}
    assert len(made) == len({fact.asked for fact in made}) == 150
    assert len({fact.subject for fact in made.first(100)}) == 100  # new subjects come first
    assert not [p for fact in made for p, _ in fact.neighbours if any(f" {s} " in f" {p} " for s in edited)]
    assert facts(150) == made != facts(150, seed=1)


def test_generated_facts_may_be_of_one_relation():
    assert {fact.prompt for fact in facts(9, relation="capital")} == {RELATIONS["capital"][0][0]}
    with pytest.raises(ValueError, match="did you mean 'capital'"):
        facts(9, relation="capitals")
    with pytest.raises(ValueError, match="n=900 is too many"):
        facts(900)


def test_tables_have_one_template_that_asks_and_answers_that_anyone_knows():
    assert all(template.count("{}") == 1 for templates, _ in RELATIONS.values() for template in templates)
    assert all(len(set(templates)) > 1 for templates, _ in RELATIONS.values())
    assert RELATIONS["capital"][1]["France"] == "Paris" and RELATIONS["continent"][1]["Kenya"] == "Africa"
    assert RELATIONS["opposite"][1]["hot"] == "cold" and RELATIONS["color"][1]["snow"] == "white"
    assert "America" not in RELATIONS["continent"][1].values()  # two continents


def test_of_a_model_only_what_it_says_is_a_fact_or_a_neighbour(monkeypatch):
    """A model that knows the answers of no more than five letters."""
    monkeypatch.setattr(everyday, "says", lambda model, asked: [len(answer) <= 5 for _, answer in asked])
    made = facts(10, model=model_of(), relation="capital")
    known = RELATIONS["capital"][1]
    assert all(len(fact.old) <= 5 and fact.old == known[fact.subject] for fact in made)
    assert all(len(answer) <= 5 for fact in made for _, answer in fact.neighbours)
    few = sum(len(city) <= 5 for city in known.values())
    with pytest.raises(ValueError, match=rf"that the model knows; n={few} is too many"):
        facts(few, model=model_of(), relation="capital")


@pytest.mark.real
def test_smollm2_knows_more_than_a_hundred_facts():
    model = clew.open("smollm2-135m")
    made = facts(120, model=model)
    assert len(made.known(model)) == 120
    beside = {(prompt, right) for fact in made for prompt, right in fact.neighbours}
    assert all(found.greedy for found in likelihoods(model, [answer_ids(model.tokenizer, *asked) for asked in beside]))
