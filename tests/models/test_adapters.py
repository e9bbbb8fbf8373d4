"""Adapters in a folder: opened in the model that they were made for, refused in words where they do not fit.

PEFT is no part of what the tests install, so a package of its name that does as much of it as is used here stands in.
"""

import json
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from clew.models import open_model
from clew.models.adapters import Adapter, switched
from clew.models.fingerprint import fingerprint, stamp
from tests.models.tiny import module_of, prompts, word_tokenizer

PLACES = ("self_attn.q_proj", "mlp.down_proj")


class LoRA(nn.Module):
    """A linear map with another of rank one beside it."""

    def __init__(self, base):
        super().__init__()
        self.base_layer, self.in_features, self.out_features = base, base.in_features, base.out_features
        self.A, self.B = nn.Parameter(torch.zeros(1, base.in_features)), nn.Parameter(torch.zeros(base.out_features, 1))
        self.active_adapters, self.merged_adapters, self.scaling, self.disable_adapters = ["default"], [], 2.0, False

    @property
    def weight(self):
        return self.base_layer.weight

    def forward(self, x):
        y = self.base_layer(x)
        return y if self.disable_adapters else y + x @ self.A.T @ self.B.T * self.scaling


class PeftModel(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        for layer in base.model.layers:
            for place in PLACES:
                parent, _, name = place.partition(".")
                setattr(getattr(layer, parent), name, LoRA(layer.get_submodule(place)))
        self.active_peft_config = SimpleNamespace(is_prompt_learning=False)

    @classmethod
    def from_pretrained(cls, module, folder):
        made = cls(module)
        made.load_adapter(folder, "default")
        return made

    def load_adapter(self, folder, name):
        held = load_file(f"{folder}/adapter_model.safetensors")
        own = {n for n, _ in self.base.named_parameters() if n.endswith((".A", ".B"))}
        self.base.load_state_dict({n: t for n, t in held.items() if n in own}, strict=False)
        return SimpleNamespace(missing_keys=sorted(own - held.keys()), unexpected_keys=sorted(held.keys() - own))

    def get_base_model(self):
        return self.base


@pytest.fixture(autouse=True)
def peft(tmp_path, monkeypatch):
    """A cache of its own, no network, and the package."""
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setitem(sys.modules, "peft", SimpleNamespace(PeftModel=PeftModel))


def wrapped():
    """A model with an adapter in it that changes what it computes."""
    made, generator = PeftModel(module_of("llama")), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in made.base.named_parameters():
            if name.endswith((".A", ".B")):
                p.copy_(torch.randn(p.shape, generator=generator) * 0.3)
    return made


@pytest.fixture
def folder(tmp_path):
    base = tmp_path / "base"
    module_of("llama").save_pretrained(base)
    word_tokenizer().save_pretrained(base)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    weights = {n: t for n, t in wrapped().base.state_dict().items() if n.endswith((".A", ".B"))}
    save_file(weights, tmp_path / "adapter" / "adapter_model.safetensors")
    return tmp_path / "adapter"


def test_the_adapter_stays_in_layers_of_its_own_and_what_is_computed_is_what_the_package_computes(folder):
    model, module = open_model(folder), wrapped().base.eval()
    with torch.no_grad():
        bare = module(input_ids=prompts(), use_cache=False).logits
    trace = model.run(prompts(), read=model.sites(), record=True)
    assert torch.equal(trace.logits, bare) and len(model.sites()) == len(model.body.taps)
    assert not torch.equal(trace.logits, open_model(folder.parent / "base").run(prompts()).logits)
    assert set(model.body.refused) == {f"weights {part}.{layer}" for part in ("q", "down") for layer in range(3)}
    with pytest.raises(ValueError, match=r"down\.1 .* a LoRA of .* holds it in a form of its own"):
        model.body.linear("down.1")
    assert model.body.linear("out.1").matrix().shape == (32, 32) and model.name == str(folder)
    assert model.tokenizer.vocab_size == word_tokenizer().vocab_size


def test_an_adapter_on_the_unembedding_leaves_no_matrix_that_could_be_taken_for_it():
    module = module_of("llama")
    module.lm_head = LoRA(module.lm_head)
    with pytest.raises(ValueError, match="holds no matrix of its own: .* open the model unquantised, and merged"):
        _ = open_model(module).body.unembedding


def test_an_adapter_that_is_switched_off_is_another_model():
    module = wrapped().base
    told = fingerprint(module), stamp(module)
    for name, value in (("disable_adapters", True), ("scaling", 1.0), ("active_adapters", [])):
        layer = module.model.layers[1].mlp.down_proj
        old = getattr(layer, name)
        setattr(layer, name, value)
        assert fingerprint(module) != told[0] and stamp(module) != told[1]
        setattr(layer, name, old)
    assert (fingerprint(module), stamp(module)) == told
    assert not list(switched(module_of("llama")))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: t | {"model.layers.3.mlp.down_proj.A": torch.ones(1, 48)},
            "holds 1 tensors that have no place in .*base",
        ),
        (lambda t: {n: x for n, x in t.items() if "layers.2.mlp" not in n}, "lacks 2 tensors that its config asks for"),
        (lambda t: {n: x[:, :-1].contiguous() for n, x in t.items()}, "does not fit '.*base': size mismatch for"),
    ],
)
def test_an_adapter_that_was_made_for_another_model_is_refused(folder, change, words):
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)
    with pytest.raises(ValueError, match=words):
        open_model(folder)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{}", r"does not say for which model it is: .* give clew\.open what that returns"),
        ('{"base_model_name_or_path": null}', "does not say for which model it is"),
        ('{"base_model_name_or_path": 3}', "adapter_config.json"),
        ('{"base_model_name_or_path": "/nowhere"}', "holds an adapter of the model '/nowhere', which does not open: "),
        ("{", "adapter_config.json"),
    ],
)
def test_a_config_that_does_not_lead_to_a_model_is_refused(folder, config, words):
    (folder / "adapter_config.json").write_text(config)
    with pytest.raises(ValueError, match=words):
        open_model(folder)


def test_a_config_without_weights_is_refused(folder):
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"holds the config of an adapter and no adapter_model\.safetensors"):
        open_model(folder)


@pytest.mark.parametrize("beside", [False, True])
def test_without_the_package_the_extra_is_named_also_for_an_adapter_beside_a_model(folder, beside, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    if beside:
        module_of("llama").save_pretrained(folder)
    with pytest.raises(ImportError, match=r"holds an adapter, which needs peft: pip install 'clew\[adapters\]'"):
        open_model(folder)


def test_a_folder_with_a_model_of_its_own_and_a_name_are_no_adapters(folder):
    assert Adapter.of(str(folder.parent / "base")) is None and Adapter.of("owner/name") is None
    found = Adapter.of(str(folder))
    assert found is not None and found.base == str(folder.parent / "base") and found.tokenizer is None
