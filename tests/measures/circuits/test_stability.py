"""Stability: searches whose answer is known, chance by enumeration, and that the search is the one on record."""

from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
import pytest

import clew
from clew import Behaviour, Circuit, Model
from clew.measures.circuits._overlap import chance_jaccard, edge_ids, jaccard, node_ids, strongest
from clew.measures.circuits._rerun import Rerun
from clew.measures.circuits.stability import stability
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.sites import Site
from tests.planted import random_behaviour, tiny_model

MODEL, TASK = tiny_model("gpt2"), random_behaviour(n=8)
SITE = Site("resid", 0)


def chain(score: np.ndarray) -> Circuit:
    """Units 0, 1, 2, ... of one site with these scores, each wired to the next by its own score."""
    index = np.arange(len(score))
    wires = {"source": index[:-1], "target": index[1:], "weight": score[:-1]}
    return Circuit((SITE,), {SITE: len(score)}, index * 0, index, index * 0 - 1, score, score, **wires)


def noise(model: Model, behaviour: Behaviour, *, seed: int = 0, planted: int = 0) -> Circuit:
    """A search that finds some planted units always, and beside them only noise."""
    random = np.random.default_rng([seed, *(token for pair in behaviour.pairs for token in pair.clean)])
    score = random.random(200)
    score[:planted] += 10
    return chain(score)


def test_numbers_of_nodes_and_edges_are_equal_where_their_names_are():
    one, two = attribution_patching(MODEL, TASK).top(40), attribution_patching(MODEL, TASK.first(4)).top(30)
    shared = np.intersect1d(*node_ids([one, two]))
    assert len(shared) == len(one.diff(two).shared) > 5
    wired = chain(np.arange(1.0, 6))
    last = replace(wired, target=np.array([1, 2, 3, -1]))
    assert jaccard(*edge_ids([wired, last])) == pytest.approx(wired.diff(last).edge_overlap) == pytest.approx(3 / 5)


def test_strongest_and_overlap_by_hand():
    ids, score = np.array([7, 8, 9, 4]), np.array([1.0, -3.0, 1.0, 2.0])
    assert strongest(ids, score, 3).tolist() == [8, 4, 7]
    assert jaccard(ids, np.array([8, 9, 1])) == 2 / 5 and jaccard(ids[:0], ids[:0]) == 1


@pytest.mark.parametrize(("one", "two", "pool"), [(2, 2, 5), (3, 2, 6), (4, 4, 6), (3, 3, 3)])
def test_chance_overlap_is_that_of_all_sets(one, two, pool):
    every = [len({*range(one)} & {*c}) / len({*range(one)} | {*c}) for c in combinations(range(pool), two)]
    mean, low, high = chance_jaccard(one, two, pool)
    assert mean == pytest.approx(np.mean(every)) and (low, high) == (min(every), max(every))


def test_a_search_that_always_finds_the_same_is_stable():
    always = lambda model, behaviour: chain(np.arange(1.0, 51))  # noqa: E731
    report = stability(MODEL, TASK, always(MODEL, TASK), search=always, sizes=(5, 10), draws=3, held_out=False)
    for measure in ("overlap", "edge overlap", "correlation", "stable share", "stability"):
        assert report[measure].value == pytest.approx(1), measure
    assert report["stability"].of == "resid.0/49"
    assert report["stability"].low == pytest.approx(6 / (6 + 1.959964**2))  # Wilson's, of six halves out of six
    assert {r.of for r in report.rows if r.measure == "overlap"} == {"halves"} and "has no seed" in report.notes[1]


def test_noise_overlaps_as_much_as_chance():
    report = stability(MODEL, TASK, noise(MODEL, TASK), search=noise, sizes=(40,), draws=30, held_out=False)
    chance = report["chance overlap"]
    assert chance.low < report["overlap"].value < chance.high and abs(report["correlation"].value) < 0.1
    assert report["edge overlap"].value == pytest.approx(report["chance edge overlap"].value, abs=0.05)
    assert report["stable share"].value == 0


