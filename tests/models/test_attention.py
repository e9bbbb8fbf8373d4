"""The site `pattern`: attention probabilities beside the model's own attention."""

import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import flash_attention_mask

from clew.changes import Scale, Set
from clew.models import EditDidNotFire
from clew.models.attention import _MixedBy, gated
from clew.sites import Site, Where
from tests.models.kinds import kind
from tests.models.tiny import model_of, prompts

P = Site("pattern", 1)


def test_a_uniform_pattern_mixes_the_values_to_their_mean():
    model = model_of("llama", torch.float64)
    uniform = torch.ones(7, 7, dtype=torch.float64).tril()
    uniform /= uniform.sum(-1, keepdim=True)
    trace = model.run(prompts(), read=["v.1", "head.1", "pattern.1"], edits=[Set(P, value=uniform)])
    v = trace["v.1"].unflatten(-1, (2, -1)).repeat_interleave(2, dim=2)  # 4 heads on 2 key-value heads
    expected = torch.einsum("qk,bkhd->bqhd", uniform, v).flatten(2)
    assert torch.allclose(trace["head.1"], expected, atol=1e-12)
    assert torch.equal(trace["pattern.1"], uniform.expand(2, 4, 7, 7))


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom", "gpt_neo", "gptj"])
def test_an_edit_at_one_query_moves_only_that_position_of_the_heads(family):
    model = model_of(family)
    clean = model.run(prompts(), read=["head.1", "pattern.1"])
    edited = model.run(prompts(), read=["head.1", "pattern.1"], edits=[Scale(P, factor=0.5, where=Where.at(3))])
    moved = (clean["head.1"] != edited["head.1"]).any(-1)
    assert moved.nonzero().tolist() == [[0, 3], [1, 3]]
    assert torch.allclose(edited["pattern.1"][:, :, 3], 0.5 * clean["pattern.1"][:, :, 3])
    assert (edited.receipts[0].fired, edited.receipts[0].changed, edited.receipts[0].calls) == (2, 2, 1)


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "mistral", "gpt2"])
def test_eager_and_sdpa_show_the_same_pattern(family):
    model = model_of(family)
    one = model.run(prompts(), read=["pattern.2"])["pattern.2"]
    model.body.module.set_attn_implementation("eager")
    assert torch.allclose(one, model.run(prompts(), read=["pattern.2"])["pattern.2"], atol=1e-5)


def test_a_sliding_window_is_in_the_pattern():
    pattern = model_of("mistral").run(prompts(seq=9), read=["pattern.0"])["pattern.0"]
    seen = (pattern > 0).sum(-1)
    assert seen.amax() == 5 and (seen[0, 0] == torch.tensor([1, 2, 3, 4, 5, 5, 5, 5, 5])).all()


def flash(module, query, key, value, mask, scaling=None, sliding_window=None, **rest):
    """The contract of flash attention: causal by itself, the window as an argument, of the mask only which keys are real."""
    kept, length = query.shape[1] // key.shape[1], query.shape[2]
    key, value = key.repeat_interleave(kept, 1), value.repeat_interleave(kept, 1)
    real = torch.ones(len(query), length, dtype=torch.bool) if mask is None else mask.bool()
    back = torch.arange(length)[:, None] - torch.arange(length)
    seen = (back >= 0) & (back < (sliding_window or length)) & real[:, None, None]
    pattern = (query @ key.mT * scaling).masked_fill(~seen, -torch.inf).softmax(-1)
    out = (pattern.masked_fill(~real[:, None, :, None], 0) @ value).transpose(1, 2)  # no row is computed for padding
    return out, None


@pytest.fixture
def flash_model(monkeypatch):
    monkeypatch.setitem(AttentionInterface._global_mapping, "toy_flash", flash)
    monkeypatch.setitem(AttentionMaskInterface._global_mapping, "toy_flash", flash_attention_mask)
    model = model_of("mistral")
    model.body.module.config._attn_implementation = "toy_flash"
    return model


