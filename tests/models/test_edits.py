"""Edits in a run: what they change, what they leave bit for bit, and that they cannot silently do nothing."""

import pytest
import torch

from clew.changes import ActivationEdit, Add, Project, Scale, Set
from clew.circuits.circuit import ANYWHERE, ERROR, Circuit
from clew.models import EditDidNotFire, Model
from clew.sites import RESPONSE, Site, Where
from tests.circuits.test_circuit import circuit as columns_of
from tests.models.tiny import model_of, prompts, relu_dictionary

R1, F64 = Site("resid", 1), torch.float64


def seen(family: str = "llama", dtype: torch.dtype = F64, site: str = "resid.1", writes: str | None = None) -> Model:
    """A tiny model seen through one random ReLU dictionary."""
    model = model_of(family, dtype)
    return model.through(relu_dictionary(model, site, writes, dtype=dtype))


@pytest.mark.parametrize(
    "part",
    [
        "embed",
        "attn_in.1",
        "q.1",
        "k.1",
        "v.1",
        "head.1",
        "attn.1",
        "mlp_in.1",
        "neuron.1",
        "mlp.1",
        "resid.1",
        "final",
    ],
)
@pytest.mark.parametrize("family", ["llama", "gpt2", "falcon"])
def test_each_verb_by_hand_at_each_site(family, part):
    model, site = model_of(family), Site.parse(part)
    clean = model.run(prompts(), read=[site])[site]
    d = clean.shape[-1]
    vector, directions = torch.linspace(-1, 1, d), torch.eye(d)[:2]
    dropped = clean.clone()
    dropped[..., :2] = 0
    some = clean.clone()
    some[:, 2, [0, 3]] *= -2
    pairs: list[tuple[ActivationEdit, torch.Tensor]] = [
        (Add(site, vector=vector, scale=3.0), clean + 3.0 * vector),
        (Set(site, value=vector), vector.expand_as(clean)),
        (Project(site, directions=directions), dropped),
        (Scale(site, factor=-2.0, where=Where.at(2), units=(0, 3)), some),
    ]
    for edit, expected in pairs:
        trace = model.run(prompts(), read=[site], edits=[edit])
        assert torch.allclose(trace[site], expected, atol=1e-6), edit
        assert trace.receipts[0].fired == (2 if edit.units else 14)


def test_nothing_outside_its_positions_and_units_moves_a_bit():
    model = model_of("llama")
    clean = model.run(prompts(), read=["resid.1"])["resid.1"]
    edit = Add(R1, vector=torch.ones(2), where=Where.at(-1), units=(4, 9))
    edited = model.run(prompts(), read=["resid.1"], edits=[edit])["resid.1"]
    assert (clean != edited).nonzero().tolist() == [[b, 6, u] for b in (0, 1) for u in (4, 9)]


def test_edits_at_one_site_run_in_their_order_those_of_the_model_first():
    model = model_of("llama")
    double, add = Scale(R1, factor=2.0), Add(R1, vector=torch.ones(32))
    clean = model.run(prompts(), read=["resid.1"])["resid.1"]
    assert torch.equal(model.edited(add).run(prompts(), read=["resid.1"], edits=[double])["resid.1"], (clean + 1) * 2)
    assert torch.equal(model.edited(double).run(prompts(), read=["resid.1"], edits=[add])["resid.1"], clean * 2 + 1)


def test_an_edit_of_units_before_an_edit_of_the_value_is_overwritten_by_it():
    model = seen().edited(Scale(R1, factor=0.0, basis="code"))
    edit = Set(R1, value=torch.ones(32))
    assert torch.equal(model.run(prompts(), read=["resid.1"], edits=[edit])["resid.1"], torch.ones(2, 7, 32, dtype=F64))


def test_receipts_count_exactly():
    tokens = torch.tensor([[0, 0, 5, 6], [7, 5, 5, 8]])
    edits = [Scale(R1, factor=0.5, where=Where("token", (5,))), Scale(R1, factor=1.0, where=Where.at(0)),
             Add(Site("final"), vector=torch.ones(32))]  # fmt: skip
    receipts = model_of("llama").run(tokens, real=tokens != 0, edits=edits).receipts
    assert [(r.calls, r.fired) for r in receipts] == [(1, 3), (1, 2), (1, 6)]
    assert receipts[0].changed == 3 and receipts[2].changed == 6
    assert str(receipts[0]) == "scale at resid.1: 3 positions in 1 calls, 3 changed"


@pytest.mark.parametrize("where", [Where.at(7), Where("token", (95,)), RESPONSE])
def test_an_edit_that_never_fires_is_an_error_that_names_it(where):
    with pytest.raises(EditDidNotFire, match=rf"1 edit\(s\) never fired: scale at mlp\.1.*{where.kind}"):
        model_of("llama").run(prompts(), edits=[Scale(Site("mlp", 1), factor=0.0, where=where), Scale(R1, factor=1.0)])


