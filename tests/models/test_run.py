"""Running: nothing left behind, resuming is exact, gradients are those of finite differences."""

import pytest
import torch

from clew.changes import ActivationEdit, Add, Scale, Set
from clew.models import EditDidNotFire, Model
from clew.sites import Site, Where
from tests.models.tiny import model_of, module_of, prompts, relu_dictionary


class Raise(ActivationEdit):
    """An edit that fails."""

    def __init__(self, at: str, error: BaseException) -> None:
        super().__init__(Site.parse(at))
        object.__setattr__(self, "error", error)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        raise self.error  # type: ignore[attr-defined]


def settings(model: Model) -> list:
    """Everything of the module that a run could leave changed."""
    module = model.body.module
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), "forward" in m.__dict__) for m in module.modules()]
    flags = [p.requires_grad for p in module.parameters()], [m.training for m in module.modules()]
    names = [sorted(vars(m)) for m in module.modules()], [id(p) for p in module.parameters()]
    return [hooks, flags, names, module.config._attn_implementation, torch.is_grad_enabled()]


@pytest.mark.parametrize("family", ["llama", "gpt2", "falcon", "bloom", "opt"])
def test_a_run_leaves_nothing_behind(family):
    model = model_of(family)
    module = model.body.module.train()
    next(module.parameters()).requires_grad_(False)  # a mixed setting must come back as it was
    module.get_submodule(model.body.layout.blocks)[1].eval()
    before = settings(model)
    base = model.run(prompts(), read=model.sites(), record=True, grad=True)
    model.run(prompts(), base=base, edits=[Scale(Site("attn", 1), factor=0.5)], logits=1)
    model.run(prompts(), read=["mlp.1"], logits=0)
    assert settings(model) == before


@pytest.mark.parametrize("site", ["embed", "q.1", "pattern.1", "neuron.1", "resid.1", "final"])
@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_an_error_in_an_edit_leaves_nothing_behind(site, error):
    model = model_of("llama")
    model.body.module.train()
    base, before = model.run(prompts(), record=True), settings(model)
    with pytest.raises(type(error)):
        model.run(prompts(), read=["pattern.0", "pattern.2"], edits=[Raise(site, error)], base=base, logits=1)
    with pytest.raises(type(error)):
        model.edited(Raise(site, error)).generate("the nurse")
    assert settings(model) == before


def test_dropout_is_off_in_a_run():
    module = module_of("gpt2").train()
    model = Model(model_of("gpt2").body.__class__(module, None, "gpt2"))
    assert torch.equal(model.run(prompts()).logits, model.run(prompts()).logits)


