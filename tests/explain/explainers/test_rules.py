import numpy as np
import pytest

from clew.data.planted.meanings import meanings
from clew.data.predicates import Predicate, Rule, Table
from clew.explain.explainers.rules import rules
from clew.firings import Fired, Held
from tests.explain.known import known, unit


def agreement(found: Rule, meaning: Rule, table: Table, firings: Held) -> float:
    """F1 over all tokens, those on which the meaning is strong counted as such."""
    said, due = found(table, firings) > 0, meaning(table, firings)
    both = due * said
    precision, recall = (both > 0).sum() / max(1, said.sum()), both.sum() / max(1e-9, due.sum())
    return 2 * precision * recall / max(1e-9, precision + recall)


@pytest.mark.slow
def test_planted_meanings_are_named_and_chance_is_not():
    """Meanings of every kind, more than 60: bench/explain.py has the full count on larger texts."""
    planted = meanings(24_000, chance=12)
    units = [planted.address(i) for i in range(len(planted.truth))]
    found = [one[0] for one in rules(planted.firings, units, planted.table).values()]
    pairs = list(zip(found, planted.truth, strict=True))
    meant = [(f, agreement(f, t.rule, planted.table, planted.firings)) for f, t in pairs if t.rule]
    assert len(meant) >= 60 and np.mean([same > 0.9 for _, same in meant]) >= 0.9
    wrong = [f for f, same in meant if f and not f.partial and same < 0.8]
    wrong += [f for f, t in pairs if f and not f.partial and not t.rule]
    assert len(wrong) <= 0.02 * len(pairs), list(map(str, wrong))


@pytest.mark.parametrize(
    "said",
    [
        "months",
        "words that end in -ing",
        "tokens inside brackets",
        "tokens after prepositions",
        "'the' after prepositions",
        "words that end in -ing, above all inside quotation marks",
        "tokens where resid.1/1 fired two tokens earlier",
    ],
)
def test_a_meaning_is_said_in_its_own_words(said):
    (rule,) = rules(known().firings, [unit(said)], known().table)[unit(said)]
    assert str(rule) == said


def test_units_below_are_spoken_of_only_where_they_may_be():
    address = unit("tokens where resid.1/1 fired two tokens earlier")
    (rule,) = rules(known().firings, [address], known().table, below=())[address]
    assert not rule


def fired_at(mask) -> Held:
    """One unit of the known text that fires there."""
    place = np.flatnonzero(mask)
    held = known().firings
    return Held(held.tokens, held.documents, held.words, {"resid.2": [Fired(place, np.ones(len(place)))]})


def test_a_unit_that_foretells_what_it_promotes_is_said_to():
    foretold = Predicate("token", (" is", " was", " were", " are"), "next")
    firings, promoted = fired_at(known().table.mask(foretold)), {"resid.2/0": foretold.values}
    (rule,) = rules(firings, ["resid.2/0"], known().table, promoted=promoted)["resid.2/0"]
    assert str(rule) == "tokens before the token ' is', ' was', ' were' or ' are'"
    assert str(rules(firings, ["resid.2/0"], known().table)["resid.2/0"][0]) != str(rule)


class Largest(Held):
    """Firings of which not all are known at a token."""

    def at(self, site, place):
        raise ValueError("only the largest firings were kept")


def test_where_it_is_not_known_what_fires_at_a_token_rules_do_not_speak_of_units():
    address, held = unit("tokens where resid.1/1 fired two tokens earlier"), known().firings
    rows = {str(site): [held.row(site, u) for u in range(held.units(site))] for site in held.sites}
    firings = Largest(held.tokens, held.documents, held.words, rows)
    assert not rules(firings, [address], known().table)[address][0]
    with pytest.raises(ValueError, match="only the largest"):
        rules(firings, [address], known().table, below=["resid.1"])


def two_sided() -> Held:
    planted = known()
    months, ing = (
        planted.firings.row(planted.firings.sites[1], int(unit(s).split("/")[1]))
        for s in ("months", "words that end in -ing")
    )
    row = Fired(np.concatenate([months.place, ing.place]), np.concatenate([months.value, -ing.value]))
    return Held(planted.firings.tokens, planted.firings.documents, planted.firings.words, {"resid.2": [row]})


def test_each_side_of_a_unit_has_a_rule():
    two = rules(two_sided(), ["resid.2/0"], known().table)["resid.2/0"]
    assert sorted(map(str, two)) == ["months", "words that end in -ing (its negative side)"]
    assert len(rules(two_sided(), ["resid.2/0"], known().table, sides=False)["resid.2/0"]) == 1


def test_a_unit_that_fires_nowhere_and_one_that_fires_everywhere_have_none():
    table, n = known().table, len(known().table.text)
    none, every = Fired(np.zeros(0, np.int64), np.zeros(0)), Fired(np.arange(n), np.ones(n))
    firings = Held(
        table.text.kinds, table.text.documents, dict(enumerate(table.text.pieces)), {"resid.1": [none, every]}
    )
    found = rules(firings, ["resid.1/0", "resid.1/1"])
    assert not found["resid.1/0"][0] and not found["resid.1/1"][0]


def test_a_text_without_tokens():
    firings = Held(np.zeros(0, np.int64), [0], {}, {"resid.1": [Fired(np.zeros(0, np.int64), np.zeros(0))]})
    assert rules(firings, ["resid.1/0"]) == {"resid.1/0": (Rule(()),)}


def test_what_it_sees_is_not_what_it_is_scored_on():
    """Firings in the unseen documents do not change the rule."""
    planted, address = known(), unit("months")
    row = planted.firings.row(planted.firings.sites[1], int(address.split("/")[1]))
    part = planted.table.text.parts(3, 1, 1)[planted.table.text.document[row.place]]
    seen = Fired(row.place[part < 2], row.value[part < 2])
    firings = Held(planted.firings.tokens, planted.firings.documents, planted.firings.words, {"resid.2": [seen]})
    assert (
        rules(firings, ["resid.2/0"], planted.table)["resid.2/0"]
        == rules(planted.firings, [address], planted.table)[address]
    )
