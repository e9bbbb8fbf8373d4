"""Opening: what can be opened opens; all else is refused in words."""

import json
import warnings
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    LlamaConfig,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    T5Config,
    XLNetConfig,
    XLNetLMHeadModel,
)

from clew.changes import Update
from clew.models import open_model
from clew.models.fingerprint import fingerprint
from clew.models.open import _finite
from tests.models.tiny import model_of, module_of, prompts, sharp, word_tokenizer


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
    monkeypatch.setattr("clew.models.how.AutoConfig.from_pretrained", lambda _: pytest.fail("the hub was asked first"))
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
    ("data", "words"), [(b"PK\x03\x04zip", "not a GGUF file"), (b"GGUF\x03\x00\x00\x00", "not a whole GGUF")]
)
def test_a_file_that_is_no_whole_gguf_is_refused_every_time(tmp_path, data, words):
    pytest.importorskip("gguf")
    (tmp_path / "a.gguf").write_bytes(data)
    for _ in range(2):
        with pytest.raises(ValueError, match=words):
            open_model(tmp_path / "a.gguf")
    with pytest.raises(ValueError, match="there is no file"):
        open_model(tmp_path / "b.gguf")


def test_weights_of_8_bits_in_which_torch_cannot_tell_numbers_are_looked_at():
    eight = torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn)
    assert bool(_finite(eight).all()) and not bool(_finite(torch.tensor([float("nan")]).to(torch.float8_e4m3fn)).any())


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
    small = XLNetConfig(vocab_size=97, d_model=8, n_layer=1, n_head=1, d_inner=8)
    with pytest.raises(ValueError, match="'xlnet', which has no architecture record"):
        open_model(XLNetLMHeadModel(small))


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


class Wrapper(torch.nn.Module):
    """As PEFT's: the model in whose layers the adapters are, and what they are."""

    def __init__(self, module, **adapter):
        super().__init__()
        self.inside, self.peft_config = module, {"default": SimpleNamespace(**adapter)}

    def get_base_model(self):
        return self.inside


def compiled(module):
    return torch.compile(module, backend="eager")


@pytest.mark.parametrize("wrap", [compiled, torch.nn.DataParallel, Wrapper, lambda m: compiled(Wrapper(m))])
def test_what_wraps_a_model_is_opened_as_the_model_inside(wrap):
    module = module_of("llama")
    model = open_model(wrap(module))
    assert model.body.module is module and model.body.refused == {}


def test_a_module_that_is_compiled_runs_uncompiled_while_it_is_read_and_is_compiled_again_afterwards():
    calls = []

    def backend(graph, inputs):
        calls.append(1)
        return graph.forward

    module = module_of("llama")
    module.compile(backend=backend)
    module.model.layers[1] = torch.compile(module.model.layers[1], backend=backend)
    model = open_model(module)
    assert {key.partition(" ")[0] for key in model.body.refused} <= {
        "weights"
    }  # of the layer whose names are not its own
    plain = model_of("llama").run(prompts(), read=["neuron.1"])
    trace = model.run(prompts(), read=["neuron.1"])
    assert torch.equal(trace.logits, plain.logits) and torch.equal(trace["neuron.1"], plain["neuron.1"])
    assert not calls and module._compiled_call_impl is not None


def test_a_forward_that_is_compiled_runs_uncompiled_also_in_a_model_with_a_changed_weight():
    module = module_of("llama")
    module.forward = own = torch.compile(module.forward, backend="eager")
    model = open_model(module)
    assert model.body.refused == {}
    update = Update("down.1", left=torch.ones(32, 1), right=torch.ones(1, 48))
    changed, plain = (m.edited(update).run(prompts()).logits for m in (model, model_of("llama")))
    assert torch.equal(changed, plain) and not torch.equal(changed, model.run(prompts()).logits)
    assert module.forward is own


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (torch.nn.Linear(2, 2), "a Linear is no transformers model"),
        (Wrapper(torch.nn.Linear(2, 2)), "a Linear is no transformers model"),
        (Wrapper(module_of("llama"), is_prompt_learning=True), "puts prompts of its own before each input"),
    ],
)
def test_a_module_that_is_no_transformers_model_is_refused_in_words(module, words):
    with pytest.raises(ValueError, match=words):
        open_model(module)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (T5Config(architectures=["T5ForPoetry"]), r"is a T5ForPoetry \(t5\), which is no model of transformers"),
        (BertConfig(architectures=["PreTrainedConfig"]), r"is a PreTrainedConfig \(bert\), which is no model of"),
        (LlamaConfig(residual_multiplier=0.2), "sets residual_multiplier=0.2"),
    ],
)
def test_a_folder_of_another_kind_is_refused_before_its_weights_are_read(tmp_path, monkeypatch, config, words):
    monkeypatch.setattr(PreTrainedModel, "from_pretrained", lambda *_, **__: pytest.fail("read"))
    config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=words) as refused:
        open_model(tmp_path)
    assert len(str(refused.value)) < 600


