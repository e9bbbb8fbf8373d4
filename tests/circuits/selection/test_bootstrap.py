import numpy as np
import pytest

from clew.circuits.selection.bootstrap import bootstrap
from clew.circuits.selection.ratio import ratio
from tests.circuits.selection.graphs import node_circuit, view_circuit


def of_z(*z: float):
    """Nodes whose score is so many standard errors of 0.5 from 0."""
    return node_circuit([0.5 * value for value in z], [0.5] * len(z))


@pytest.mark.parametrize(("confidence", "z"), [(0.95, 1.959964), (0.99, 2.575829), (0.6827, 1.000022)])
def test_the_border_is_the_normal_quantile(confidence, z):
    circuit = of_z(z - 1e-4, z + 1e-4, -z - 1e-4, 1e-4 - z)
    assert bootstrap(circuit, confidence=confidence).unit.tolist() == [1, 2]


def test_corrections_by_hand():
    # p = .001, .011, .013, .04: bonferroni asks .0125; holm .0125, .0167, .025, .05; fdr .0125, .025, .0375, .05.
    circuit = of_z(3.2905, 2.5427, -2.4838, 2.0537)
    kept = {c: bootstrap(circuit, correction=c).unit.tolist() for c in ("none", "bonferroni", "holm", "fdr")}
    assert kept == {"none": [0, 1, 2, 3], "bonferroni": [0, 1], "holm": [0, 1, 2, 3], "fdr": [0, 1, 2, 3]}


def test_holm_stops_at_the_first_failure_and_fdr_takes_all_below_its_last_success():
    circuit = of_z(3.2905, 2.17, 2.12, 2.08)  # p = .001, .030, .034, .0375
    kept = {c: bootstrap(circuit, correction=c).unit.tolist() for c in ("holm", "fdr")}
    assert kept == {"holm": [0], "fdr": [0, 1, 2, 3]}


def test_of_pure_noise_the_corrections_keep_almost_nothing():
    circuit = of_z(*np.random.default_rng(0).standard_normal(20_000))
    assert 900 < len(bootstrap(circuit)) < 1100
    assert all(len(bootstrap(circuit, correction=c)) <= 1 for c in ("bonferroni", "holm", "fdr"))


def test_no_spread_is_certainty_but_for_a_score_of_0():
    assert bootstrap(node_circuit([0.0, 1e-9], [0.0, 0.0])).unit.tolist() == [1]


def test_edges_go_by_their_own_errors_and_another_selection_follows():
    wired = [(0, -1, 3.0), (1, -1, -2.0), (2, -1, 9.0)]
    circuit = view_circuit(wired, weight_error=np.array([1.0, 0.5, 8.0]))
    assert bootstrap(circuit).weight.tolist() == [3, -2]
    assert ratio(bootstrap(circuit), 1, 1.0).weight.tolist() == [3]


def test_what_has_no_standard_error_is_refused():
    with pytest.raises(ValueError, match="2 of 2 nodes have no standard error; find the circuit on two"):
        bootstrap(node_circuit([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"0\.95, not 95"):
        bootstrap(of_z(1.0), confidence=95.0)
