import json

import pytest

from clew.data.predicates import Clause, Predicate, Rule, Table
from clew.data.text.tokenised import Tokenised

PEOPLE, THE = Predicate("class", ("plural nouns for people",)), Predicate("word", ("the",), "1 before")
RULE = Rule((Clause((PEOPLE, THE), 3.0), Clause((PEOPLE,), 1.0)))
TABLE = Table(Tokenised.of([["Doctors", " like", " the", " nurses", "."]]))


def test_at_each_token_the_first_clause_that_holds_says_how_strong():
    assert RULE(TABLE).tolist() == [1, 0, 0, 3, 0]


def test_a_clause_that_only_narrows_another_is_said_with_it():
    assert str(RULE) == "plural nouns for people, above all after 'the'"


@pytest.mark.parametrize(
    ("clause", "said"),
    [
        ((PEOPLE, THE), "plural nouns for people after 'the'"),
        ((THE,), "tokens after 'the'"),
        (
            (Predicate("suffix", ("s",)), Predicate("class", ("months",), negated=True)),
            "words that end in -s other than months",
        ),
        ((Predicate("place", ("inside brackets",)), THE), "tokens inside brackets, after 'the'"),
    ],
)
def test_how_a_clause_is_said(clause, said):
    assert str(Clause(clause, 1.0)) == said


def test_clauses_sides_and_parts_are_said():
    rule = Rule((Clause((PEOPLE,), 1.0), Clause((THE,), 1.0)), side=-1, partial=True)
    assert str(rule) == "in part: plural nouns for people; tokens after 'the' (its negative side)"


def test_where_nothing_was_found_nothing_fires():
    assert str(Rule(())) == "no rule found" and not Rule(()) and RULE
    assert Rule(())(TABLE).tolist() == [0, 0, 0, 0, 0]


def test_it_is_kept_as_json(tmp_path):
    assert Rule.from_json(json.loads(json.dumps(RULE.to_json()))) == RULE
    assert Rule.load(RULE.save(tmp_path / "a.json")) == RULE


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"version": 2}, "version is 2"),
        ({"side": 0}, "side is 0"),
        ({"clauses": [{"predicates": [], "strength": -1}]}, r"clauses\[0\].strength is -1"),
        ({"clauses": [{"predicates": [{}], "strength": 1}]}, r"clauses\[0\].predicates\[0\] has no 'family'"),
        ({"more": 1}, "'more'"),
    ],
)
def test_json_that_is_none(changed, message):
    with pytest.raises(ValueError, match=message):
        Rule.from_json(RULE.to_json() | changed)
