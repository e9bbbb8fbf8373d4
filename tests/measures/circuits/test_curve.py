import pytest

from clew.data.planted import induction
from clew.measures.circuits import _nodes
from clew.measures.circuits.curve import curve
from clew.methods.edges.eap import eap
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.progress import Stopped
from tests.conformance.shape import Interrupts, Told


def test_all_that_has_an_effect_explains_all_and_chance_stands_beside_smaller_circuits():
    planted = induction(n=12)
    view = planted.model.components()
    whole = attribution_patching(view, planted.behaviour, positions=False)
    report = curve(view, planted.behaviour, whole, sizes=(1, len(whole), 10_000), of="components", ablation="patch")
    found = {(r.measure, r.of, r.nodes): r.value for r in report.rows}
    assert found["faithfulness", "components", len(whole)] == pytest.approx(1, abs=1e-6)
    assert {(of, n) for _, of, n in found} == {("components", 1), ("components", len(whole)), ("random components", 1)}


def test_a_size_of_nothing_is_an_error():
    planted = induction(n=4)
    view = planted.model.components()
    whole = attribution_patching(view, planted.behaviour, positions=False)
    with pytest.raises(ValueError, match="from 1 on"):
        curve(view, planted.behaviour, whole, sizes=(0,))


def test_rows_have_the_name_of_the_views_units():
    """Neurons are no features, heads and edges neither."""
    planted = induction(n=4)
    model = planted.model
    for view, units in (
        (model.heads(), "heads"),
        (model.neurons("resid.1"), "neurons"),
        (model.components(), "components"),
    ):
        whole = attribution_patching(view, planted.behaviour, positions=False)
        report = curve(view, planted.behaviour, whole, sizes=(1,), random=1, held_out=False, ablation="patch")
        assert {row.of for row in report.rows} == {units, f"random {units}"}
    report = curve(model, planted.behaviour, eap(model, planted.behaviour), sizes=(5,), random=0, held_out=False)
    assert {row.of for row in report.rows} == {"edges"} and "the best edges by size" in report.title


def test_an_interrupt_keeps_the_sizes_that_were_done(monkeypatch):
    monkeypatch.setattr(_nodes, "TOKENS", 1)
    planted = induction(n=12)
    view = planted.model.components()
    whole, given = attribution_patching(view, planted.behaviour, positions=False), {"ablation": "patch", "random": 0}
    with pytest.raises(Stopped, match="stopped after 5 of 8 passes") as stopped:
        curve(view, planted.behaviour, whole, sizes=(1, 2, 3), progress=Interrupts(6), **given)
    one = curve(view, planted.behaviour, whole, sizes=(1, 2), **given)
    assert stopped.value.result.rows == one.rows[:3]


def test_it_tells_of_the_random_circuits_too():
    planted, told = induction(n=4), Told()
    view = planted.model.components()
    whole = attribution_patching(view, planted.behaviour, positions=False)
    curve(view, planted.behaviour, whole, sizes=(1, 2, 10_000), random=2, ablation="patch", progress=told)
    told.check()