def test_an_edit_that_changes_the_shape_is_refused():
    with pytest.raises(ValueError, match=r"set at resid\.1 made \(5, 2, 7, 32\)"):
        model_of("llama").run(
            prompts(), edits=[Set(R1, value=torch.ones(2, 7, 32), keep=torch.ones(5, 1, 1, 1, dtype=torch.bool))]
        )


def test_an_edit_in_double_precision_leaves_the_model_in_its_own():
    class Wide(ActivationEdit):
        def __call__(self, x):
            return x.double() + 1

    trace = model_of("llama").run(prompts(), read=["resid.1"], edits=[Wide(R1)])
    assert trace["resid.1"].dtype == trace.logits.dtype == torch.float32


# Through a dictionary.


@pytest.mark.parametrize("basis", ["code", "error"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_edit_of_units_that_changes_nothing_leaves_every_bit(basis, dtype):
    model = model_of("llama", dtype)
    view = model.through(relu_dictionary(model, "resid.1"))  # a float32 dictionary in either model
    trace = view.run(prompts(), edits=[Scale(R1, factor=1.0, basis=basis)])
    assert torch.equal(trace.logits, model.run(prompts()).logits)
    assert (trace.receipts[0].fired, trace.receipts[0].changed) == (14, 0)


def test_zeroing_a_unit_takes_exactly_its_part_out_of_the_stream():
    view = seen()
    clean = view.run(prompts(), read=["resid.1"])
    code, (dictionary,) = clean.code("resid.1"), view.dictionaries.values()
    unit = int(code.sum((0, 1)).argmax())
    edited = view.run(prompts(), read=["resid.1"], edits=[Scale(R1, factor=0.0, basis="code", units=(unit,))])
    expected = clean["resid.1"] - code[..., unit, None] * dictionary.W_dec[unit]
    assert torch.allclose(edited["resid.1"], expected, atol=1e-13) and code[..., unit].max() > 0
    silent = code[..., unit] == 0
    assert torch.equal(edited["resid.1"][silent], clean["resid.1"][silent])


def test_without_its_error_the_stream_is_what_the_units_explain():
    view = seen()
    clean = view.run(prompts(), read=["resid.1"])
    edited = view.run(prompts(), read=["resid.1"], edits=[Scale(R1, factor=0.0, basis="error")])
    (dictionary,) = view.dictionaries.values()
    assert torch.allclose(edited["resid.1"], dictionary.decode(clean.code("resid.1")), atol=1e-12)
    assert torch.allclose(
        clean["resid.1"], dictionary.decode(clean.code("resid.1")) + clean.error("resid.1"), atol=1e-12
    )


def test_two_unit_edits_at_one_site_share_one_encoding():
    view = seen()
    (dictionary,) = view.dictionaries.values()
    calls, encode = [], dictionary.encode
    dictionary.encode = lambda x: calls.append(1) or encode(x)
    one, two = (Scale(R1, factor=0.0, basis="code", units=u) for u in ((1, 2, 3), (10, 11)))
    both = view.run(prompts(), read=["resid.1"], edits=[one, two])["resid.1"]
    assert len(calls) == 1
    union = Scale(R1, factor=0.0, basis="code", units=(1, 2, 3, 10, 11))
    assert torch.equal(both, view.run(prompts(), read=["resid.1"], edits=[union])["resid.1"])


def test_only_some_positions_and_units_are_set():
    view = seen()
    keep = torch.zeros(7, 48, dtype=torch.bool)
    keep[3:] = True
    clean = view.run(prompts(), read=["resid.1"])
    edited = view.run(prompts(), read=["resid.1"], edits=[Set(R1, value=0.0, keep=keep, basis="code")])["resid.1"]
    (dictionary,) = view.dictionaries.values()
    assert torch.equal(edited[:, 3:], clean["resid.1"][:, 3:])
    assert torch.allclose(edited[:, :3], (clean.error("resid.1") + dictionary.b_dec)[:, :3], atol=1e-12)


@pytest.mark.parametrize("family", ["llama", "gptj"])
def test_a_transcoder_reads_the_input_of_the_mlp_and_writes_its_output(family):
    view = seen(family, site="mlp_in.1", writes="mlp.1")
    clean = view.run(prompts(), read=["mlp_in.1", "mlp.1"])
    (dictionary,) = view.dictionaries.values()
    code = dictionary.encode(clean["mlp_in.1"])
    assert torch.equal(clean.code("mlp.1"), code)
    unit = int(code.sum((0, 1)).argmax())
    edit = Scale(Site("mlp", 1), factor=3.0, basis="code", units=(unit,))
    edited = view.run(prompts(), read=["mlp.1"], edits=[edit])["mlp.1"]
    assert torch.allclose(edited, clean["mlp.1"] + 2 * code[..., unit, None] * dictionary.W_dec[unit], atol=1e-12)


def test_a_transcoder_reads_what_flows_on_after_edits_there():
    view = seen(site="mlp_in.1", writes="mlp.1")
    (dictionary,) = view.dictionaries.values()
    shift = Add(Site("mlp_in", 1), vector=torch.ones(32))
    off = Scale(Site("mlp", 1), factor=0.0, basis="code")
    shifted = view.run(prompts(), read=["mlp_in.1", "mlp.1"], edits=[shift])
    both = view.run(prompts(), read=["mlp.1"], edits=[shift, off])["mlp.1"]
    assert torch.allclose(both, shifted["mlp.1"] - dictionary.write(dictionary.encode(shifted["mlp_in.1"])), atol=1e-12)


def test_scaling_a_head_changes_the_attention_by_its_part_through_the_output_projection():
    model = model_of("llama", F64)  # 4 heads on 2 key-value heads
    view, site = model.heads(), Site("head", 1)
    clean = model.run(prompts(), read=["head.1", "attn.1"])
    edit = Scale(site, factor=0.0, basis="code", units=(2,))
    edited = view.run(prompts(), read=["head.1", "attn.1"], edits=[edit])
    only = torch.zeros_like(clean["head.1"])
    only[..., 16:24] = clean["head.1"][..., 16:24]
    W_O = model.body.blocks[1].self_attn.o_proj.weight
    assert torch.allclose(edited["attn.1"], clean["attn.1"] - only @ W_O.T, atol=1e-10)
    assert torch.equal(edited["head.1"], clean["head.1"] - only)


def test_queries_and_keys_of_zero_attend_evenly():
    model = model_of("gpt_neox", F64)
    for part in "qk":
        pattern = model.run(prompts(), read=["pattern.1"], edits=[Scale(Site(part, 1), factor=0.0)])["pattern.1"]
        even = torch.ones(7, 7, dtype=F64).tril() / torch.arange(1, 8)[:, None]
        assert torch.allclose(pattern, even.expand_as(pattern), atol=1e-6)


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "falcon", "bloom", "codegen", "llama"])
def test_values_of_zero_leave_the_bias_of_the_output_projection(family):
    model = model_of(family)
    trace = model.run(prompts(), read=["head.1", "attn.1"], edits=[Set(Site("v", 1), value=0.0)])
    projection = model.body.blocks[1].get_submodule(model.body.part("attn", 1).projection)
    bias = 0.0 if getattr(projection, "bias", None) is None else projection.bias
    assert trace["head.1"].abs().max() == 0 and torch.equal(trace["attn.1"], torch.zeros(2, 7, 32) + bias)


