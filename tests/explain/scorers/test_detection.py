import pytest

from clew.data.predicates import Clause, Predicate, Rule
from clew.explain._said import shown
from clew.explain.scorers.detection import detection
from clew.readings.asking.prose import Prose
from tests.explain.known import known, truth, unit, unseen
from tests.explain.reader import garbled, perfect, random
from tests.readings.asking.scripted import scripted

MONTHS = "months"


def rows(rule, address):
    return {(row.measure.removeprefix("detection "), row.of): row for row in detection(rule, unseen(), address)}


def test_the_truth_tells_windows_apart_but_for_what_was_missed_and_strays():
    found = rows(truth(unit(MONTHS)), unit(MONTHS))
    assert found["AUROC", "all"].value > 0.9 and found["accuracy", "all"].low > 0.85
    assert found["AUROC", "hard"].value > 0.85 and found["AUROC", "all"].examples > 100


def test_another_units_meaning_and_none_tell_nothing():
    assert rows(truth(unit("modal verbs")), unit(MONTHS))["AUROC", "all"].value < 0.65
    assert rows(Rule(()), unit(MONTHS))["AUROC", "all"].value == pytest.approx(0.5)


def test_hard_windows_are_harder_for_what_is_right_only_by_its_tokens():
    the = Rule((Clause((Predicate("word", ("the",)),), 1.0),))
    found = rows(the, unit("'the' after prepositions"))
    assert found["AUROC", "hard"].value <= found["AUROC", "random"].value + 0.05
    assert found["accuracy", "all"].value < 0.75


def test_a_unit_that_does_not_fire_has_no_score():
    assert str(rows(Rule((), side=-1), unit(MONTHS))["AUROC", "all"].value) == "nan"


def in_words(asks, said=MONTHS):
    found = detection(Prose(said, asks=asks), unseen(), unit(MONTHS))
    return {(row.measure.removeprefix("detection "), row.of): row for row in found}


def test_words_that_are_understood_score_as_the_rule_that_says_the_same():
    asked, executed = in_words(perfect()), rows(truth(unit(MONTHS)), unit(MONTHS))
    assert asked["accuracy", "all"] == executed["accuracy", "all"] and asked["unread", "answers"].value == 0
    assert asked["AUROC", "all"].value == pytest.approx(executed["AUROC", "all"].value, abs=0.02)


def test_one_who_knows_all_firings_is_always_right_and_one_who_guesses_is_half_right():
    values = unseen().values(unit(MONTHS), 1)
    fires = {
        shown(known().table.text, unseen().tokens(w)): values[unseen().tokens(w)].any()
        for w in range(len(unseen().starts))
    }

    def say(question):
        texts = [
            line.partition(": ")[2] for line in question.messages[-1].content.split("\n") if line.startswith("Text ")
        ]
        return str([int(fires[text]) for text in texts])

    knows = in_words(scripted(say))
    assert knows["AUROC", "all"].value == knows["accuracy", "all"].value == knows["AUROC", "hard"].value == 1
    guesses = in_words(random())
    assert (
        guesses["AUROC", "all"].low < 0.5 < guesses["AUROC", "all"].high
        and abs(guesses["accuracy", "all"].value - 0.5) < 0.1
    )


def test_answers_that_cannot_be_read_are_half_right_and_are_told():
    found = in_words(garbled())
    assert found["AUROC", "all"].value == found["accuracy", "all"].value == 0.5
    assert (
        found["unread", "answers"].value == 1 and found["unread", "answers"].examples == found["AUROC", "all"].examples
    )


def test_one_answer_in_two_that_cannot_be_read_halves_what_is_known():
    whole, turns = perfect(), iter(range(10**6))
    half = scripted(lambda q: whole.answers.say(q) if q.top or not q.usual.startswith("[") or next(turns) % 2 else "?")
    found = in_words(half)
    assert 0.3 < found["unread", "answers"].value < 0.7 and 0.6 < found["accuracy", "all"].value < 0.9
