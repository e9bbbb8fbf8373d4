"""What a run leaves: values by site, codes and what they leave unexplained, gradients, receipts."""

import pytest
import torch

from clew.changes import Gate, Scale
from clew.models import EditDidNotFire, Trace
from clew.models.trace import Receipt, as_read
from clew.sites import Site, Where
from tests.models.tiny import model_of, prompts, relu_dictionary


def test_a_value_that_was_not_read_is_a_key_error_that_lists_what_was():
    trace = model_of("llama").run(prompts(), read=["resid.1"])
    with pytest.raises(KeyError, match=r"read were resid\.1"):
        trace["resid.2"]


def test_a_site_nothing_depends_on_has_gradient_zero():
    trace = model_of("llama").run(prompts(), read=["resid.1", "final"], grad=True)
    grads = trace.gradients(trace["resid.1"].sum())
    assert torch.equal(grads[Site("final")], torch.zeros_like(trace["final"]))


def test_a_site_is_named_by_its_address_or_itself():
    trace = model_of("llama").run(prompts(), read=["resid.1"])
    assert trace["resid.1"] is trace[Site("resid", 1)] is trace.values[Site("resid", 1)]


@pytest.mark.parametrize(("reads", "writes"), [("resid.1", "resid.1"), ("mlp_in.1", "mlp.1")])
def test_what_the_units_say_and_what_they_leave_is_what_flows(reads, writes):
    plain = model_of("llama")
    one = relu_dictionary(plain, reads, writes)
    trace = plain.through(one).run(prompts(), read=[reads, writes])
    assert torch.equal(trace.code(writes), one.encode(trace[reads]))
    assert torch.equal(trace.error(writes), trace[writes] - one.decode(trace.code(writes)))
    assert float(trace.error(writes).abs().max()) > 1e-3
    with pytest.raises(KeyError):
        trace.code("resid.2")


def test_a_code_needs_what_its_dictionary_reads():
    plain = model_of("llama")
    trace = plain.through(relu_dictionary(plain, "mlp_in.1", "mlp.1")).run(prompts(), read=["mlp.1"])
    with pytest.raises(KeyError, match=r"mlp_in\.1 was not read in this run; read were mlp\.1"):
        trace.code("mlp.1")


def test_a_dictionary_reads_a_half_precision_model_in_its_own():
    plain = model_of("llama", torch.bfloat16)
    one = relu_dictionary(plain, "resid.1")
    trace = plain.through(one).run(prompts(), read=["resid.1"])
    assert trace["resid.1"].dtype == torch.bfloat16 and trace.code("resid.1").dtype == torch.float32
    assert torch.equal(trace.code("resid.1"), one.encode(trace["resid.1"].float()))
    bare = plain.neurons("resid.1").dictionaries[Site("resid", 1)]  # without a tensor of its own, as it comes
    assert as_read(trace["resid.1"], bare) is trace["resid.1"]


def test_a_gradient_is_that_of_the_loss_by_hand():
    """Of half the squares of what flows, the gradient is what flows."""
    trace = model_of("llama", torch.float64).run(prompts(), read=["resid.1"], grad=True)
    (grad,) = trace.gradients((trace["resid.1"] ** 2).sum() / 2).values()
    assert torch.equal(grad, trace["resid.1"])


def test_a_receipt_in_words():
    edit = Scale("resid.1", factor=0.5)
    assert str(Receipt(edit, calls=2, reached=5, fired=4, changed=3)) == (
        "scale at resid.1: 4 positions in 2 calls, 3 changed"
    )
    gated = Scale("resid.1", factor=0.5, gate=Gate(unit=3))
    assert "4 of 5 positions" in str(Receipt(gated, 2, 5, 4, 3))
    assert repr(Receipt(edit)) == f"<{Receipt(edit)}>"


def test_receipts_of_a_run_count_where_an_edit_was_and_where_it_mattered():
    edits = [Scale("mlp.1", factor=1.0), Scale("resid.1", factor=0.0, where=Where.at(0, -1))]
    still, moved = model_of("llama").run(prompts(3, 7), edits=edits).receipts
    assert (still.calls, still.reached, still.fired, still.changed) == (1, 21, 21, 0)
    assert (moved.calls, moved.reached, moved.fired, moved.changed) == (1, 6, 6, 6)


def test_in_a_notebook_a_run_is_what_was_read_and_what_edits_did():
    trace = model_of("llama").run(prompts(3, 7), read=["resid.1"], edits=[Scale("resid.1", factor=0.0)])
    shown = trace._repr_html_()
    assert "run of 3 prompts of 7 tokens" in shown and ">resid.1</td>" in shown and ">logits</td>" in shown
    assert str(trace.receipts[0]) in shown and "[3, 7, " in shown
    made = trace.to_frame()
    assert made[["calls", "reached", "fired", "changed"]].to_numpy().tolist() == [[1, 21, 21, 21]]
    assert made["edit"].tolist() == ["scale at resid.1: factor 0"]


def test_that_an_edit_did_not_fire_is_a_mistake_of_the_user():
    assert issubclass(EditDidNotFire, ValueError)
    empty = Trace(torch.ones(1, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(KeyError, match="read were no sites"):
        empty["resid.0"]


def test_a_trace_says_what_was_run_and_read_and_no_numbers():
    model = model_of("gpt2")
    said = repr(model.run([[1, 2, 3]], read=["resid.1"], edits=[Scale("resid.1", factor=2.0)], logits=1))
    assert said.startswith("<run of 1 prompt of 3 tokens; read resid.1 (1, 3, ")
    assert "; logits (1, 1, " in said and "scale at resid.1: 3 positions" in said and "tensor" not in said
    assert "read no sites" in repr(model.run([[1, 2, 3], [4, 5, 6]])) and len(said) < 200
