import pytest

from clew.data.planted import induction
from clew.measures.circuits.curve import curve
from clew.methods.nodes.attribution_patching import attribution_patching


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
