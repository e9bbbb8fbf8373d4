"""Binomial tails and Holm by hand, HSIC on samples, and planted parts that are not needed."""

import math

import numpy as np
import pytest

from clew.measures.circuits._trials import trial_of
from clew.measures.circuits.hypothesis_tests import Minimality, hypothesis_tests
from clew.measures.circuits.minimality import minimality
from clew.progress import Stopped
from clew.report import Report
from clew.statistics.tests import binomial, holm, hsic, near_half
from tests.conformance.shape import Interrupts, Told
from tests.measures.idle_model import LIVE, all_edges, all_nodes, idle_model, live_edges, nodes
from tests.planted import random_behaviour


def second(report: Report, measure: str) -> float:
    """The statistic, whose row follows that of p."""
    return [row.value for row in report.rows if row.measure == measure][1]


def test_a_binomial_law_by_hand() -> None:
    assert np.allclose(binomial(3, 0.9), [0.001, 0.027, 0.243, 0.729])
    exact = [math.comb(40, k) * 0.3**k * 0.7 ** (40 - k) for k in range(41)]
    assert np.allclose(binomial(40, 0.3), exact, rtol=1e-12)


def test_three_wins_of_three_by_hand() -> None:
    assert near_half(3, 3, 0.1) == pytest.approx(0.6**3 + 0.4**3)
    assert near_half(0, 3, 0.1) == near_half(3, 3, 0.1)
    assert near_half(2, 3, 0.1) == near_half(1.5, 3, 0.1) == pytest.approx(1)
    assert near_half(3.5, 4, 0.2) == near_half(4, 4, 0.2) == pytest.approx(0.7**4 + 0.3**4)


def test_the_level_is_kept_inside_the_interval() -> None:
    """Of 50 prompts with a win probability of .55, the null of .4 to .6 is rejected less often than in 5 of 100."""
    wins = np.random.default_rng(0).binomial(50, 0.55, 2000)
    assert np.mean([near_half(float(w), 50, 0.1) < 0.05 for w in wins]) < 0.05
    assert near_half(45, 50, 0.1) < 1e-4


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.5, 0.9])) == pytest.approx([1, 1]) and len(holm(np.zeros(0))) == 0


def test_the_criterion_of_two_points_by_hand() -> None:
    two = np.array([0.0, 1.0])
    assert hsic(two, 5 * two, permutations=9, seed=0) == (pytest.approx((1 - math.exp(-0.5)) ** 2 / 4), 1.0)


def test_dependence_without_correlation_is_seen() -> None:
    x = np.random.default_rng(0).normal(size=100)
    assert hsic(x, x**2, permutations=199, seed=0)[1] == 1 / 200
    assert hsic(x, np.full(100, 3.0), permutations=9, seed=0) == (pytest.approx(0, abs=1e-15), 1.0)


def test_p_of_independent_samples_is_uniform() -> None:
    random = np.random.default_rng(0)
    p = np.array([hsic(*random.normal(size=(2, 25)), permutations=49, seed=i)[1] for i in range(300)])
    assert abs(p.mean() - 0.51) < 0.05
    for level in (0.1, 0.3, 0.5, 0.8):
        assert abs((p <= level).mean() - level) < 0.08


def test_the_whole_model_is_equivalent_to_itself() -> None:
    model = idle_model()
    report = hypothesis_tests(model, random_behaviour(n=12), all_nodes(model), held_out=False)
    assert report["equivalence"].value == pytest.approx(1) and second(report, "equivalence") == 0.5
    assert math.isnan(report["minimality"].value) and "no superfluous part could be drawn" in "".join(report.notes)


def test_a_circuit_that_always_falls_short_is_not_equivalent() -> None:
    """Against mean ablation the KL divergence of any circuit but the whole is below the model's, which is 0."""
    model = idle_model()
    behaviour = random_behaviour(n=12).with_metric("kl_divergence")
    report = hypothesis_tests(
        model, behaviour, nodes(model, "head.0/0"), held_out=False, minimality=Minimality(draws=3)
    )
    assert report["equivalence"].value == pytest.approx(0.6**12 + 0.4**12) and second(report, "equivalence") == 0
    assert "p = 0.00219: rejected" in "".join(report.notes)


def test_an_idle_node_is_superfluous_and_no_other() -> None:
    model = idle_model()
    circuit = nodes(model, *LIVE, "head.1/3")
    report = hypothesis_tests(model, random_behaviour(n=6), circuit, held_out=False, minimality=Minimality(draws=3))
    assert report["minimality"].value == pytest.approx(4 * 0.1**3)  # below all three draws; four tests
    assert second(report, "minimality") == pytest.approx(1 / 4)
    assert "1 superfluous: head.1/3" in "".join(report.notes)


