"""What is known of a module: its sites, widths, norms and weights, and a hash of what it is."""

import pytest
import torch

from clew.changes import Update
from clew.models.body import NEEDS, Body
from clew.sites import PARTS, Site
from tests.models.kinds import kind
from tests.models.tiny import FAMILIES, model_of, module_of, prompts, word_tokenizer


def body_of(family: str = "llama") -> Body:
    return model_of(family).body


def test_an_address_of_a_site_is_the_site_and_a_wrong_one_says_what_there_is():
    body = body_of()
    assert body.site("resid.1") == body.site(Site("resid", 1)) == Site("resid", 1)
    with pytest.raises(ValueError, match=r"'resid\.3' is not a site of tiny llama \(3 layers: resid\.0 to resid\.2\)"):
        body.site("resid.3")
    with pytest.raises(ValueError, match=r"tiny falcon has no site 'pattern\.0': no probabilities are seen"):
        body_of("falcon").site("pattern.0")


def test_a_site_that_was_not_found_says_why():
    body = kind("low-rank keys").body
    with pytest.raises(
        ValueError, match=r"has no site 'k\.1': the keys of model\.layers\.1 come from no one linear map"
    ):
        body.site("k.1")
    with pytest.raises(ValueError, match=r"has no site 'neuron\.1': .* whose units are 'expert_neuron\.1'"):
        body.site("neuron.1")
    with pytest.raises(ValueError, match=r"block 1 of low-rank keys has no linear map 'down\.1'"):
        body.linear("down.1")
    with pytest.raises(ValueError, match=r"'mixer\.1' is not a site of convolutions \(3 layers: mixer in \[0, 2\]\)"):
        kind("convolutions").body.site("mixer.1")


OTHERS = ("cross", "cross_head", "cross_pattern", "mixer", "expert_neuron", "expert", "shared", "shared_neuron")
"""Parts that a Llama does not have."""


@pytest.mark.parametrize("part", [part for part in PARTS if part in NEEDS and part not in OTHERS])
def test_a_site_whose_promise_does_not_hold_is_refused_in_the_words_of_the_check(part):
    body = body_of()
    site = part if part == "final" else f"{part}.1"
    body.refused[NEEDS[part]] = "it is not so"
    with pytest.raises(ValueError, match=r"tiny llama: it is not so \(`clew check` shows what was measured\)"):
        body.site(site)
    assert body.site("resid.1")


def test_nothing_of_a_module_that_does_not_run_the_same_can_be_addressed():
    body = body_of()
    body.refused["exact"] = "two runs differ"
    for part in ("resid.1", "mlp.1"):
        with pytest.raises(ValueError, match="two runs differ"):
            body.site(part)


@pytest.mark.parametrize("family", FAMILIES)
def test_widths_are_those_of_what_flows(family):
    model = model_of(family)
    read = [site for site in model.sites() if site.part != "pattern"]
    trace = model.run(prompts(), read=read)
    assert model.body.widths == {site: trace[site].shape[-1] for site in read}
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.body.module.modules())


def test_what_is_looked_up_in_a_run_is_looked_up_once(monkeypatch):
    body = body_of()
    assert body.block_returns_tuple is isinstance(body.blocks[0](torch.zeros(1, 1, 32), **rotary(body)), tuple)
    monkeypatch.setattr(body.module, "forward", lambda **given: pytest.fail("looked again"))
    assert body.widths[Site("neuron", 1)] == 48 and body.block_returns_tuple is not None


def rotary(body: Body) -> dict:
    x, positions = torch.zeros(1, 1, 32), torch.zeros(1, 1, dtype=torch.long)
    return {"position_embeddings": body.module.model.rotary_emb(x, positions)}


def test_heads_layers_and_the_vocabulary_by_hand():
    body = body_of()
    assert (body.n_layers, body.n_heads, body.n_kv_heads, body.parallel) == (3, 4, 2, False)
    assert body.vocabulary == 97 and body.unembedding.shape == (97, 32)
    assert body.unembedding.data_ptr() == body.module.lm_head.weight.data_ptr() and not body.unembedding.requires_grad
    assert body_of("gptj").parallel and len(body.attentions) == 3
    assert body.attentions[1] is body.module.model.layers[1].self_attn


def test_norms_stand_before_and_in_some_families_after_attention_and_mlp():
    llama, gemma = body_of().module.model.layers[1], body_of("gemma2").module.model.layers[1]
    body = body_of()
    assert type(body.norm_before("attn", 1)) is type(llama.input_layernorm)
    assert body.norm_before("mlp", 1) is body.blocks[1].post_attention_layernorm
    assert body.after("out", 1).nothing and body.after("down", 1).nothing
    other = body_of("gemma2")
    assert other.norm_before("mlp", 1) is other.blocks[1].pre_feedforward_layernorm
    assert other.after("out", 1).norm is other.blocks[1].post_attention_layernorm
    assert other.after("down", 1).norm is other.blocks[1].post_feedforward_layernorm
    assert type(other.after("down", 1).norm) is type(gemma.post_feedforward_layernorm)


def test_a_padded_batch_gets_a_mask_and_positions_that_count_from_the_first_real_token():
    real = torch.tensor([[False, False, True, True], [True, True, True, True]])
    found = body_of().mask_arguments(real, real.long())
    assert found["attention_mask"].tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    assert found["position_ids"].tolist() == [[0, 0, 0, 1], [0, 1, 2, 3]]
    assert set(body_of("bloom").mask_arguments(real, real.long())) == {
        "attention_mask"
    }  # it has no positions to be told
    assert body_of().mask_arguments(real[1:], real[1:].long()) == {}


def test_without_a_tokenizer_text_is_refused_and_with_one_it_is_padded_on_the_left():
    body = body_of()
    assert body.tokenizer is body._tokenizer
    ids, real = body.tokens(["the nurse", "the"])
    assert ids.tolist() == [[3, 5], [0, 3]] and real.tolist() == [[True, True], [False, True]]
    with pytest.raises(ValueError, match="no prompts were given"):
        body.tokens([])
    with pytest.raises(ValueError, match=r"bare was opened without a tokenizer; pass clew\.open"):
        Body(module_of(), None, "bare").tokens(["the"])


def test_an_updated_body_is_another_with_the_same_refusals():
    body = body_of()
    body.refused["padding"] = "no"
    twin = body.updated([Update("down.1", left=torch.ones(32, 48))])
    assert twin.refused == body.refused and twin.refused is not body.refused
    assert twin.tokenizer is body.tokenizer and twin.name == body.name
    assert not torch.equal(twin.linear("down.1").matrix(), body.linear("down.1").matrix())
    body.refused["weights"] = "no map holds"
    for work in (lambda: body.linear("down.1"), lambda: body.updated([])):
        with pytest.raises(ValueError, match="no map holds"):
            work()


def test_a_module_that_is_not_built_as_its_record_says_is_refused_by_name():
    module = module_of()
    del module.model.layers[1].mlp.down_proj
    with pytest.raises(ValueError, match="this 'llama' model is not built as its architecture record says"):
        Body(module, word_tokenizer(), "odd")


def test_the_same_weights_under_another_config_are_another_model():
    one, other, elsewhere = (Body(module_of(), None, "x") for _ in range(3))
    other.module.config.rms_norm_eps = 1e-3
    elsewhere.module.config._name_or_path = "/another/place"
    assert one.config_hash == elsewhere.config_hash != other.config_hash and one.fingerprint == other.fingerprint
