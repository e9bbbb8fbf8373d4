"""Every objective: plain keywords that give an Objective."""

import inspect

import pytest

from clew import finder
from clew.training import Objective
from tests.conformance.shape import check_signature, check_source

ROOM = "training.objectives"


@pytest.mark.parametrize("name", finder.names(ROOM))
def test_its_signature_has_the_shape_of_the_room(name):
    make = finder.load(ROOM, name)
    check_signature(make, returns=Objective)
    check_source(make)
    assert "units" in inspect.signature(make).parameters


@pytest.mark.parametrize("name", finder.names(ROOM))
def test_one_recipe_starts_the_same_twice(name):
    make = finder.load(ROOM, name)
    parameters = inspect.signature(make).parameters
    given = {option: value for option, value in {"units": 64, "k": 2, "l0": 4.0}.items() if option in parameters}
    one, two = make(**given), make(**given)
    assert type(one) is type(two) and (one.lr, one.pairs, one.several) == (two.lr, two.pairs, two.several)
