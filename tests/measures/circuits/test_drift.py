"""Drift in one report: sites, logits, the behaviour and a circuit, of a child that is its parent and of coarser ones."""

import pytest
import torch

import clew
from clew.models import open_model
from tests.measures.circuits.test_change import HEADS, MODEL, TASK, child_of, found, rounded_to_8_bits, rows


def coarser(module) -> None:
    """Every matrix in about 4 bits."""
    for p in module.parameters():
        if p.ndim > 1:
            scale = p.abs().amax(1, keepdim=True) / 7
            p.copy_((p / scale).round() * scale)


def test_a_child_that_is_its_parent_has_not_drifted():
    circuit = found().top(5)
    report = clew.verify(HEADS, TASK, circuit, by="drift", child=child_of(MODEL, lambda module: None), sizes=[3])
    still = [r for r in report.rows if r.measure in ("drift", "own drift", "KL", "metric change")]
    assert len(still) > 2 * (3 + 3) and all(r.value == r.low == r.high == 0 for r in still)
    assert [
        r.value for r in report.rows if r.measure in ("top-1 agreement", "overlap", "correlation")
    ] == pytest.approx([1] * 4)
    alone = clew.verify(HEADS, TASK, circuit)["faithfulness"].value
    assert [r.value for r in report.rows if r.measure == "faithfulness"] == pytest.approx([alone] * 2)


def test_a_coarser_child_drifts_further_and_the_report_says_where():
    circuit = found().top(5)
    one, two = (
        clew.verify(HEADS, TASK, circuit, by="drift", child=child_of(MODEL, edit), of=of)
        for edit, of in ((rounded_to_8_bits, "int8"), (coarser, "int4"))
    )
    for measure, what in (("drift", "resid"), ("own drift", "mlp"), ("KL", "all tokens"), ("drift", "mlp.1")):
        assert 0 < 3 * rows(one, measure)[f"int8 {what}"].value < rows(two, measure)[f"int4 {what}"].value
    layers = [rows(two, "drift")[f"int4 resid.{i}"].value for i in range(3)]
    assert rows(two, "drift")["int4 resid"].value == pytest.approx(sum(layers) / 3)
    assert rows(one, "correlation")["int8"].value > rows(two, "correlation")["int4"].value
    both = one + two
    assert {r.of for r in both.rows if r.measure == "faithfulness"} == {
        f"circuit given in {of}" for of in ("parent", "int8", "int4")
    }


def test_a_child_of_another_dtype_is_compared():
    child = open_model(child_of(MODEL, lambda module: None).body.module.to(torch.bfloat16))
    report = clew.verify(HEADS, TASK, found().top(5), by="drift", child=child)
    assert 1e-4 < rows(report, "drift")["child attn"].value < 0.2


def test_the_parent_has_its_name():
    with pytest.raises(ValueError, match="call the child otherwise"):
        clew.verify(HEADS, TASK, found().top(5), by="drift", child=MODEL, of="parent")
