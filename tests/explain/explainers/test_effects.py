"""What units do: known tokens named on either side, chance left unnamed, whatever the length of a direction."""

from dataclasses import replace

import pytest

from clew.dictionaries.directions import Directions
from clew.explain.explainers.effects import NOTHING, Effects, effects
from clew.firings import Held
from clew.readings.pushed import SaysNext
from clew.readings.unseen import Explanation
from tests.explain.doing import RAISED, RANDOM, SITE, UNITS, doing, firings, nothing, unseen


def test_a_unit_is_said_to_raise_its_token_and_its_negative_side_to_lower_it() -> None:
    found = effects(firings(), UNITS, model=doing())
    for unit, token in zip(UNITS, RAISED, strict=True):
        sides = {one.side: one for one in found[unit]}
        word = doing().tokenizer.decode([token])
        assert next(iter(sides[1].raises)) == token == next(iter(sides[-1].lowers))
        assert str(sides[1]).startswith(f"raises {word!r}") and f"lowers {word!r}" in str(sides[-1])
        assert str(sides[-1]).endswith("(its negative side)")
        assert all(isinstance(one, Explanation) and isinstance(one, SaysNext) for one in sides.values())


def test_one_side_is_explained_if_that_is_asked() -> None:
    assert [one.side for one in effects(firings(), UNITS[:1], model=doing(), sides=False)[UNITS[0]]] == [1]


def test_of_random_directions_few_are_said_to_do_anything() -> None:
    found = [one for of in effects(firings(), RANDOM, model=doing()).values() for one in of]
    assert len(found) == 2 * len(RANDOM)
    assert sum(map(bool, found)) <= 0.1 * len(found)  # one in twenty is expected
    assert {str(one) for one in found if not one} == {NOTHING}
    assert all(one.raises and one.lowers for one in found if not one)


def test_the_length_of_a_direction_says_nothing() -> None:
    old = doing().dictionaries[doing().body.site(SITE)]
    rows = 1000 * old.W_dec
    longer = doing().through(Directions(SITE, W_enc=rows.T, W_dec=rows, b_dec=0 * rows[0], centred=False))
    one, other = (effects(firings(), UNITS, model=model) for model in (doing(), longer))
    for unit in UNITS:
        for a, b in zip(one[unit], other[unit], strict=True):
            assert a == replace(b, strength=a.strength) and b.strength == pytest.approx(a.strength / 1000)


def test_nothing_stands_out_of_a_unit_that_writes_nothing() -> None:
    (one, _) = effects(firings(), [f"{SITE}/0"], model=nothing())[f"{SITE}/0"]
    assert not one and not one.raises and not one.lowers and str(one) == NOTHING


def test_no_more_tokens_are_named_than_asked_for() -> None:
    found = effects(firings(), [*UNITS, *RANDOM], model=doing(), n=1)
    assert {len(hand) for of in found.values() for one in of for hand in (one.raises, one.lowers)} <= {0, 1}


def test_it_does_not_say_where_a_unit_fires() -> None:
    with pytest.raises(ValueError, match="score it by intervention"):
        Effects({7: " king"})(unseen().table)


def test_a_unit_that_the_model_has_not_and_a_text_of_others_are_refused() -> None:
    held = firings()
    with pytest.raises(ValueError, match=r"no unit resid\.2/27; it is seen in resid\.2 \(27 units\)"):
        more = Held(held.tokens, held.documents, held.words, {SITE: [held.row(held.sites[0], 0)] * 28})
        effects(more, [f"{SITE}/27"], model=doing())
    with pytest.raises(ValueError, match="above 0 nats"):
        effects(held, UNITS, model=doing(), sigma=0.0)
