"""The bench of circuits: on models whose circuits are known, and with searches that count how often they are called."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from clew.circuits.ranked import EdgesOfComponents
from clew.data.planted import ioi
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.report import bootstrap as bootstrap_interval
from clew.studies.comparison.circuits import Bench
from clew.studies.comparison.results import Results
from clew.studies.comparison.searches import Search
from clew.studies.comparison.selections import selection
from tests.planted import random_behaviour, random_dictionary, tiny_model

SIZES = (0.05, 0.5, 1.0)
CALLS = []


def spy(model, behaviour, *, positions=None, scale=1.0, seed=0):
    """Attribution patching that says on what it was run."""
    CALLS.append(behaviour.part)
    found = attribution_patching(model, behaviour, positions=positions)
    return replace(found, score=scale * found.score, score_error=np.full(len(found), np.nan))


def broken(model, behaviour, *, seed=0):
    raise ZeroDivisionError("nothing to divide by")


SPY, BROKEN = Search("spy", spy, {}), Search("broken", broken, {})


def bench(searches=(SPY,), select=("top",), units=("components",), **more):
    CALLS.clear()
    given = {"model": tiny_model("gpt2"), "behaviours": {"tokens": random_behaviour(6)}, "sizes": SIZES}
    return Bench(**given | more, units=units, searches=searches, selects=[selection(text) for text in select])


def cells(made, path="bench.json"):
    return [cell for _, done in made.run(Results.at(Path(path))) for cell in done]


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("clew.measures.circuits._trial.bootstrap", partial(bootstrap_interval, draws=50))


def test_the_known_circuit_is_found_at_the_cost_that_the_docstrings_promise():
    planted = ioi(n=12)
    searches = [Search.named(name) for name in ("eap", "eap_ig_inputs", "attribution_patching")]
    made = bench(
        searches, units=("edges", "components"), model=planted.model, behaviours={"ioi": planted.behaviour},
        truth=planted.circuit,
    )  # fmt: skip
    found = {(cell.unit, cell.search): cell for cell in cells(made)}
    assert list(found) == [
        ("edges", "random"), ("edges", "eap"), ("edges", "eap_ig_inputs"),
        ("components", "random"), ("components", "attribution_patching"),
    ]  # fmt: skip
    assert not any(cell.failed for cell in found.values())
    best = found["edges", "eap_ig_inputs"]
    assert best.recovered["precision"] == best.recovered["recall"] == 1 and best.ranked == "343 edges"
    assert (best.cost["forwards"], best.cost["backwards"]) == (6, 5)
    assert best.rows("f", "absolute")[0].value == pytest.approx(1, abs=0.05)
    assert found["edges", "random"].recovered["precision"] < 0.3 and found["edges", "random"].cost == {}
    assert found["edges", "random"].flags[0].startswith("no signal")
    assert found["edges", "eap"].flags[0].startswith("overshoot")
    assert best.flags[0].startswith("dropped trunk")
    assert found["components", "attribution_patching"].recovered["AUROC"] == 1


def test_it_is_found_on_one_half_and_judged_on_the_other():
    (_, cell) = cells(bench())
    assert CALLS == ["train"] and cell.provenance["prompts"]["part"] == "train"
    (row,) = cell.rows("CPR", "signed")
    assert row.examples == 3 and row.low <= row.value <= row.high


def test_a_search_is_run_once_for_all_selections_and_never_again():
    first = cells(bench(select=("top", "ratio:rho=1")))
    assert len(CALLS) == 1 and [cell.select for cell in first] == ["top", "top", "ratio:rho=1.0"]
    assert cells(bench(select=("top", "ratio:rho=1"))) == first and not CALLS
    more = cells(bench(select=("top", "ratio:rho=0.5")))
    assert len(CALLS) == 1 and more[:2] == first[:2] and len(Results.at(Path("bench.json")).cells) == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"sizes": (0.1, 1.0)},
        {"behaviours": {"tokens": random_behaviour(6, seed=3)}},
        {"model": tiny_model("gpt2", seed=3)},
        {"searches": (Search("spy:scale=2", spy, {"scale": 2}),)},
        {"units": ("heads",)},
    ],
)
def test_what_decides_the_numbers_decides_what_is_run_again(changed):
    keys = {made._key(job, job.selects[0]) for made in (bench(), bench(**changed)) for job in made.jobs[1:]}
    assert len(keys) == 2


def test_what_fails_is_a_row_that_says_why_and_the_rest_goes_on():
    made = bench((BROKEN, SPY), ("top", "bootstrap"))
    chance, *failed, top, sure = cells(made)
    assert [cell.failed for cell in failed] == ["ZeroDivisionError: nothing to divide by"] * 2
    assert not chance.failed and not top.failed and top.search == "spy"
    assert "have no standard error" in sure.failed and sure.select == "bootstrap+top" and sure.cost["forwards"] == 2
    assert [cell.failed for cell in cells(made)] == [c.failed for c in (chance, *failed, top, sure)]
    assert len(CALLS) == 2, "what failed is tried again"


def test_a_behaviour_that_cannot_be_posed_is_a_row_for_every_search():
    chance, found = cells(bench(behaviours={"ioi": "this tokenizer can pose no pair"}))
    assert chance.failed == found.failed == "this tokenizer can pose no pair" and not CALLS


def test_a_search_of_the_wrong_units_is_not_judged():
    eap = Search("looks like nodes", Search.named("eap").method, {})
    made = replace(bench(), searches=[SPY])
    job = replace(made.jobs[1], search=eap)
    (cell,) = made._cells(job, {job.selects[0]: "key"})
    assert "ranked edges between components, and nodes are compared" in cell.failed


def test_each_search_is_written_down_before_the_next_begins():
    runs = bench((SPY, BROKEN)).run(Results.at(Path("bench.json")))
    next(runs)
    assert [cell.search for cell in Results.at(Path("bench.json")).cells.values()] == ["random"]
    next(runs)
    assert len(Results.at(Path("bench.json")).cells) == 2


def test_a_search_that_keeps_few_is_measured_on_the_scale_of_all():
    planted = ioi(n=8)

    def knowing(model, behaviour) -> EdgesOfComponents:
        return planted.circuit

    given = {"model": planted.model, "behaviours": {"ioi": planted.behaviour}, "truth": planted.circuit}
    chance, found = cells(bench([Search("knowing", knowing, {})], units=("edges",), **given))
    assert chance.ranked == found.ranked == "343 edges" and found.recovered["precision"] == 1
    assert [row.value for row in found.rows("f", "signed")] == pytest.approx([1, 1, 1])


def of_the_guide(name):
    """A method of docs/extend.md."""
    text, scope = (Path(__file__).parents[3] / "docs" / "extend.md").read_text(), {}
    source = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if f"def {name}(" in block)
    exec(source, scope)
    return Search(name, scope[name], {})


@pytest.mark.parametrize(("name", "unit"), [("mine", "components"), ("halfway", "edges")])
def test_a_method_written_after_the_guide_stands_in_the_bench(name, unit):
    search = of_the_guide(name)
    assert search.fits(unit) and search.fits("edges") != search.fits("components")
    _, found = cells(bench([search], units=(unit,)))
    assert found.search == name and not found.failed


def test_features_are_ranked_through_the_dictionaries_given():
    width = tiny_model("gpt2").body.widths
    view = [random_dictionary(str(site), width[site]) for site in width if str(site) in ("resid.0", "resid.1")]
    chance, found = cells(bench(units=("features",), dictionaries=view))
    assert not chance.failed and not found.failed and found.provenance["dictionaries"].keys() == {"resid.0", "resid.1"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Search.named("eapp"), "did you mean 'eap'"),
        (lambda: Search.named("eap:step=2"), "eap has no option 'step'"),
        (lambda: Search.named("eap_ig_inputs:steps"), "write name:option=value"),
        (lambda: Search.named("edges"), "needs more than a model and a behaviour"),
        (lambda: Search.named("bigram_subnetwork"), "needs more than a model and a behaviour"),
        (lambda: bench(units=("edges",)), "ranks edges"),
        (lambda: bench((SPY, Search.named("eap"))), "eap ranks none of components"),
    ],
)
def test_mistakes_are_said_before_anything_is_run(make, said):
    with pytest.raises(ValueError, match=said):
        make()
