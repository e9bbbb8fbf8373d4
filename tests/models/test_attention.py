"""The site `pattern`: attention probabilities beside the model's own attention."""

import pytest
import torch

from clew.changes import Scale, Set
from clew.models import EditDidNotFire
from clew.sites import Site, Where
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
