"""Every family of behaviours: the room's shape, and pairs that do not depend on chance."""

import pytest

from clew import finder
from clew.data.behaviours.behaviour import Behaviour, variants_of
from tests.conformance.shape import check_signature

READERS = finder.names("data.readers")
NAMES = sorted(Behaviour.available())


@pytest.mark.parametrize("family", READERS)
def test_its_signature_has_the_shape_of_the_room(family):
    make = finder.load("data.readers", family)
    check_signature(make, "variant", returns=Behaviour)
    assert all(line.strip() for line in variants_of(make).values()), "a variant has no line about it"


@pytest.mark.parametrize("name", NAMES)
def test_the_same_twice_no_more_than_asked_for_and_nothing_asked_twice(name):
    one, two = (Behaviour.load(name, n=12, seed=3) for _ in range(2))
    assert one.hash == two.hash and 2 <= len(one) <= 12
    assert len({(p.clean, p.patch) for p in one.pairs}) == len(one)
    assert not {p.clean for p in one.train.pairs} & {p.clean for p in one.test.pairs}
    for pair in one.pairs:
        assert pair.clean != pair.patch and pair.answers and not set(pair.answers) & set(pair.patch_answers)