@pytest.mark.parametrize("padding", [0, 3])
def test_an_implementation_that_is_given_no_mask_shows_the_pattern_it_computes(flash_model, padding):
    """Beyond a window of 5, and behind padding on the left."""
    tokens = prompts(seq=12)
    real = torch.arange(12).expand(2, 12) >= padding
    asked = [Site("pattern", 1), Site("v", 1), Site("head", 1)]
    trace = flash_model.run(tokens, real=real, read=asked)
    pattern, v = trace["pattern.1"], trace["v.1"].unflatten(-1, (2, -1)).repeat_interleave(2, dim=2)
    mixed = torch.einsum("bhqk,bkhd->bqhd", pattern, v).flatten(2)
    assert torch.allclose(mixed[real], trace["head.1"][real], atol=1e-5)
    other = model_of("mistral").run(tokens, real=real, read=asked)
    assert torch.allclose(pattern[:, :, padding:], other["pattern.1"][:, :, padding:], atol=1e-5)
    assert torch.equal(trace.logits, flash_model.run(tokens, real=real).logits)


def test_an_implementation_for_which_transformers_makes_no_mask_shows_its_pattern_too(flash_model, monkeypatch):
    monkeypatch.delitem(AttentionMaskInterface._global_mapping, "toy_flash")
    one = flash_model.run(prompts(seq=12), read=["pattern.0"])["pattern.0"]
    assert torch.allclose(one, model_of("mistral").run(prompts(seq=12), read=["pattern.0"])["pattern.0"], atol=1e-5)


def flex(module, query, key, value, mask, scaling, **rest):
    """As transformers calls flex attention, uncompiled."""
    out = flex_attention(query, key, value, block_mask=mask, scale=scaling, enable_gqa=True)
    return out.transpose(1, 2).contiguous(), None


def flex_mask(**given):
    sizes = given["batch_size"], None, given["q_length"], given["kv_length"], given["device"]
    return create_block_mask(given["mask_function"], *sizes, BLOCK_SIZE=4, _compile=False)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_shows_the_pattern_that_its_function_of_a_query_and_a_key_makes(monkeypatch, padding):
    """With a window of 5, in blocks of 4 so that whole blocks are left out."""
    monkeypatch.setitem(AttentionInterface._global_mapping, "toy_flex", flex)
    monkeypatch.setitem(AttentionMaskInterface._global_mapping, "toy_flex", flex_mask)
    model, tokens = model_of("mistral"), prompts(seq=12)
    real = torch.arange(12).expand(2, 12) >= padding
    if padding:
        seen = real[:, None, None, :]
        monkeypatch.setitem(
            AttentionMaskInterface._global_mapping,
            "toy_flex",
            lambda **given: flex_mask(
                **given | {"mask_function": lambda b, h, q, k: given["mask_function"](b, h, q, k) & seen[b, 0, 0, k]}
            ),
        )
    model.body.module.config._attn_implementation = "toy_flex"
    trace = model.run(tokens, real=real, read=["pattern.1"])
    other = model_of("mistral").run(tokens, real=real, read=["pattern.1"])
    assert torch.allclose(trace["pattern.1"][:, :, padding:], other["pattern.1"][:, :, padding:], atol=1e-5)
    assert torch.equal(trace.logits, model.run(tokens, real=real).logits)


def test_a_mask_of_a_kind_that_is_not_known_gives_no_pattern(flash_model, monkeypatch):
    monkeypatch.setitem(AttentionMaskInterface._global_mapping, "toy_flash", lambda **given: "a block mask")
    monkeypatch.setitem(
        AttentionInterface._global_mapping, "toy_flash", lambda *given, **more: flash(*given[:4], None, **more)
    )
    assert flash_model.run(prompts()).logits is not None
    with pytest.raises(ValueError, match="is given a str as its mask, from which no pattern can be made"):
        flash_model.run(prompts(), read=["pattern.0"])


def test_the_attention_setting_comes_back_also_after_an_error():
    model = model_of("llama")
    config = model.body.module.config
    for own in ("sdpa", "eager"):
        model.body.module.set_attn_implementation(own)
        model.run(prompts(), read=["pattern.0"])
        with pytest.raises(EditDidNotFire):
            model.run(prompts(), edits=[Scale(P, factor=0.5, where=Where.at(99))])
        assert config._attn_implementation == own


def test_the_gradient_through_a_pattern_is_that_of_a_finite_difference():
    model = model_of("gpt2", torch.float64)
    trace = model.run(prompts(), read=["pattern.1"], grad=True)
    grad = trace.gradients(trace.logits[:, -1, 5].sum())[P]
    value = trace["pattern.1"].detach()
    step = torch.zeros_like(value)
    step[0, 2, 6, 1] = 1e-5
    up, down = (model.run(prompts(), edits=[Set(P, value=value + s)]).logits[:, -1, 5].sum() for s in (step, -step))
    assert grad[0, 2, 6, 1].item() == pytest.approx((up - down).item() / 2e-5, rel=1e-5)


