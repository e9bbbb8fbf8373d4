import numpy as np
import pytest

from clew.data.predicates import Clause, Predicate, Rule
from clew.firings import Fired, Firings, Held
from clew.readings.unseen import SHORTEST, UNSEEN, WINDOW, Case, Unseen, compared, scored
from clew.report import Row

WORDS = {0: "a", 1: " b"}


def text(documents=40, length=70):
    tokens = np.random.default_rng(0).integers(0, 2, documents * length)
    rows = [
        Fired(np.flatnonzero(tokens == 1), np.ones(int((tokens == 1).sum()))),
        Fired(np.array([0]), np.array([-2.0])),
    ]
    return Held(tokens, np.arange(0, documents * length + 1, length), WORDS, {"resid.1": rows})


def test_windows_lie_in_unseen_documents_and_never_in_two():
    unseen = Unseen(text())
    inside = unseen.window >= 0
    assert (unseen.part[unseen.table.text.document[inside]] == UNSEEN).all()
    assert set(np.bincount(unseen.window[inside])) == {
        WINDOW
    }  # 70 tokens: two windows, and six are too few for a third
    assert 70 % WINDOW < SHORTEST
    assert len(unseen.starts) == 2 * (unseen.part == UNSEEN).sum()


def test_what_a_unit_does_on_each_side():
    unseen = Unseen(text())
    assert unseen.values("resid.1/1", -1)[0] == 2 and unseen.values("resid.1/1", 1).sum() == 0


def test_the_most_of_a_window():
    unseen = Unseen(text())
    values = np.arange(len(unseen.table.text), dtype=float)
    assert (unseen.most(values) == unseen.starts + WINDOW - 1).all()


def test_a_window_is_hard_where_the_units_tokens_stand():
    unseen = Unseen(text())
    assert unseen.hard("resid.1/0", unseen.values("resid.1/0", 1)).all()
    assert not unseen.hard("resid.1/0", np.zeros(len(unseen.table.text))).any()


def test_a_unit_that_is_moved_fires_elsewhere_and_all_else_stays():
    unseen = Unseen(text())
    moved = unseen.moved("resid.1/0", Fired(np.array([5]), np.array([3.0])))
    assert moved.values("resid.1/0", 1).nonzero()[0].tolist() == [5] and isinstance(moved.firings, Firings)
    assert moved.values("resid.1/1", -1)[0] == 2 and unseen.values("resid.1/0", 1).sum() > 1
    assert moved.starts is unseen.starts or (moved.starts == unseen.starts).all()


def test_a_score_stands_beside_the_floor_and_its_distance():
    rows, floor = (
        (Row("r", 0.8, 0.7, 0.9, of="all"),),
        (Row("r", 0.5, 0.4, 0.6, of="all"), Row("s", 1.0, 1.0, 1.0, of="all")),
    )
    below, above = compared(rows, floor, "shuffled")
    assert (below.of, below.value, above.of) == ("shuffled", 0.5, "above shuffled")
    assert (above.value, above.low, above.high) == pytest.approx((0.3, 0.3 - 0.02**0.5, 0.3 + 0.02**0.5))


def test_all_scorers_are_asked():
    rule = Rule((Clause((Predicate("word", ("b",)),), 1.0),))
    case = Case(rule, Unseen(text()), "resid.1/0")
    said = scored(case, [lambda e, u, unit: (Row(unit, float(u.predicted(e).sum()), 0.0, 0.0),)] * 2)
    assert [row.measure for row in said] == ["resid.1/0"] * 2 and said[0].value == (
        case.unseen.firings.tokens == 1
    ).sum()


def test_what_is_of_windows_is_compared_with_windows_alone():
    one = (Row("r", 0.8, 0.7, 0.9, of="windows"), Row("s", 0.8, 0.7, 0.9, of="unit"))
    assert [row.of for row in compared(one, one, "permuted")] == ["permuted", "above permuted"]
    assert compared(one, (Row("r", 0.5, 0.4, 0.6, of="all"),), "permuted") == ()


def test_firings_that_were_not_kept_are_no_silence():
    class Part(Held):
        def whole(self, site, unit):
            raise ValueError(f"a part of {site}/{unit}")

    held = text()
    part = Part(held.tokens, held.documents, WORDS, {"resid.1": [held.row(held.sites[0], 0)] * 2})
    unseen = Unseen(part)
    with pytest.raises(ValueError, match=r"a part of resid.1/0"):
        unseen.values("resid.1/0", 1)
    moved = unseen.moved("resid.1/0", Fired(np.array([5]), np.array([3.0])))
    assert moved.values("resid.1/0", 1).sum() == 3
    with pytest.raises(ValueError, match=r"a part of resid.1/1"):
        moved.values("resid.1/1", 1)
