import re
from itertools import pairwise

import pytest

from clew.data.behaviours.behaviour import Behaviour
from clew.data.words import ANTONYMS, COLOR_OF, COUNTRIES, MEN, PEOPLE, VERBS_OF_FEELING, WOMEN

NAMES = sorted(Behaviour.available())
PLURAL_VERBS = {" are", " were", " have", " do"}


@pytest.mark.parametrize("name", NAMES)
def test_a_behaviour_asks_each_question_once_and_shares_none_between_its_halves(name):
    made = Behaviour.load(name)
    train, test = ({p.clean for p in half.pairs} for half in (made.train, made.test))
    assert len(train) + len(test) == len(made) and not train & test
    assert len(made.train.pairs) > 0.4 * len(made) and made.description == Behaviour.available()[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides(name):
    one, again, other = (Behaviour.load(name, n=20, seed=seed) for seed in (1, 1, 2))
    assert one.hash == again.hash != other.hash


@pytest.mark.parametrize("name", NAMES)
def test_every_pair_fits_the_tokenizer_it_was_made_for(name, toy):
    texts = [t for p in Behaviour.load(name).pairs for t in (p.clean, p.patch, *p.answers, *p.patch_answers)]
    model = toy(*texts)
    made = Behaviour.load(name, model=model, n=40)
    assert sum(len(b) for b in made.batches(model)) == len(made) >= 20 and made.dropped == 0


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("agreement") or n in ("ioi", "greater_than")])
def test_the_core_behaviours_fill_a_train_and_a_test_set(name):
    assert len(Behaviour.load(name, n=280).test) >= 100


@pytest.mark.parametrize("variant", ["simple", "across_pp", "across_rc", "within_rc"])
def test_the_verb_agrees_with_its_subject_and_the_case_names_its_number(variant):
    for pair in Behaviour.load(f"agreement/{variant}").pairs:
        for prompt, answer in ((pair.clean, pair.answers[0]), (pair.patch, pair.patch_answers[0])):
            people = [w for w in prompt.split() if w in PEOPLE or w in PEOPLE.values()]
            subject = people[1] if variant == "within_rc" else people[0]
            assert (subject in PEOPLE.values()) == (answer in PLURAL_VERBS)
        assert pair.case.startswith("plural") == (pair.answers[0] in PLURAL_VERBS)


def test_the_verb_of_the_clause_agrees_with_the_clause():
    plurals = {plural for plural, _ in VERBS_OF_FEELING}
    for pair in Behaviour.load("agreement/across_rc").pairs:
        *_, noun, verb = pair.clean.split()
        assert (noun in PEOPLE.values()) == (verb in plurals) == pair.case.endswith("_plural")


def test_the_receiver_is_named_once_and_the_giver_twice():
    for pair in Behaviour.load("ioi").pairs:
        named = [w for w in re.findall(r"\w+", pair.clean) if w in MEN or w in WOMEN]
        giver = named[2]
        assert pair.patch_answers == (f" {giver}",) and named.count(giver) == 2
        assert pair.answers == tuple(f" {n}" for n in named if n != giver)
        assert (pair.case == "first") == (named[0] != giver)


def test_the_answers_are_the_digits_that_surely_end_later():
    for pair in Behaviour.load("greater_than").pairs:
        start = int(re.findall(r"\d\d\d\d", pair.clean)[0])
        century = int(pair.clean[-2:])
        for digit in map(str, range(10)):
            decade = range(10 * int(f"{century}{digit}"), 10 * int(f"{century}{digit}") + 10)
            assert (digit in pair.answers) == all(year > start for year in decade)
            assert (digit in pair.patch_answers) == all(year <= start for year in decade)


def test_what_followed_before_follows_now():
    for pair in Behaviour.load("induction").pairs:
        for prompt, answer in ((pair.clean, pair.answers[0]), (pair.patch, pair.patch_answers[0])):
            words = prompt.split()
            assert {a for w, a in pairwise(words) if w == words[-1]} == {answer.strip()}


@pytest.mark.parametrize(("word", "pronoun"), [("names", "My friend Mary was"), ("words", "The queen was")])
def test_pronouns_go_with_their_word(word, pronoun):
    asked = [p for p in Behaviour.load(f"pronouns/{word}", n=800).pairs if p.clean.startswith(pronoun)]
    assert asked and all((p.answers, p.case) == ((" she",), "female") for p in asked)


def test_the_letter_is_that_of_the_color_which_the_question_states():
    for pair in Behaviour.load("mcqa/letters").pairs:
        for prompt, answer in ((pair.clean, pair.answers[0]), (pair.patch, pair.patch_answers[0])):
            thing, stated = re.findall(r"The (\w+) is (\w+)\.", prompt)[0]
            choices = re.findall(r"[A-D]\. (\w+)", prompt)
            assert len({*choices}) == 4 and COLOR_OF[thing] == stated and answer == f" {'ABCD'[choices.index(stated)]}"
        assert pair.answers == (f" {pair.case}",)


def test_the_word_is_the_color_of_the_thing_asked_for():
    for pair in Behaviour.load("mcqa/word").pairs:
        for prompt, answer in ((pair.clean, pair.answers[0]), (pair.patch, pair.patch_answers[0])):
            facts = re.findall(r"color of the (\w+) is (\w+)\.", prompt)
            first = answer == f" {facts[0][1]}"
            assert dict(facts).items() <= COLOR_OF.items() and first == (
                (pair.case == "first") == (prompt == pair.clean)
            )
            assert prompt.count(f" {facts[not first][0]}") == 3  # in the question, its fact and the answer


def test_facts_are_looked_up_for_clean_and_patch_prompt():
    capital = {f"The capital of {country} is the city of": f" {city}" for country, city, _, _ in COUNTRIES}
    for pair in Behaviour.load("capitals").pairs:
        assert pair.answers == (capital[pair.clean],) and pair.patch_answers == (capital[pair.patch],)


def test_of_two_opposites_one_is_asked_for():
    asked = {p.clean.split()[3] for p in Behaviour.load("antonyms").pairs}
    assert asked and not any({a, b} <= asked for a, b in ANTONYMS)


def test_the_examples_of_a_relation_are_not_asked_for():
    for pair in Behaviour.load("relations/kind").pairs:
        *examples, question = pair.clean.split("\n")
        assert len(examples) == 3 and not any(example.startswith(question) for example in examples)


def test_a_past_tense_is_irregular_where_the_verb_is():
    found = {p.clean: p.answers for p in Behaviour.load("tense").pairs}
    assert found["Today they write. Yesterday they"] == (" wrote",)


def test_too_few_pairs_for_two_halves_is_an_error():
    with pytest.raises(ValueError, match="n is 1; a behaviour has a training and a test half"):
        Behaviour.load("ioi", n=1)
