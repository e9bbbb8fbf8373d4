"""Updates of weights: in every family the right map, by the right amount; nothing else moves, and all of it can be undone."""

from dataclasses import replace

import pytest
import torch

from clew.changes import Add, Scale, Update
from clew.dictionaries import Identity
from clew.models import EditDidNotFire, Model
from clew.models.weights import logits_with, matrix_of, twin_of, weights_of
from clew.sites import Site, Weight
from clew.stack import Stack
from tests.models.tiny import FAMILIES, model_of, prompts, relu_dictionary

F64 = torch.float64


def change(model: Model, at: str, rank: int | None = 2, size: float = 1.0, seed: int = 0) -> Update:
    """A random update as large as the weight itself."""
    matrix, g = model.body.linear(at).matrix(), torch.Generator().manual_seed(seed)
    out, wide = matrix.shape
    left, right = torch.randn(out, rank or wide, generator=g), torch.randn(rank or 1, wide, generator=g)
    whole = left if rank is None else left @ right
    scale = size * float(matrix.norm() / whole.norm())
    return Update(at, left=left, right=None if rank is None else right, scale=scale)


def bits(model: Model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.body.module.state_dict().items()}


def run(model: Model, *read: str) -> dict[str, torch.Tensor]:
    trace = model.run(prompts(), read=read)
    assert trace.logits is not None
    return {"logits": trace.logits, **{site: trace[site] for site in read}}


# The right map, in every family.


@pytest.mark.parametrize("family", FAMILIES)
def test_a_map_takes_what_it_reads_to_what_it_writes_and_an_update_moves_that_by_what_it_says(family):
    model = model_of(family, F64)
    sites = [s for s in ("attn_in.1", "q.1", "k.1", "v.1", "neuron.1", "mlp_out.1") if Site.parse(s) in model.body.taps]
    before = run(model, *sites)
    for at in ("q.1", "k.1", "v.1", "down.1"):
        linear, update = model.body.linear(at), change(model, at)
        x, y = before[str(linear.reads)], before[str(linear.writes)]
        assert torch.allclose(x @ linear.matrix().T + (0 if linear.bias is None else linear.bias), y, atol=1e-9)
        after = run(model.edited(update), *sites)
        assert torch.allclose(after[str(linear.writes)], y + x @ update.change.T, atol=1e-9)
        assert not torch.equal(after["logits"], before["logits"])
        same = {"attn_in.1", "q.1", "k.1", "v.1"} - {str(linear.writes)}  # the other rows of a fused projection, too
        assert all(torch.equal(before[s], after[s]) for s in same.intersection(sites))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_output_projection_takes_heads_to_the_stream(family):
    model = model_of(family, F64)
    if family.startswith("gemma"):
        pytest.skip("a norm stands between it and the stream")
    before, update = run(model, "head.1", "attn.1"), change(model, "out.1")
    after = run(model.edited(update), "head.1", "attn.1")
    assert torch.allclose(after["attn.1"], before["attn.1"] + before["head.1"] @ update.change.T, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_address_of_every_family_can_be_updated_alone(family):
    model = model_of(family)
    own = bits(model)
    for weight in (w for w in model.body.weights() if w.layer in (1, None)):
        edited = model.edited(change(model, str(weight)))
        linear = edited.body.linear(weight)
        changed = [n for n, t in edited.body.module.state_dict().items() if not torch.equal(t, own[n])]
        assert changed == [linear.name], (family, weight)
        expected = (model.body.linear(weight).matrix().double() + change(model, str(weight)).change).float()
        assert torch.equal(linear.matrix(), expected)
    assert all(torch.equal(t, own[n]) for n, t in bits(model).items())


def test_a_path_is_an_address_too():
    model = model_of("llama", F64)
    path = "model.layers.1.mlp.up_proj"
    before, update = run(model, "mlp_in.1", "neuron.1"), change(model, path)
    gate = model.body.linear("model.layers.1.mlp.gate_proj").matrix()
    moved = torch.nn.functional.silu(before["mlp_in.1"] @ gate.T) * (before["mlp_in.1"] @ update.change.T)
    after = run(model.edited(update), "neuron.1")["neuron.1"]
    assert torch.allclose(after, before["neuron.1"] + moved, atol=1e-9)
    assert torch.equal(model.body.linear("model.layers.1.mlp.down_proj").matrix(), model.body.linear("down.1").matrix())


# Storage.


def test_a_transposed_module_keeps_its_layout():
    model = model_of("gpt2")
    before = model.body.module.transformer.h[1].mlp.c_proj.weight
    edited = model.edited(change(model, "down.1")).body
    after = edited.module.transformer.h[1].mlp.c_proj.weight
    assert before.shape == after.shape == tuple(reversed(edited.linear("down.1").matrix().shape))
    assert after.is_contiguous() and not after.requires_grad and after.dtype == before.dtype


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "bloom", "falcon"])
def test_of_a_fused_projection_only_its_own_rows_move(family):
    model = model_of(family)
    owner = model.body.linear("q.1").name
    for part in "qkv":
        edited = model.edited(change(model, f"{part}.1"))
        assert edited.body.linear(f"{part}.1").name == owner
        for same in {*"qkv"} - {part}:
            assert torch.equal(edited.body.linear(f"{same}.1").matrix(), model.body.linear(f"{same}.1").matrix())


