import numpy as np
import pytest
import torch

from clew.explain.explainers.effects import Effects, effects
from clew.explain.explainers.rules import rules
from clew.explain.floors.random_unit import random_unit
from clew.explain.scorers.intervention import intervention
from clew.firings import Fired, Held
from clew.readings.pushed import row_of
from clew.readings.unseen import Case, scored
from tests.explain import doing
from tests.explain.known import known, truth, unit, unseen


def explain(where, address, side):
    return rules(where.firings, [address], where.table)[address][0]


def chance(site="resid.2"):
    n, random = len(known().table.text), np.random.default_rng(0)
    places = [random.choice(n, size, replace=False) for size in (10, 150, 1500)]
    rows = [Fired(place, np.ones(len(place))) for place in places]
    return Held(known().firings.tokens, known().firings.documents, known().firings.words, {site: rows})


def test_a_unit_is_drawn_of_those_that_fire_as_often():
    address = unit("months")
    found = random_unit(Case(truth(address), unseen(), address), (), explain, random=chance())
    assert found.unit.startswith("resid.2/") and found.unseen.table is known().table and not found.explanation


def test_it_needs_firings_of_that_site():
    case = Case(truth(unit("months")), unseen(), unit("months"))
    with pytest.raises(ValueError, match="give them as random="):
        random_unit(case, (), explain)
    with pytest.raises(ValueError, match=r"resid.2 is not among them"):
        random_unit(case, (), explain, random=chance("resid.9"))


@pytest.mark.parametrize("change", [{"shift": 1}, {"bound": 1}])
def test_firings_in_another_text_are_refused(change):
    case, given = Case(truth(unit("months")), unseen(), unit("months")), chance()
    tokens, documents = np.roll(given.tokens, change.get("shift", 0)), given.documents.copy()
    documents[1] += change.get("bound", 0)
    rows = [given.row(site, i) for site in given.sites for i in range(3)]
    with pytest.raises(ValueError, match="are of another text .* make both of the same windows"):
        random_unit(case, (), explain, random=Held(tokens, documents, given.words, {"resid.2": rows}))


def test_of_what_a_unit_does_it_is_a_random_direction_at_the_same_divergence():
    def again(where, address, side):
        return effects(where.firings, [address], where.table, model=where.model)[address][side < 0]

    for one in doing.UNITS:
        mine = effects(doing.firings(), [one], model=doing.doing())[one][0]
        found = random_unit(Case(mine, doing.unseen(), one), (), again)
        assert found.unit == one and found.explanation.sigma == mine.sigma
        own, other = row_of(doing.doing(), one), row_of(found.unseen.model, one)
        assert abs(torch.cosine_similarity(own, other, dim=0)) < 0.5
        (high, *_), (low, *_) = (scored(case, [intervention]) for case in (Case(mine, doing.unseen(), one), found))
        assert high.value > low.value


def test_directions_differ_by_unit_and_by_seed_alone():
    def drawn(address, seed):
        case = Case(Effects({7: ""}), doing.unseen(), address)
        return random_unit(case, (), lambda *_: Effects(), seed=seed).unseen.model

    rows = [row_of(drawn(one, seed), one) for one in doing.UNITS[:2] for seed in (0, 0, 1)]
    assert torch.equal(rows[0], rows[1]) and len({tuple(row.tolist()) for row in rows}) == 4