def quantised(module):
    """Linear layers with weights of 8 bits, of torch's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}, dtype=torch.qint8)


def test_quantised_layers_open_with_their_sites_and_refuse_what_needs_their_weights():
    module, other = quantised(module_of("llama")), quantised(module_of("llama"))
    model = open_model(module)
    lost = {
        key.partition(" ")[0] for key in model.body.refused
    }  # a batch shares one scale, so that rows depend on each other
    assert {"weights", "gradients"} <= lost <= {"weights", "gradients", "padding", "cache"}
    with torch.no_grad():
        bare = module(input_ids=prompts(), use_cache=False).logits
    trace = model.run(prompts(), read=model.sites(), record=True)
    assert torch.equal(trace.logits, bare) and len(model.sites()) == len(model.body.taps)
    assert torch.equal(model.run(prompts(), base=trace, read=["resid.1"]).logits, bare)
    with pytest.raises(ValueError, match=r"not what its address says.*down\.1"):
        model.body.linear("down.1")
    with pytest.raises(ValueError, match="Gradients get lost in a layer of this model, so they are not taken"):
        model.run(prompts(), read=["resid.0"], grad=True)
    with pytest.raises(ValueError, match="holds no matrix of its own: a Linear of torch .* open the model unquantised"):
        _ = model.body.unembedding
    again = fingerprint(other)
    assert model.body.fingerprint == again
    other.lm_head = quantised(torch.nn.Sequential(torch.nn.Linear(32, 97, bias=False)))[0]
    assert fingerprint(other) != again


class Parts(torch.Tensor):
    """A tensor of two others, as torchao's are: no memory of its own."""

    @staticmethod
    def __new__(cls, whole, scale):
        return torch.Tensor._make_wrapper_subclass(cls, whole.shape, dtype=scale.dtype)

    def __init__(self, whole, scale):
        self.whole, self.scale, self.how = whole, scale, "weights alone"

    def __tensor_flatten__(self):
        return ["whole", "scale"], self.how

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return cls(args[0].whole, args[0].scale)
        plain = [a.whole.to(a.scale.dtype) * a.scale if isinstance(a, cls) else a for a in args]
        if func in (torch.ops.aten.isfinite.default, torch.ops.aten.clone.default):
            raise NotImplementedError(f"{func} of it")
        return func(*plain, **(kwargs or {}))


def test_a_model_whose_weights_are_tensors_of_parts_opens():
    module = module_of("llama")
    for layer in module.model.layers:
        weight = layer.mlp.down_proj.weight.detach()
        scale = weight.abs().amax(1, keepdim=True) / 127
        whole = (weight / scale).round().to(torch.int8)
        layer.mlp.down_proj.weight = torch.nn.Parameter(Parts(whole, scale), requires_grad=False)
    model = open_model(module)
    assert set(model.body.refused) == {f"weights down.{i}" for i in range(3)}
    first = model.body.fingerprint
    with pytest.raises(ValueError, match=r"down_proj' .* neither edited nor taken out: it is quantised, a Parts"):
        model.body.linear("model.layers.0.mlp.down_proj")
    assert torch.equal(model.run(prompts(), read=model.sites()).logits, model.run(prompts()).logits)
    odd = module.model.layers[1].mlp.down_proj.weight
    odd.how = "activations too"  # as torchao's do, with the same numbers in them
    assert model.body.fingerprint != first
    odd.how = "weights alone"
    assert model.body.fingerprint == first
    odd.whole[0, 0] += 1
    assert model.body.fingerprint != first


def test_a_projected_embedding_refuses_what_reads_the_unembedding_alone():
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "ffn_dim": 48, "vocab_size": 97}
    model = open_model(sharp(OPTForCausalLM(OPTConfig(**shape, word_embed_proj_dim=16, max_position_embeddings=64))))
    assert set(model.body.refused) == {"final final"}
    with pytest.raises(ValueError, match="The site final is not what the unembedding reads"):
        model.run(prompts(), read=["final"])
    assert model.run(prompts(), read=model.sites()).logits is not None