def test_of_a_tied_model_only_the_unembedding_moves():
    model = model_of("gpt2")
    module = model.body.module
    assert module.get_input_embeddings().weight is module.get_output_embeddings().weight
    update = change(model, "unembed")
    edited = model.edited(update)
    before, after = run(model, "embed", "final"), run(edited, "embed", "final")
    assert torch.equal(before["embed"], after["embed"]) and torch.equal(before["final"], after["final"])
    moved = before["final"] @ update.change.float().T
    assert torch.allclose(after["logits"], before["logits"] + moved, atol=1e-4) and float(moved.abs().max()) > 1e-2
    cached, plain = (edited.generate("the old king", max_new_tokens=4, use_cache=c).tokens for c in (True, False))
    assert torch.equal(cached, plain)
    new = edited.body.module
    assert new.get_input_embeddings().weight.data_ptr() == module.get_input_embeddings().weight.data_ptr()
    assert new.get_output_embeddings().weight.data_ptr() != module.get_output_embeddings().weight.data_ptr()


def test_the_twin_shares_every_other_tensor_and_has_no_hook():
    model = model_of("gpt2")
    edited = model.edited(change(model, "down.1"))
    name = edited.body.linear("down.1").name
    old, new = dict(model.body.module.named_parameters()), dict(edited.body.module.named_parameters())
    assert {n for n in old if old[n].data_ptr() != new[n].data_ptr()} == {name}
    old, new = dict(model.body.module.named_buffers()), dict(edited.body.module.named_buffers())
    assert old.keys() == new.keys() and all(old[n] is new[n] for n in old)
    edited.run(prompts(), read=["resid.1"])
    edited.generate("the old king", max_new_tokens=2)
    for module in (*edited.body.module.modules(), *model.body.module.modules()):
        assert not module._forward_hooks and not module._forward_pre_hooks
        assert "forward" not in module.__dict__


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_sum_is_taken_in_double_precision_and_rounded_once(dtype):
    model = model_of("llama", dtype)
    update = change(model, "down.1", size=0.01)
    expected = (model.body.linear("down.1").matrix().double() + update.change).to(dtype)
    edited = model.edited(update)
    assert torch.equal(edited.body.linear("down.1").matrix(), expected) and edited.body.dtype == dtype


def test_an_update_that_rounding_swallows_did_not_fire():
    for size in (1e-30, 0.0):
        model = model_of("llama", torch.bfloat16)
        with pytest.raises(EditDidNotFire, match=r"update of down\.1 changes no bit"):
            model.edited(change(model, "down.1", size=size))
    assert model_of("llama", F64).edited(change(model_of("llama", F64), "down.1", size=1e-9)).edits