def test_what_is_planted_is_told_from_noise():
    search = partial(noise, planted=5)
    report = stability(MODEL, TASK, search(MODEL, TASK), search=search, sizes=(10,), draws=10, held_out=False)
    of_nodes = {r.of: r.value for r in report.rows if r.measure == "stability"}
    assert [of_nodes[f"resid.0/{u}"] for u in range(5)] == [1] * 5 and sum(v < 0.5 for v in of_nodes.values()) == 5
    assert report["stable share"].value == 0.5


def test_halves_of_one_split_share_no_prompt_and_seeds_use_all():
    asked = []

    def spy(model: Model, behaviour: Behaviour, *, seed: int = 0) -> Circuit:
        asked.append({p.clean for p in behaviour.pairs})
        return noise(model, behaviour, seed=seed)

    stability(MODEL, TASK, noise(MODEL, TASK), search=spy, draws=2, seeds=(3, 4))
    train = {p.clean for p in TASK.train.pairs}
    assert all(not one & two and one | two == train for one, two in (asked[:2], asked[2:4]))
    assert asked[4:] == [train, train]


def test_cases_are_paraphrases_and_so_are_other_behaviours():
    cased = replace(TASK, pairs=tuple(replace(p, case="ab"[i % 2]) for i, p in enumerate(TASK.pairs)))
    report = stability(MODEL, cased, noise(MODEL, TASK), search=noise, draws=0, seeds=(), held_out=False)
    assert "cases a (4), b (4)" in report.notes[1] and report["overlap"].of == "paraphrases"
    longer = [random_behaviour(n=6, length=n) for n in (5, 6)]
    circuit = clew.find(MODEL, TASK, by="attribution_patching")
    report = stability(MODEL, TASK, circuit, draws=0, seeds=(), paraphrases=longer)
    assert report["overlap"].examples == 3 and 0 < report["overlap"].value < 1


def test_the_search_on_record_is_run_again_with_its_options():
    circuit = clew.find(MODEL, TASK, by="attribution_patching", positions=False, baseline="resample", seed=3).top(20)
    again = Rerun.of(circuit)(MODEL, TASK.train)
    assert again.top(20).score.tolist() == circuit.score.tolist() and (again.position == -1).all()
    report = clew.verify(MODEL, TASK, circuit, by="stability", sizes=[10], draws=1, seeds=[*range(6)])
    seeds = next(r for r in report.rows if (r.measure, r.of) == ("correlation", "seeds"))
    assert 0 < seeds.value < 1


def test_a_wired_circuit_is_wired_again():
    circuit = clew.find(MODEL, TASK, by="attribution_patching").top(12)
    wired = clew.find(MODEL, TASK, circuit, by="edges", threshold=1e-6)
    again = Rerun.of(wired)(MODEL, TASK.train)
    assert again.diff(wired).edge_overlap == 1 and len(again) > len(wired) == 12
    assert again.diff(wired).edge_correlation == pytest.approx(1)
    report = stability(MODEL, TASK, wired, sizes=(5,), draws=1, seeds=(0, 1))
    assert 0 < report["edge overlap"].value <= 1 and "the seed changes nothing" in report.notes[-1]


@pytest.mark.parametrize(
    ("made", "words"),
    [({}, "does not say which method"), ({"method": "attributed"}, "cannot be loaded.*Give search= it"),
     ({"method": "edges", "options": {"gradient": "<function f>"}}, "functools.partial")],
)  # fmt: skip
def test_a_record_that_says_too_little_is_refused(made, words):
    with pytest.raises(ValueError, match=words):
        stability(MODEL, TASK, replace(chain(np.ones(3)), provenance=made))


def test_nothing_to_compare_is_said():
    with pytest.raises(ValueError, match="nothing to compare: no halves: there is one prompt"):
        stability(MODEL, TASK.first(2), noise(MODEL, TASK), search=noise, seeds=())
    with pytest.raises(ValueError, match="sizes are numbers of nodes"):
        stability(MODEL, TASK, noise(MODEL, TASK), search=noise, sizes=(0,))


def test_circuits_of_components_have_stable_edges_too():
    circuit = clew.find(MODEL, TASK, by="eap")
    report = clew.verify(MODEL, TASK, circuit, by="stability", sizes=[10], draws=2)
    assert report["chance edge overlap"].value < report["edge overlap"].value < 1
    assert report["edge overlap"].unit == "edge"