def test_nothing_remains_without_the_live_nodes() -> None:
    model, behaviour = idle_model(), random_behaviour(n=30)
    live = hypothesis_tests(model, behaviour, nodes(model, *LIVE), held_out=False, minimality=Minimality(draws=1))
    idle = hypothesis_tests(model, behaviour, nodes(model, "head.1/3"), held_out=False, minimality=Minimality(draws=1))
    beyond = [next(r.value for r in report.rows if r.of == "p beyond empty") for report in (live, idle)]
    assert beyond == [1, 1 / 1001] and idle["independence"].value == 1 / 1001
    trial = trial_of(model, behaviour, nodes(model))  # without the live nodes the model is the empty one
    wanted = hsic(trial.empty, trial.whole, permutations=1000, seed=0)
    assert (second(live, "independence"), live["independence"].value) == pytest.approx(wanted)


def test_edges_that_change_nothing_are_the_superfluous_ones() -> None:
    model, behaviour, circuit = idle_model(), random_behaviour(n=2), live_edges(idle_model())
    report = hypothesis_tests(model, behaviour, circuit, held_out=False, minimality=Minimality(draws=4))
    nothing = minimality(model, behaviour, circuit, per="edge", tolerance=1e-9, top=0, held_out=False)
    assert report["equivalence"].value == pytest.approx(1)
    assert 0 < second(report, "minimality") == nothing["superfluous"].value < 1


def test_at_most_the_limit_is_tested() -> None:
    model = idle_model()
    circuit = all_edges(model).strongest_edges(50)
    report = hypothesis_tests(
        model, random_behaviour(n=3), circuit, minimality=Minimality(limit=4, draws=2), held_out=False
    )
    assert report["minimality"].examples == 4 and "4 of 50 edges" in "".join(report.notes)


def test_probabilities_and_counts_are_checked() -> None:
    model = idle_model()
    wrong = [{"epsilon": 0.5}, {"alpha": 0.0}]
    wrong += [
        {"minimality": Minimality(**{name: value})} for name, value in (("quantile", 1.0), ("draws", 0), ("limit", 0))
    ]
    for options, named in zip(wrong, ("epsilon", "alpha", "quantile", "draws", "limit"), strict=True):
        with pytest.raises(ValueError, match=named):
            hypothesis_tests(model, random_behaviour(), nodes(model, *LIVE), held_out=False, **options)


@pytest.mark.parametrize(("after", "tested"), [(7, 0), (10, 2)])
def test_an_interrupt_keeps_the_tests_that_are_whole_and_the_parts_that_were_tested(after: int, tested: int) -> None:
    """Two ends, the circuit and the rest, three draws; then one run for each of four parts."""
    model, circuit = idle_model(), nodes(idle_model(), *LIVE, "head.1/3")
    given = {"held_out": False, "minimality": Minimality(draws=3)}
    with pytest.raises(Stopped, match=f"stopped after {tested} of 4 parts") as stopped:
        hypothesis_tests(model, random_behaviour(n=6), circuit, progress=Interrupts(after), **given)
    report, whole = stopped.value.result, hypothesis_tests(model, random_behaviour(n=6), circuit, **given)
    assert str(report.rows[:5]) == str(whole.rows[:5]) and report["minimality"].examples == tested
    assert math.isnan(report["minimality"].value) == (not tested)
    assert ("stopped before any was tested" in "".join(report.notes)) == (not tested)


def test_it_tells_how_far_it_is() -> None:
    for circuit in (nodes(idle_model(), *LIVE), live_edges(idle_model())):
        told, how = Told(), Minimality(draws=2, limit=3)
        hypothesis_tests(idle_model(), random_behaviour(n=2), circuit, held_out=False, minimality=how, progress=told)
        told.check()


def test_the_share_of_superfluous_parts_has_an_interval_where_some_were_not_tested() -> None:
    model, circuit = idle_model(), nodes(idle_model(), *LIVE, "head.1/3")
    for limit, bounded in ((3, True), (4, False)):
        how = Minimality(draws=3, limit=limit)
        report = hypothesis_tests(model, random_behaviour(n=6), circuit, held_out=False, minimality=how)
        share = next(row for row in report.rows if row.of == "superfluous")
        assert bool(share.interval()) == bounded