# Order, undoing, other views.


def test_updates_of_one_weight_add_up_in_their_order():
    model = model_of("llama")
    a, b = change(model, "down.1", seed=1), change(model, "down.1", seed=2)
    first = (model.body.linear("down.1").matrix().double() + a.change).float()
    expected = (first.double() + b.change).float()
    for edited in (model.edited(a, b), model.edited(a).edited(b), model.edited(Stack((a,)) + Stack((b,)))):
        assert torch.equal(edited.body.linear("down.1").matrix(), expected)


def test_undoing_gives_back_every_bit_in_any_depth():
    model = model_of("llama")
    own = bits(model)
    steps = [
        change(model, "down.1"),
        Scale("resid.0", factor=2.0),
        change(model, "q.0"),
        change(model, "down.1", seed=3),
    ]
    chain = [model]
    for step in steps:
        chain.append(chain[-1].edited(step))
    for n in range(len(steps) + 1):
        back = chain[-1].undo(n)
        assert (
            torch.equal(run(back)["logits"], run(chain[len(steps) - n])["logits"]) and len(back.edits) == len(steps) - n
        )
    assert chain[-1].unedited.body is model.body is chain[-1].undo(4).body
    assert all(torch.equal(t, own[name]) for name, t in bits(model).items())
    for n in (5, -1):
        with pytest.raises(ValueError, match="with 4 edits"):
            chain[-1].undo(n)


def test_an_update_and_its_opposite_are_undone_only_by_undo():
    model = model_of("llama")
    update = change(model, "down.1", size=3.0)
    there_and_back = model.edited(update).edited(replace(update, scale=-update.scale))
    assert torch.allclose(run(there_and_back)["logits"], run(model)["logits"], atol=1e-3)
    assert torch.equal(run(there_and_back.undo(2))["logits"], run(model)["logits"])


def test_a_stack_is_applied_from_the_disk_bit_for_bit(tmp_path):
    model = model_of("gpt_neox")
    stack = Stack(
        (change(model, "k.1"), Add("resid.1", vector=torch.ones(32)), change(model, "out.0", rank=None)), "some"
    )
    again = Stack.load(stack.save(tmp_path / "some.safetensors"))
    assert torch.equal(run(model.edited(again))["logits"], run(model.edited(stack))["logits"])


def test_dictionaries_and_edits_of_sites_stay():
    model = model_of("llama")
    view = model.through(relu_dictionary(model, "resid.1"), Identity("neuron.2", model.body.widths[Site("neuron", 2)]))
    edited = view.edited(Scale("resid.1", factor=0.0, basis="code", units=(3,)), change(model, "down.0"))
    assert edited.dictionaries == view.dictionaries and len(edited.activation_edits) == 1
    unit_off = view.edited(Scale("resid.1", factor=0.0, basis="code", units=(3,))).edited(change(model, "down.0"))
    assert torch.equal(run(edited)["logits"], run(unit_off)["logits"])
    assert edited.unedited.dictionaries == view.dictionaries
    back = edited.undo().run(prompts()).logits
    assert torch.equal(back, view.edited(Scale("resid.1", factor=0.0, basis="code", units=(3,))).run(prompts()).logits)


def test_refusals_and_settings_of_the_body_go_along():
    model = model_of("llama")
    model.body.refused["padding"] = "padding changes what this model says"
    edited = model.edited(change(model, "down.1"))
    with pytest.raises(ValueError, match="padding changes"):
        edited.run(["the old king", "the king"])
    assert (edited.body.n_heads, edited.body.widths, edited.name) == (model.body.n_heads, model.body.widths, model.name)


def test_what_identifies_the_weights_sees_the_update():
    model = model_of("llama")
    edited = model.edited(change(model, "down.1", size=0.1))
    assert edited.body.fingerprint != model.body.fingerprint == edited.unedited.body.fingerprint


