"""A family without a record opens by what is inferred, which is kept for the same weights; nothing else changes."""

import pytest
import torch
from transformers import Starcoder2Config, Starcoder2ForCausalLM

import clew
from clew.changes import Update
from clew.models.body import Body
from clew.models.inference import kept
from clew.models.inference.kept import kept_layout, known_layout
from tests.models.tiny import module_of, prompts, record, sharp


def unlisted(**more):
    """A model of a family that nobody wrote a record for."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3}
    more = {"intermediate_size": 48, "vocab_size": 97, "bos_token_id": 0, "eos_token_id": 0} | more
    return sharp(Starcoder2ForCausalLM(Starcoder2Config(**shape, **more)))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path))
    return tmp_path / "inferred"


def refusing(module):
    raise AssertionError("inferred again")


def test_a_family_without_a_record_opens_with_every_promise_and_to_the_bit():
    module = unlisted()
    model = clew.open(module)
    assert model.body.refused == {} and (model.body.n_heads, model.body.n_kv_heads) == (4, 2)
    with torch.no_grad():
        bare = module(input_ids=prompts(), use_cache=False).logits
    assert torch.equal(model.run(prompts(), read=model.sites()).logits, bare)


def test_it_is_inferred_once(cache, monkeypatch):
    first = kept_layout(unlisted(), lambda: "weights")
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(kept, "infer", refusing)
    assert kept_layout(unlisted(), lambda: "weights") == first


@pytest.mark.parametrize("change", [lambda text: text[:-9], lambda text: text.replace('"after": 0', '"after": true')])
def test_what_is_damaged_is_inferred_anew(cache, change):
    Body(unlisted(), None, "m")
    (path,) = cache.iterdir()
    whole = path.read_text()
    path.write_text(change(whole))
    Body(unlisted(), None, "m")
    assert path.read_text() == whole != change(whole)


def test_what_hooks_of_others_make_of_a_model_is_not_kept(cache):
    module = unlisted()
    module.model.layers[0].mlp.register_forward_hook(lambda m, args, output: 2 * output)
    Body(module, None, "m")
    assert not cache.exists() or not list(cache.iterdir())


def test_a_model_with_other_weights_keeps_the_record_even_where_these_write_nothing(monkeypatch):
    body = Body(unlisted(), None, "m")
    monkeypatch.setattr(kept, "infer", refusing)
    matrix = body.linear("out.0").matrix()
    twin = body.updated([Update("out.0", left=-matrix)])
    assert twin.layout is body.layout


def test_a_written_record_comes_first(monkeypatch):
    monkeypatch.setattr(kept, "infer", refusing)
    module = module_of("llama")
    assert known_layout(module, lambda: "weights") == record("llama").layout(module)


def test_what_cannot_be_inferred_is_said_with_the_way_to_add_a_record():
    module = unlisted()
    for block in module.model.layers:
        torch.nn.init.zeros_(block.mlp.c_proj.weight)
        torch.nn.init.zeros_(block.mlp.c_proj.bias)
    why = r"'starcoder2', which has no .*record, and none could be inferred: .*c_proj gives nothing but zeros.*docs/extend"
    with pytest.raises(ValueError, match=why):
        Body(module, None, "m")


def test_a_model_that_is_not_built_as_we_expect_is_refused_and_does_not_crash(monkeypatch):
    def odd(module):
        raise KeyError("what")

    monkeypatch.setattr(kept, "infer", odd)
    with pytest.raises(ValueError, match="none could be inferred: KeyError, 'what'"):
        Body(unlisted(), None, "m")


def test_a_field_that_the_source_of_the_family_does_not_name_is_refused():
    module = unlisted()
    module.config.attention_multiplier = 0.3
    with pytest.raises(ValueError, match=r"sets attention_multiplier=0\.3, which transformers does not read"):
        Body(module, None, "m")
    module.config.sliding_window = 4  # which it does name
    del module.config.attention_multiplier
    assert Body(module, None, "m").n_layers == 3
