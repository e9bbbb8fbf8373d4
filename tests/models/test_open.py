"""Opening: what can be opened opens; all else is refused in words."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertLMHeadModel

from clew.models import open_model
from tests.models.tiny import model_of, module_of, prompts, word_tokenizer


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    """A cache of its own, and no network."""
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tmp_path):
    module_of("llama").save_pretrained(tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_opens_as_the_model_that_was_saved(folder):
    model = open_model(folder)
    assert torch.equal(model.run(prompts()).logits, model_of("llama").run(prompts()).logits)
    assert model.generate("the nurse", max_new_tokens=2).texts[0].startswith("the nurse")
    assert model.name == str(folder) and model.body.refused == {}
    assert open_model(str(folder), dtype=torch.bfloat16).body.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("word", "dtype"),
    [("bf16", torch.bfloat16), ("torch.bfloat16", torch.bfloat16), ("half", torch.float16), ("FP64", torch.float64)],
)
def test_a_dtype_may_be_said_in_a_word(folder, word, dtype):
    assert open_model(folder, dtype=word).body.dtype == dtype


def test_a_device_that_is_not_here_is_named(folder):
    absent = "mps" if torch.cuda.is_available() else "cuda:1"
    with pytest.raises(ValueError, match=f"there is no device '{absent}' on this machine; leave it out"):
        open_model(folder, device=absent)
    assert open_model(folder, device="cpu").device.type == "cpu"


def test_a_module_opens_untouched_and_says_when_it_has_no_tokenizer():
    module = module_of("gpt2")
    before = {name: p.clone() for name, p in module.state_dict().items()}
    model = open_model(module)
    assert model.body.module is module
    assert all(torch.equal(before[name], p) for name, p in module.state_dict().items())
    with pytest.raises(ValueError, match=r"without a tokenizer; pass clew\.open\(module, tokenizer=\.\.\.\)"):
        model.run("the nurse")
    assert open_model(module, tokenizer=word_tokenizer()).run("the nurse").tokens.tolist() == [[3, 5]]


def test_a_folder_without_a_tokenizer_opens_when_one_is_given(folder):
    for path in folder.glob("token*"):
        path.unlink()
    with pytest.raises(ValueError, match="pass tokenizer="):
        open_model(folder)
    assert open_model(folder, tokenizer=word_tokenizer()).tokens("the")[0].tolist() == [[3]]


@pytest.mark.parametrize("name", ["smollm2-135", "smollm2_135m"])
def test_an_unknown_name_lists_near_ones(name, monkeypatch):
    monkeypatch.setattr("clew.models.open.AutoConfig.from_pretrained", lambda _: pytest.fail("the hub was asked first"))
    with pytest.raises(ValueError, match=f"'{name}' is no model; did you mean 'smollm2-135m'"):
        open_model(name)


@pytest.mark.parametrize("name", ["/no/such/folder", "./nowhere", "a/b/c"])
def test_a_path_that_is_not_there_is_no_hub_id(name):
    with pytest.raises(ValueError, match="neither a transformers folder nor"):
        open_model(name)


def test_a_folder_without_config_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no config\.json"):
        open_model(tmp_path)


@pytest.mark.parametrize(
    ("data", "words"), [(b"PK\x03\x04zip", "not a GGUF file"), (b"GGUF\x03\x00\x00\x00", "cut short")]
)
def test_a_file_that_is_no_whole_gguf_is_refused_every_time(tmp_path, data, words):
    pytest.importorskip("gguf")
    (tmp_path / "a.gguf").write_bytes(data)
    for _ in range(2):
        with pytest.raises(ValueError, match=words):
            open_model(tmp_path / "a.gguf")
    with pytest.raises(ValueError, match="there is no file"):
        open_model(tmp_path / "b.gguf")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_naming_the_tensor(value):
    module = module_of("llama")
    with torch.no_grad():
        module.model.layers[1].mlp.up_proj.weight[3, 4] = value
    with pytest.raises(ValueError, match=r"first in 'model\.layers\.1\.mlp\.up_proj\.weight'"):
        open_model(module)


def test_a_checkpoint_that_lacks_a_tensor_is_refused_naming_it(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 tensors.*first 'model\.layers\.1\.mlp\.up_proj\.weight'"):
        open_model(folder)


def test_a_checkpoint_cut_short_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged or cut short"):
        open_model(folder)


def test_a_family_without_a_record_is_refused():
    small = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    with pytest.raises(ValueError, match="'bert', which has no architecture record"):
        open_model(BertLMHeadModel(small))


def test_a_model_type_that_transformers_does_not_know_is_refused(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    with pytest.raises(ValueError, match="nonsense"):
        open_model(folder)


def test_a_config_field_nobody_understands_is_refused_by_name(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"residual_multiplier": 0.2}))
    with pytest.raises(ValueError, match=r"residual_multiplier=0\.2"):
        open_model(folder)


def test_what_selfcheck_finds_broken_is_refused_later_by_name():
    module = module_of("llama")
    module.model.layers[1].register_forward_hook(lambda m, args, output: 1.5 * output)
    model = open_model(module)
    with pytest.raises(ValueError, match="not what joins the stream"):
        model.run(prompts(), read=["mlp.1"])
    assert model.run(prompts(), read=["resid.1"]).logits is not None


def test_a_planted_model_says_where_it_is():
    with pytest.raises(ValueError, match=r"comes with its behaviour and its circuit: clew.data.planted.ioi\(\).model"):
        open_model("planted/ioi")
