"""How a model is loaded: what is handed on to transformers, and what is refused before that."""

import json
import warnings

import pytest
import torch
from transformers import BitsAndBytesConfig

from clew.models import open_model
from clew.models.how import How, named
from tests.models.tiny import module_of, word_tokenizer


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


def test_a_revision_may_stand_behind_the_name():
    assert named("owner/name@step3", None) == named("owner/name", "step3") == ("owner/name", "step3")
    assert named("owner/name", None) == ("owner/name", None)
    with pytest.raises(ValueError, match="names the revision 'step3', and revision='step4' another one"):
        named("owner/name@step3", "step4")


def test_a_folder_with_an_at_in_its_name_is_a_folder(tmp_path):
    (tmp_path / "a@b").mkdir()
    assert named(str(tmp_path / "a@b"), None) == (str(tmp_path / "a@b"), None)


@pytest.mark.parametrize("name", ["smollm2-135m", "a folder", "smollm2-135m@main"])
def test_what_is_one_state_of_a_model_has_no_revision(name, folder):
    given = str(folder) if name == "a folder" else name
    with pytest.raises(ValueError, match="is one state of a model; revision= names one of those on the hub"):
        open_model(given, revision=None if "@" in name else "main")


def test_the_revision_reaches_config_weights_and_tokenizer_and_stays_in_the_name(folder, monkeypatch):
    from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM

    asked = []
    for kind in (AutoConfig, LlamaForCausalLM, AutoTokenizer):
        real = kind.from_pretrained

        def from_hub(name, *, real=real, revision=None, **more):
            asked.append((name, revision))
            return real(str(folder), **more)

        monkeypatch.setattr(kind, "from_pretrained", from_hub)
    assert open_model("owner/name", revision="step3").name == "owner/name@step3"
    asked = [
        (name, revision) for name, revision in asked if name != str(folder)
    ]  # transformers asks itself, further on
    assert asked == [("owner/name", "step3")] * 3


def test_a_name_on_the_hub_that_cannot_be_reached_is_refused_with_its_revision():
    with pytest.raises(ValueError, match="cannot open 'owner/name@step3' as a hub id"):
        open_model("owner/name@step3")


def test_a_module_is_not_loaded_again():
    with pytest.raises(
        ValueError, match=r"the LlamaForCausalLM you hold is loaded already, .* revision= and device_map= go"
    ):
        open_model(module_of(), revision="main", device_map="auto")


def test_a_quantisation_that_transformers_does_not_know_is_refused_in_words(folder):
    with pytest.raises(ValueError, match=r"quantization_config=.*'nonsense'.* is none that transformers knows"):
        open_model(folder, quantization_config={"quant_method": "nonsense"})
    with pytest.raises(ValueError, match="is none that transformers knows"):
        open_model(folder, quantization_config={"load_in_8bit": "perhaps"})


@pytest.mark.parametrize("package", ["bitsandbytes", "torchao", "gptq", "awq"])
def test_a_quantisation_whose_package_is_not_here_names_it_or_opens(folder, package, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_, **__: None)
    given = {"quant_method": package, "load_in_8bit": True, "bits": 4, "quant_type": "int8_weight_only"}
    with warnings.catch_warnings(), pytest.raises((ImportError, ValueError)) as refused:
        warnings.simplefilter("ignore")
        open_model(folder, quantization_config=given)
    assert len(str(refused.value)) < 600


def test_what_goes_wrong_below_in_loading_as_was_asked_is_one_sentence(folder, monkeypatch):
    def broken(*_, **__):
        raise NotImplementedError("no kernel here")

    monkeypatch.setattr("transformers.LlamaForCausalLM.from_pretrained", broken)
    with pytest.raises(
        ValueError, match=r"quantised or spread as was asked for \(NotImplementedError: no kernel here\)"
    ):
        open_model(folder, device_map="auto")
    with pytest.raises(NotImplementedError):
        open_model(folder)
    config = json.loads((folder / "config.json").read_text())
    saved = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    (folder / "config.json").write_text(json.dumps(config | saved))
    with pytest.raises(ValueError, match="as was asked for"):
        open_model(folder)


def test_layers_that_are_quantised_are_loaded_where_they_stay():
    eight = BitsAndBytesConfig(load_in_8bit=True)
    how = How(device=torch.device("cpu"), quantization_config=eight)
    assert not how.moved and how.arguments() == {
        "dtype": "auto",
        "quantization_config": eight,
        "device_map": {"": torch.device("cpu")},
    }
    assert How(device=torch.device("cpu")).moved and How(torch.float16).arguments() == {"dtype": torch.float16}
    with pytest.raises(ValueError, match="give one"):
        How(device=torch.device("cpu"), device_map="auto")


def test_a_map_of_devices_opens_exactly_also_from_disk(folder, tmp_path):
    pytest.importorskip("accelerate")
    plain, spread = open_model(folder), open_model(folder, device_map="cpu")
    tokens = torch.tensor([[3, 5, 6]])
    assert torch.equal(plain.run(tokens).logits, spread.run(tokens).logits)
    assert spread.body.refused == {} and spread.body.fingerprint == plain.body.fingerprint