# Circuits as edits.


def test_the_edits_of_a_circuit_do_what_they_say():
    view = seen()
    clean = view.run(prompts(), read=["resid.1"])
    code, (dictionary,) = clean.code("resid.1"), view.dictionaries.values()
    units = code.sum((0, 1)).topk(2).indices.tolist()
    at = {"site": [0, 0], "unit": units, "position": [ANYWHERE, 2], "score": [1.0, 1.0], "patch_mean": [0.25, 0.5]}
    circuit = Circuit((R1,), {R1: 48}, **{k: torch.tensor(v).numpy() for k, v in at.items()})
    for edits, target in (
        (circuit.zero(), lambda f, mean: 0 * f),
        (circuit.scale(3.0), lambda f, mean: 3 * f),
        (circuit.mean(), lambda f, mean: mean),
    ):
        new = code.clone()
        new[..., units[0]] = target(new[..., units[0]], 0.25)
        new[:, 2, units[1]] = target(new[:, 2, units[1]], 0.5)
        edited = view.edited(edits).run(prompts(), read=["resid.1"])["resid.1"]
        assert torch.allclose(edited, clean["resid.1"] + dictionary.write(new - code), atol=1e-7)


def test_zeroing_an_error_node_leaves_the_error_out():
    view = seen()
    error = columns_of().keep(columns_of().unit == ERROR)
    (edit,) = Circuit((R1, R1), {R1: 48}, error.site, error.unit, error.position, error.score, error.patch_mean).zero()
    edited, clean = view.run(prompts(), read=["resid.1"], edits=[edit]), view.run(prompts(), read=["resid.1"])
    assert torch.allclose(edited["resid.1"], clean["resid.1"] - clean.error("resid.1"), atol=1e-12)


def test_an_edit_of_neurons_needs_no_lens():
    model = model_of("gpt2")
    edited = model.edited(Scale(Site("neuron", 1), factor=0.0, basis="code", units=(3,)))
    plain = model.run(prompts(), edits=[Scale(Site("neuron", 1), factor=0.0, units=(3,))])
    assert torch.equal(edited.run(prompts()).logits, plain.logits) and len(edited.neurons().dictionaries) == 3
