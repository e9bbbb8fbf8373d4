"""Intervention: the named token rises, others do not, another's explanation scores nothing, all at one divergence."""

from itertools import pairwise

import numpy as np
import pytest

from clew.data.predicates import Clause, Predicate, Rule
from clew.explain.explainers.effects import Effects, effects
from clew.explain.scorers.intervention import _above, intervention
from clew.readings.pushed import WITHIN, contexts_of, row_of
from clew.readings.unseen import UNSEEN, Unseen
from tests.explain.doing import RAISED, RANDOM, UNITS, doing, firings, nothing, unseen


def rows(explanation: Effects, unit: str) -> dict:
    return {(row.measure, row.of): row for row in intervention(explanation, unseen(), unit)}


@pytest.mark.parametrize(("unit", "token"), list(zip(UNITS, RAISED, strict=True)))
def test_the_token_that_a_unit_raises_rises_more_than_all_others(unit: str, token: int) -> None:
    found = rows(Effects({token: "it"}), unit)
    assert found["intervention AUROC", "all"].value == 1 == found["intervention AUROC", "all"].low
    assert found["intervention rise", "all"].low > 0.1
    assert set(found) == {(m, of) for m in ("intervention AUROC", "intervention rise") for of in ("all", "raised")}


def test_the_rise_is_the_mean_change_of_the_log_probability_at_the_same_divergence() -> None:
    contexts = contexts_of(doing(), firings(), unseen().table, (UNSEEN,))
    done = contexts.at_kl("resid.2", row_of(doing(), UNITS[0])[None], 0.05)
    found = rows(Effects({RAISED[0]: "it"}, {RAISED[1]: "that"}, sigma=0.05), UNITS[0])
    assert abs(float(done.kl) / 0.05 - 1) <= WITHIN
    change = done.change[0].mean(0)
    assert found["intervention rise", "raised"].value == pytest.approx(float(change[RAISED[0]]))
    assert found["intervention rise", "lowered"].value == pytest.approx(-float(change[RAISED[1]]))
    both = (float(change[RAISED[0]]) - float(change[RAISED[1]])) / 2
    assert found["intervention rise", "all"].value == pytest.approx(both)


def test_the_negative_side_is_judged_by_its_fall() -> None:
    found = rows(Effects({}, {RAISED[0]: "it"}, side=-1), UNITS[0])
    assert found["intervention AUROC", "lowered"].value == 1 and found["intervention rise", "all"].value > 0
    wrong = rows(Effects({RAISED[0]: "it"}, {}, side=-1), UNITS[0])
    assert wrong["intervention AUROC", "all"].value == 0 and wrong["intervention rise", "all"].value < 0


def test_another_units_tokens_score_less_and_nothing_scores_by_chance() -> None:
    own = effects(firings(), UNITS, model=doing())
    for unit, other in pairwise(UNITS):
        mine, theirs = rows(own[unit][0], unit), rows(own[other][0], unit)
        assert mine["intervention AUROC", "all"].value > theirs["intervention AUROC", "all"].value + 0.1
    nothing = rows(Effects(stands_out=False), UNITS[0])
    assert {key: row.value for key, row in nothing.items()} == {
        ("intervention AUROC", "all"): 0.5,
        ("intervention rise", "all"): 0.0,
    }


def test_tokens_drawn_at_random_score_half_on_average() -> None:
    draw, values = np.random.default_rng(0), []
    for unit in RANDOM[:12]:
        ids = draw.choice(90, 4, replace=False).tolist()
        values.append(rows(Effects(dict.fromkeys(ids, "x")), unit)["intervention AUROC", "all"].value)
    assert abs(np.mean(values) - 0.5) < 0.12


def test_a_named_token_is_compared_with_those_about_as_likely() -> None:
    clean = -np.arange(400.0)
    change = np.where(np.arange(400) < 200, 1.0, 0.0)
    change[300] = 0.5
    named, up, down = np.array([300]), np.array([1.0]), np.array([-1.0])
    assert _above(change, clean, named, up) == [1.0] and _above(change, clean, named, down) == [0.0]
    change[100] = 0.5
    assert _above(change, clean, np.array([100]), up) == [0.0]
    assert _above(0 * change, clean, named, up) == [0.5]


def test_a_unit_that_writes_nothing_has_no_score() -> None:
    other = unseen().seen(nothing())
    assert intervention(Effects({7: "it"}), other, "resid.2/0") == ()


def test_what_names_no_token_and_a_model_that_is_not_there_are_refused() -> None:
    rule = Rule((Clause((Predicate("word", ("king",)),), 1.0),))
    with pytest.raises(ValueError, match="'king'.* names no tokens .* explain by effects"):
        intervention(rule, unseen(), UNITS[0])
    with pytest.raises(ValueError, match="give it as model="):
        intervention(Effects({7: "it"}), Unseen(firings(), unseen().table), UNITS[0])