def test_many_gradients_go_back_through_one_pattern_that_is_held():
    """As they do through a plain product, which would copy the pattern for each."""
    pattern, value = (torch.randn(2, 3, 5, n, generator=torch.manual_seed(n), dtype=torch.float64) for n in (5, 4))
    seeds = torch.randn(6, 2, 3, 5, 4, generator=torch.manual_seed(0), dtype=torch.float64)
    value.requires_grad_()
    held = _MixedBy.apply(pattern, value, False)
    assert torch.equal(held, pattern @ value)
    together = [
        torch.autograd.grad(out, value, seeds, is_grads_batched=True, retain_graph=True)[0]
        for out in (held, pattern @ value)
    ]
    assert torch.allclose(*together, atol=1e-12)
    (once,) = torch.autograd.grad(held, value, seeds[1], create_graph=True)
    assert torch.allclose(once, together[0][1], atol=1e-12)


def test_a_sink_takes_of_the_first_token_what_its_logit_is_worth_beside_the_one_score():
    model = kind("sinks")
    trace = model.run(prompts(), read=["q.1", "k.1", "pattern.1"])
    q, k = trace["q.1"][:, 0].unflatten(-1, (4, -1)), trace["k.1"][:, 0].unflatten(-1, (2, -1))
    score = (q * k.repeat_interleave(2, 1)).sum(-1) * 8**-0.5  # no rotation at position 0
    sinks = model.body.attentions[1].sinks
    torch.testing.assert_close(trace["pattern.1"][:, :, 0].sum(-1), torch.sigmoid(score - sinks), rtol=1e-6, atol=1e-6)
    with torch.no_grad():
        sinks.fill_(-1e9)
    rows = model.run(prompts(), read=["pattern.1"])["pattern.1"].sum(-1)
    torch.testing.assert_close(rows, torch.ones_like(rows), rtol=1e-6, atol=1e-6)


def test_a_gate_multiplies_the_mix_that_the_pattern_makes():
    model = kind("gated heads")
    trace = model.run(prompts(), read=["attn_in.1", "gate.1", "v.1", "pattern.1", "head.1"])
    gate = torch.nn.functional.linear(trace["attn_in.1"], model.body.attentions[1].gate_proj.weight)
    torch.testing.assert_close(trace["gate.1"], gate)
    v = trace["v.1"].unflatten(-1, (2, -1)).repeat_interleave(2, dim=2)
    mix = torch.einsum("bhqk,bkhd->bqhd", trace["pattern.1"], v).flatten(2)
    torch.testing.assert_close(trace["head.1"], mix * torch.sigmoid(gate), rtol=1e-6, atol=1e-6)
    closed, opened = (
        model.run(prompts(), read=["head.1"], edits=[Set("gate.1", value=torch.full((32,), to))])["head.1"]
        for to in (-1e4, 1e4)
    )
    assert not closed.any()
    torch.testing.assert_close(opened, mix, rtol=1e-6, atol=1e-6)


def test_a_gate_for_each_head_multiplies_all_of_it():
    mix, gate = torch.arange(1.0, 5), torch.tensor([0.0, 100.0])
    assert torch.allclose(gated(mix, gate, "sigmoid"), torch.tensor([0.5, 1.0, 3.0, 4.0]))
    assert torch.allclose(gated(mix, gate, "silu"), torch.tensor([0.0, 0.0, 300.0, 400.0]))


def test_low_rank_queries_and_values_are_made_of_their_latents():
    model = kind("low-rank keys")
    trace = model.run(prompts(), read=["q_latent.1", "kv_latent.1", "q.1", "v.1"])
    taps = model.body.taps
    for latent, part in (("q_latent.1", "q.1"), ("kv_latent.1", "v.1")):
        tap = taps[Site.parse(part)]
        made = torch.nn.functional.linear(trace[latent], tap.module.weight)[..., tap.columns]
        assert trace[latent].shape[-1] == 16 and torch.allclose(trace[part], made, atol=1e-12)
    without = model.run(prompts(), read=["v.1", "head.1"], edits=[Scale("kv_latent.1", factor=0.0)])
    assert not without["v.1"].any() and not without["head.1"].any()
