import numpy as np
import pytest

from clew.circuits.selection.ratio import ratio
from clew.circuits.selection.top import top
from tests.circuits.selection.graphs import component_circuit, node_circuit

SCORES = [0.1, -5.0, 3.0, -4.0, 2.0]


def test_a_share_for_positive_scores_and_the_rest_by_size():
    assert ratio(node_circuit(SCORES), 2, 0.5).unit.tolist() == [2, 1]
    assert ratio(node_circuit(SCORES), 4, 0.75).unit.tolist() == [2, 4, 0, 1]


def test_positive_ones_that_are_missing_leave_room_for_the_rest():
    assert ratio(node_circuit(SCORES), 4, 1.0).unit.tolist() == [2, 4, 0, 1]


def test_the_floor_is_not_lost_to_rounding():
    circuit = node_circuit([*map(float, range(1, 101)), *map(float, range(-300, -200))])
    assert (ratio(circuit, 100, 0.29).score > 0).sum() == 29


@pytest.mark.parametrize("n", [0, 1, 50, 700])
def test_rho_0_is_top_and_rho_1_signed_top(n):
    circuit = component_circuit(8, 4)
    assert (circuit.weight > 0).sum() >= n
    for rho, signed in ((0.0, False), (1.0, True)):
        assert np.array_equal(ratio(circuit, n, rho).weight, top(circuit, n, signed=signed).weight)


def test_signed_is_signed_top_at_every_rho():
    circuit = component_circuit(5, 4)
    assert np.array_equal(ratio(circuit, 50, 0.3, signed=True).weight, top(circuit, 50, signed=True).weight)


def test_a_share_outside_of_0_to_1_is_refused():
    with pytest.raises(ValueError, match=r"from 0 to 1, not 1\.5"):
        ratio(node_circuit(SCORES), 2, 1.5)