def test_a_base_of_other_weights_is_refused():
    model = model_of("llama")
    edited = model.edited(change(model, "down.0"))
    base, own = model.run(prompts(), record=True), edited.run(prompts(), record=True)
    with pytest.raises(ValueError, match="recorded with another model"):
        edited.run(prompts(), base=base, edits=[Scale("resid.1", factor=0.0)])
    resumed = edited.run(prompts(), base=own, edits=[Scale("resid.1", factor=0.5)])
    assert torch.equal(resumed.logits, edited.run(prompts(), edits=[Scale("resid.1", factor=0.5)]).logits)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text"])
def test_generating_runs_the_edited_weights_with_and_without_a_cache(family):
    model = model_of(family, F64)
    model.body.module.generation_config.eos_token_id = None
    edited = model.edited(change(model, "v.1", size=3.0))
    assert edited.body.module.generation_config.eos_token_id is None
    texts = ["the nurse said that", "the old king"]
    cached, plain = (edited.generate(texts, max_new_tokens=6, use_cache=c).tokens for c in (True, False))
    tokens, _ = edited.tokens(texts[0])
    for _ in range(6):
        tokens = torch.cat([tokens, edited.run(tokens, logits=1).logits[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(cached, plain) and torch.equal(cached[:1], tokens)


def test_gradients_flow_through_edited_weights_and_leave_none_on_them():
    edited = model_of("llama", F64).edited(change(model_of("llama", F64), "down.1"))
    trace = edited.run(prompts(), read=["resid.0"], grad=True)
    (grad,) = trace.gradients(trace.logits[:, -1, 5].sum()).values()
    assert float(grad.abs().sum()) > 0
    assert all(p.grad is None for p in edited.body.module.parameters())


# What is refused.


def test_what_cannot_be_updated_is_refused():
    model = model_of("llama")
    good = change(model, "down.1")
    for update, words in (
        (lambda: replace(good, at=Weight("down.7")), "3 layers"),
        (lambda: replace(good, at=Weight("donw.1")), "no weight 'donw.1'; did you mean"),
        (lambda: replace(good, at=Weight("model.embed_tokens")), "not a linear map"),
        (lambda: replace(good, at=Weight("q.1")), r"does not fit q\.1"),
        (lambda: replace(good, left=good.left[:, :1]), r"must be \[out, rank\] and \[rank, in\]"),
        (lambda: replace(good, scale=float("nan")), "is nan, not finite"),
        (lambda: replace(good, scale=1e300), "not finite numbers"),
        (lambda: Update("down", left=good.left), "needs a layer"),
        (lambda: Update("", left=good.left), "no address of a weight"),
        (lambda: Update("down.-1", left=good.left), "no weight"),
        (lambda: change(model, "unembed.1"), "unembed"),
    ):
        with pytest.raises(ValueError, match=words):
            model.edited(update())


# Addresses, and maps as they are stored.


def test_addresses_are_in_forward_order_layer_by_layer():
    body = model_of("llama").body
    assert [str(w) for w in weights_of(body)][:6] == ["q.0", "k.0", "v.0", "out.0", "down.0", "q.1"]
    assert [str(w) for w in weights_of(body, "unembed", "down")] == ["down.0", "down.1", "down.2", "unembed"]
    assert [str(w) for w in weights_of(body, "v", "q")] == ["q.0", "v.0", "q.1", "v.1", "q.2", "v.2"]
    with pytest.raises(ValueError, match="'donw' is no kind of weight; did you mean 'down'"):
        weights_of(body, "q", "donw")


def test_the_sites_at_the_ends_of_a_map():
    body = model_of("llama").body
    ends = {w: (str(body.linear(w).reads), str(body.linear(w).writes)) for w in ("q.1", "out.1", "down.1", "unembed")}
    assert ends == {
        "q.1": ("attn_in.1", "q.1"),
        "out.1": ("head.1", "None"),
        "down.1": ("neuron.1", "mlp_out.1"),
        "unembed": ("final", "None"),
    }
    assert body.linear("model.layers.0.mlp.up_proj").reads is None


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox"])
def test_a_parameter_holding_its_own_matrix_is_itself_and_only_its_rows_change(family):
    """`holding` undoes `matrix`, however the family stores the map, and is differentiable."""
    for at in ("q.1", "down.1"):
        linear = model_of(family).body.linear(at)
        matrix = linear.matrix().requires_grad_()
        whole = linear.holding(matrix)
        assert torch.equal(whole, linear.parameter) and whole.is_contiguous()
        (grad,) = torch.autograd.grad(whole.sum(), matrix)
        assert torch.equal(grad, torch.ones_like(matrix))
        held = linear.holding(torch.zeros_like(matrix))
        assert int((held != linear.parameter).sum()) == int((linear.matrix() != 0).sum())


def test_a_matrix_is_a_copy_and_a_bias_its_own_rows():
    body = model_of("gpt2").body
    for linear in (body.linear("k.1"), body.linear("down.1"), model_of("llama").body.linear("down.1")):
        before = linear.matrix()
        linear.matrix().zero_()
        assert torch.equal(linear.matrix(), before) and float(before.abs().max()) > 0
    assert torch.equal(body.linear("k.1").bias, body.module.transformer.h[1].attn.c_attn.bias[32:64])
    assert model_of("llama").body.linear("q.1").bias is None


def test_a_map_of_another_kind_is_known_by_asking_it():
    class Odd(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 3 * super().forward(x) + 1

    odd = Odd(3, 2).double()
    matrix, bias = matrix_of(odd)
    assert torch.allclose(matrix, 3 * odd.weight) and bias is not None and torch.allclose(bias, 3 * odd.bias + 1)
    plain = torch.nn.Linear(3, 2, bias=False)
    matrix, bias = matrix_of(plain)
    assert matrix.data_ptr() == plain.weight.data_ptr() and bias is None


def test_a_twin_is_another_module_of_the_very_same_memory():
    module = model_of("gpt2").body.module
    twin = twin_of(module)
    assert twin is not module and twin.lm_head.weight is twin.transformer.wte.weight  # what is tied stays tied
    own, other = module.state_dict(), twin.state_dict()
    assert own.keys() == other.keys() and all(own[n].data_ptr() == other[n].data_ptr() for n in own)
    twin.transformer.h[0].ln_1.register_parameter("weight", torch.nn.Parameter(torch.zeros(32)))
    assert float(module.transformer.h[0].ln_1.weight.detach().abs().sum()) > 0


# Learning: other matrices for the length of a call.


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_logits_with_other_matrices_are_those_of_the_updated_model_and_differentiable(family):
    model = model_of(family, F64)
    updates = [change(model, at) for at in ("q.1", "v.1", "down.0", "unembed")]
    other = {u.at: model.body.linear(u.at).matrix() + u.change for u in updates}
    other[Weight("down.0")].requires_grad_()
    own = bits(model)
    logits = logits_with(model.body, other, prompts())
    assert torch.allclose(logits, model.edited(*updates).run(prompts()).logits, atol=1e-9)
    (grad,) = torch.autograd.grad(logits[:, -1, 5].sum(), other[Weight("down.0")])
    assert float(grad.abs().max()) > 0 and all(torch.equal(t, own[n]) for n, t in bits(model).items())
    assert torch.equal(logits_with(model.body, {}, prompts()), model.run(prompts()).logits)


def test_logits_with_other_matrices_of_the_last_positions_and_of_padded_rows():
    model = model_of("llama", F64)
    other = {Weight("down.1"): 2 * model.body.linear("down.1").matrix()}
    whole = logits_with(model.body, other, prompts())
    assert torch.allclose(logits_with(model.body, other, prompts(), keep=2), whole[:, -2:], atol=1e-12)
    tokens, real = torch.cat([torch.zeros(2, 3, dtype=torch.long), prompts()], 1), torch.ones(2, 10, dtype=torch.bool)
    real[:, :3] = False
    assert torch.allclose(logits_with(model.body, other, tokens, real)[:, 3:], whole, atol=1e-9)
