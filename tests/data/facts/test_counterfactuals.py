"""From a relation to facts: another subject's answer as the target, and a third of the subjects left as neighbours."""

import pytest

from clew.data.facts.counterfactuals import NEIGHBOURS, counterfactuals
from clew.data.facts.facts import Fact

TEMPLATES = ("{} is in", "In which land is {}? In", "{} lies in")
CITIES = {f"town{i}": f"land{i % 5}" for i in range(60)}


def test_a_fact_says_what_is_true_of_another_subject():
    made = counterfactuals(TEMPLATES, CITIES)
    for fact in made:
        assert fact.prompt == "{} is in" and fact.old == CITIES[fact.subject] != fact.target
        assert fact.target in CITIES.values()
        assert fact.paraphrases == (f"In which land is {fact.subject}? In", f"{fact.subject} lies in")
    assert len({fact.target for fact in made}) == 5


def test_neighbours_are_subjects_that_no_fact_is_about_with_their_own_answer():
    made = counterfactuals(TEMPLATES, CITIES)
    near = {asked.removesuffix(" is in"): right for fact in made for asked, right in fact.neighbours}
    assert not near.keys() & {fact.subject for fact in made} and near.items() <= CITIES.items()
    assert all(right != fact.target for fact in made for _, right in fact.neighbours)  # the edit may not say it there
    assert all(len(set(fact.neighbours)) == NEIGHBOURS for fact in made)
    assert 30 <= len(made) <= 50  # two thirds of sixty, by chance


def test_a_subject_is_a_neighbour_by_its_name_and_the_seed_alone():
    kept = {fact.subject for fact in counterfactuals(TEMPLATES, CITIES)}
    half = dict(list(CITIES.items())[::2])
    assert {fact.subject for fact in counterfactuals(("{} has",), half)} == kept & half.keys()
    assert {fact.subject for fact in counterfactuals(TEMPLATES, CITIES, seed=1)} != kept


def test_the_seed_decides():
    assert counterfactuals(TEMPLATES, CITIES, seed=3) == counterfactuals(TEMPLATES, CITIES, seed=3)
    assert counterfactuals(TEMPLATES, CITIES, seed=3) != counterfactuals(TEMPLATES, CITIES, seed=4)


def test_each_relation_draws_targets_of_its_own():
    one, other = ([fact.target for fact in counterfactuals((asks,), CITIES)] for asks in ("{} is in", "{} was in"))
    assert len(one) == len(other) and one != other


def test_two_subjects_by_hand():
    """With two answers the target is the other one, whatever the seed; which of the two is edited is chance."""
    for seed in range(8):
        for fact in counterfactuals(("{} is",), {"snow": "white", "coal": "black"}, seed=seed):
            other = {"white": "black", "black": "white"}
            assert fact == Fact(
                "{} is", fact.subject, other[fact.old], fact.old
            )  # the neighbour's answer is the target


def test_one_answer_for_all_leaves_nothing_else_to_say():
    with pytest.raises(ValueError, match=r"all subjects of '\{\} is in' have the answer 'land'"):
        counterfactuals(TEMPLATES, {"a": "land", "b": "land"})
    assert counterfactuals(TEMPLATES, {}) == []