def changed(model: Model, site: Site) -> Scale:
    return Scale(site, factor=0.7, where=Where.at(2, -1))


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "falcon", "opt", "bloom", "gemma2", "gpt2"])
def test_a_resumed_run_with_an_edit_equals_the_whole_run_at_every_site(family):
    model = model_of(family)
    base = model.run(prompts(), record=True)
    for site in model.sites():
        edit = changed(model, site)
        whole = model.run(prompts(), edits=[edit], read=[site])
        again = model.run(prompts(), edits=[edit], read=[site], base=base)
        assert torch.equal(whole.logits, again.logits) and torch.equal(whole[site], again[site]), site


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_a_resumed_run_of_copies_equals_whole_runs(family):
    model = model_of(family)
    base = model.run(prompts(), record=True)
    for layer in range(3):
        factors = torch.tensor([1.0, 0.5, 0.0]).repeat_interleave(2)[:, None, None]
        copies = prompts().repeat(3, 1)
        read = [f"attn.{layer}", "final"]
        value = model.run(copies, read=read)[f"attn.{layer}"] * factors
        edit = Set(Site("attn", layer), value=value)
        whole, again = model.run(copies, edits=[edit]), model.run(copies, edits=[edit], base=base)
        assert torch.equal(whole.logits, again.logits)
        assert torch.allclose(again.logits[:2], base.logits, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text"])
def test_a_run_after_a_past_is_the_end_of_the_whole_run_and_its_gradient(family):
    model = model_of(family, torch.float64)
    whole = model.run(prompts(), read=["mlp.1", "resid.2"], grad=True)
    before, after = prompts()[:, :4], prompts()[:, 4:]
    with torch.no_grad():
        past = model.body.module(input_ids=before, use_cache=True).past_key_values
    rest = model.run(after, read=["mlp.1", "resid.2"], grad=True, past=past)
    assert torch.allclose(rest.logits, whole.logits[:, 4:], atol=1e-10)
    slopes = [t.gradients(t.logits[:, -1, 7].sum())[Site("mlp", 1)][:, -3:] for t in (whole, rest)]
    assert torch.allclose(*slopes, atol=1e-10) and slopes[0].abs().max() > 1e-3


def test_a_past_and_padding_are_refused_together():
    model = model_of("llama")
    past = model.body.module(input_ids=prompts()[:, :2], use_cache=True).past_key_values
    real = torch.ones_like(prompts(), dtype=torch.bool)
    real[0, 0] = False
    with pytest.raises(ValueError, match="rows without padding"):
        model.run(prompts(), real=real, past=past)


def test_a_resumed_run_makes_an_edit_of_the_model_once():
    edit, more = Add("resid.0", vector=torch.ones(32)), Add("resid.1", vector=torch.ones(32))
    model = model_of().edited(edit)
    again = model.run(prompts(), edits=[more], base=model.run(prompts(), record=True))
    assert torch.allclose(again.logits, model.run(prompts(), edits=[more]).logits, atol=1e-5)


def test_a_resumed_run_really_skips_the_blocks_below():
    model = model_of("llama")
    base = model.run(prompts(), record=True)
    model.run(prompts(), base=base, read=["mlp.1"])  # what a block hands on is looked up once
    ran = []
    for i, block in enumerate(model.body.blocks):
        block.self_attn.register_forward_hook(lambda *_, i=i: ran.append(i))
    model.run(prompts(), edits=[Scale(Site("mlp", 1), factor=0.0)], base=base)
    model.run(prompts(), edits=[Scale(Site("resid", 1), factor=0.0)], base=base)
    assert ran == [1, 2, 2]


def test_a_base_of_weights_that_have_changed_since_is_refused():
    model, edit = model_of(), Scale(Site("attn", 1), factor=0.0)
    base = model.run(prompts(), record=True)
    with torch.no_grad():
        model.body.module.model.embed_tokens.weight.mul_(2)
    with pytest.raises(ValueError, match="changed since `base` was recorded"):
        model.run(prompts(), edits=[edit], base=base)


def test_a_base_that_does_not_fit_is_refused():
    model = model_of("llama")
    base, edit = model.run(prompts(), record=True), Scale(Site("attn", 1), factor=0.0)
    with pytest.raises(ValueError, match="record=True"):
        model.run(prompts(), edits=[edit], base=model.run(prompts()))
    with pytest.raises(ValueError, match="whole number of copies"):
        model.run(prompts(3), edits=[edit], base=base)
    with pytest.raises(ValueError, match="not those of `base`"):
        model.run(prompts(seed=1), edits=[edit], base=base)
    with pytest.raises(ValueError, match="not those of `base`"):
        model.run(prompts().repeat_interleave(2, 0), edits=[edit], base=base)


def test_the_last_positions_reach_the_unembedding_side_by_side():
    """Rows apart from each other torch multiplies one prompt at a time, which takes longer than all blocks together."""
    model, seen = model_of("gpt2"), list[torch.Tensor]()
    hook = model.body.unembed.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    model.run(prompts(), logits=1)
    hook.remove()
    assert seen[-1].shape[:2] == (2, 1) and seen[-1].is_contiguous()


def test_keep_gives_the_last_logits():
    model = model_of("gpt2")
    whole = model.run(prompts()).logits
    assert torch.allclose(model.run(prompts(), logits=2).logits, whole[:, -2:], atol=1e-6)
    stopped = model.run(prompts(), read=["attn.1"], logits=0)
    assert stopped.logits is None and torch.equal(stopped["attn.1"], model.run(prompts(), read=["attn.1"])["attn.1"])
    with pytest.raises(ValueError, match="logits=-1"):
        model.run(prompts(), logits=-1)


def test_a_run_that_stops_owes_nothing_to_edits_past_its_end():
    model = model_of("gpt2").edited(Scale(Site("mlp", 2), factor=0.0))
    assert model.run(prompts(), read=["resid.0"], logits=0).logits is None
    with pytest.raises(EditDidNotFire):
        model.run(prompts(), read=["resid.0"], edits=[Scale(Site("mlp", 0), factor=0.0, where=Where.at(50))], logits=0)


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom", "falcon", "opt", "gemma3_text"])
def test_left_padding_changes_nothing_at_real_tokens(family):
    model = model_of(family)
    short, tokens = prompts(1, 4), torch.zeros(2, 7, dtype=torch.long)
    tokens[0, 3:], tokens[1] = short, prompts(1, 7, seed=1)
    trace = model.run(tokens, real=tokens != 0, read=["resid.1"])
    alone = model.run(short, read=["resid.1"])
    assert torch.allclose(trace["resid.1"][0, 3:], alone["resid.1"][0], atol=1e-4)
    assert torch.allclose(trace.logits[0, -1], alone.logits[0, -1], atol=1e-4)


def difference(model: Model, site: str, value: torch.Tensor, at: tuple[int, ...]) -> float:
    """The derivative of the last logit of token 5 by one coordinate of what flows at a site, by two runs."""
    step = torch.zeros_like(value)
    step[at] = 1e-3  # no smaller: norms and softmax of several families work in float32
    runs = [model.run(prompts(), edits=[Set(Site.parse(site), value=value + s)]) for s in (step, -step)]
    return ((runs[0].logits - runs[1].logits)[:, -1, 5].sum() / 2e-3).item()


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_gradients_at_every_site_are_those_of_finite_differences(family):
    model = model_of(family, torch.float64)
    trace = model.run(prompts(), read=model.sites(), grad=True)
    grads = trace.gradients(trace.logits[:, -1, 5].sum())
    for site in model.sites():
        if site.layer in (None, 1):
            value, at = trace[site].detach(), (1, 2, 6, 3) if site.part == "pattern" else (1, 6, 3)
            expected = difference(model, str(site), value, at)
            assert grads[site][at].item() == pytest.approx(expected, rel=5e-3, abs=1e-4), site
            assert expected != 0, site


def test_a_gradient_that_starts_in_the_middle_is_the_same():
    model = model_of("llama", torch.float64)
    whole = model.run(prompts(), read=["embed", "mlp.1"], grad=True)
    part = model.run(prompts(), read=["mlp.1"], grad=True, base=model.run(prompts(), record=True))
    grads = [t.gradients(t.logits[0, -1, 5])[Site("mlp", 1)] for t in (whole, part)]
    assert torch.equal(*grads) and grads[0].abs().max() > 0
    assert all(p.grad is None and p.requires_grad for p in model.body.module.parameters())


def test_an_edit_is_part_of_the_gradient():
    model = model_of("llama", torch.float64)
    edits = [Scale(Site("resid", 1), factor=0.0, where=Where.at(-1))]
    trace = model.run(prompts(), read=["resid.0", "attn.2"], edits=edits, grad=True)
    grads = trace.gradients(trace.logits[:, -1].sum())
    assert grads[Site("resid", 0)][:, -1].abs().max() == 0 and grads[Site("resid", 0)].abs().max() > 0


def test_a_cut_run_has_gradients_of_one_segment():
    model = model_of("llama", torch.float64).neurons("resid.0", "resid.1", "resid.2")
    trace = model.run(prompts(), leaves=True)
    low, mid, top = (Site("resid", i) for i in range(3))
    assert all(trace[s].is_leaf for s in (low, mid, top))
    grads = torch.autograd.grad(trace.arrived[top].sum(), [trace[low], trace[mid]], allow_unused=True)
    assert grads[0] is None and grads[1].abs().max() > 0
    assert torch.equal(trace.arrived[mid], trace[mid]) and torch.equal(trace.logits, model.run(prompts()).logits)


def test_a_cut_run_of_a_transcoder_ties_its_input_to_the_leaves_below():
    plain = model_of("llama", torch.float64)
    model = plain.through(
        relu_dictionary(plain, "resid.0", dtype=torch.float64),
        relu_dictionary(plain, "mlp_in.1", "mlp.1", dtype=torch.float64),
    )
    trace = model.run(prompts(), leaves=True)
    (grad,) = torch.autograd.grad(trace.arrived[Site("mlp_in", 1)].sum(), [trace["resid.0"]])
    assert grad.abs().max() > 0 and trace["mlp.1"].is_leaf


def test_what_is_read_is_what_flows_on_after_edits():
    model = model_of("gpt2")
    vector = torch.arange(32.0)
    clean = model.run(prompts(), read=["resid.1", "attn_in.2"])
    edited = model.run(prompts(), read=["resid.1", "attn_in.2"], edits=[Add(Site("resid", 1), vector=vector)])
    assert torch.equal(edited["resid.1"], clean["resid.1"] + vector)
    assert not torch.equal(edited["attn_in.2"], clean["attn_in.2"])
