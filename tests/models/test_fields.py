"""Fields of configs: as the models of each family are published they pass; what transformers passes over is refused."""

import json
from typing import Any

import pytest
from transformers import PreTrainedConfig

from clew.models import open_model
from clew.models.architecture import architecture_of
from clew.models.fields import ignored_fields, undeclared_fields, unknown_fields
from tests.models.tiny import FAMILIES, module_of, record, word_tokenizer

LLAMA_3 = {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "rope_type": "llama3"}
YARN = {"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"}
PUBLISHED: dict[str, dict[str, Any]] = {
    "gpt2": {"n_ctx": 1024, "summary_use_proj": True, "task_specific_params": {"text-generation": {"do_sample": True}}},
    "gptj": {"rotary": True, "scale_attn_weights": True, "gradient_checkpointing": False},
    "codegen": {"scale_attn_weights": True, "n_ctx": 2048, "gradient_checkpointing": False},
    "gpt_neo": {"embed_dropout": 0, "resid_dropout": 0, "gradient_checkpointing": False},
    "gpt_neox": {"rotary_emb_base": 10000, "rotary_pct": 0.25, "use_parallel_residual": True},
    "bloom": {
        "attention_softmax_in_fp32": True, "bias_dropout_fusion": True, "masked_softmax_fusion": True, "offset_alibi": 100,
        "seq_length": 2048, "skip_bias_add": True, "skip_bias_add_qkv": False, "unk_token_id": 0, "num_attention_heads": 4,
    },
    "opt": {"activation_dropout": 0.0, "output_projection": True, "prefix": "</s>", "init_std": 0.02},
    "falcon": {"auto_map": {"AutoConfig": "x"}, "n_head": 4, "n_layer": 3},
    "llama": {
        "is_llama_config": True, "rope_interleaved": False, "transformers.js_config": {"dtype": "q4"}, "pretraining_tp": 1,
        "rope_scaling": {**LLAMA_3, "original_max_position_embeddings": 8192}, "rope_theta": 500000.0,
    },
    "mistral": {"sliding_window": None, "rope_theta": 1000000.0, "max_window_layers": 28},
    "gemma2": {
        "cache_implementation": "hybrid", "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh",
        "sliding_window": 4096, "sliding_window_size": 4096,
    },
    "gemma3_text": {"_sliding_window_pattern": 6, "use_bidirectional_attention": False, "rope_local_base_freq": 10000.0},
    "olmo": {"clip_qkv": None, "rope_scaling": None, "pretraining_tp": 1},
    "phi": {"partial_rotary_factor": 0.4, "qk_layernorm": False, "rope_scaling": None},
    "qwen2": {"use_mrope": False, "use_sliding_window": False, "sliding_window": 32768, "rope_scaling": YARN},
    "qwen3": {"rope_scaling": None, "use_sliding_window": False, "max_window_layers": 28},
}  # fmt: skip
"""What stands in the config.json of a published model of the family, beside its sizes."""


def config_of(family: str, **fields: Any) -> PreTrainedConfig:
    """The config of the tiny model, read from a config.json that also holds these fields."""
    config = record(family).tiny().config
    held = json.loads(config.to_json_string(use_diff=False))
    if fields.keys() & {"rope_scaling", "rope_theta", "rotary_pct", "partial_rotary_factor"}:
        held.pop("rope_parameters", None)
    return type(config).from_dict(held | fields)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_config_as_it_is_published_passes(family: str) -> None:
    config, known = config_of(family, **PUBLISHED[family]), record(family)
    assert unknown_fields(config, known.understands) == {}
    assert ignored_fields(config, known.understands, known.always) == {}


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("llama", {"rope_interleaved": True}),
        ("llama", {"sliding_window": 4096}),
        ("llama", {"residual_multiplier": 0.22}),
        ("llama", {"layer_types": ["full_attention", "sliding_attention", "full_attention"]}),
        ("gpt2", {"num_key_value_heads": 1}),
        ("gpt2", {"head_dim": 4}),
        ("gpt2", {"rope_theta": 10000.0}),
        ("gptj", {"rotary": False}),
        ("gptj", {"scale_attn_weights": False}),
        ("bloom", {"hidden_act": "relu"}),
        ("gemma2", {"hidden_act": "relu"}),
        ("opt", {"layer_norm_eps": 1e-3}),
        ("qwen2", {"dual_chunk_attention_config": {"chunk_size": 262144}}),
    ],
)
def test_a_field_about_the_numbers_that_the_family_does_not_declare_is_found(
    family: str, fields: dict[str, Any]
) -> None:
    config, known = config_of(family, **fields), record(family)
    assert ignored_fields(config, known.understands, known.always) == fields


@pytest.mark.parametrize(
    "fields", [{"partial_rotary_factor": 0.5}, {"rope_scaling": {"rope_theta": 1e4, "factor": 8.0}}]
)
def test_what_the_kind_of_rotation_does_not_read_is_found_too(fields: dict[str, Any]) -> None:
    known = record("llama")
    ((name, value),) = ignored_fields(config_of("llama", **fields), known.understands, known.always).items()
    assert (name, value) in {("rope_parameters.partial_rotary_factor", 0.5), ("rope_parameters.factor", 8.0)}


def test_what_repeats_or_says_nothing_is_let_be() -> None:
    fields = {
        "head_dim": 8,
        "hidden_act": "gelu_new",
        "n_heads": 4,
        "logit_scale": 1.0,
        "mlp_dropout": 0.1,
        "note": "mine",
    }
    config, known = config_of("gpt2", **fields), record("gpt2")
    assert ignored_fields(config, known.understands, known.always) == {}
    assert undeclared_fields(config, known.understands) == fields


def test_codegen_2_is_refused_for_what_it_is() -> None:
    module = module_of("codegen")
    module.config.head_dim = 8
    with pytest.raises(ValueError, match=r"sets head_dim=8: it is CodeGen2, whose .* lie in eight shards"):
        architecture_of(module)


def test_a_folder_with_such_a_field_does_not_open(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path / "cache"))
    module_of("llama").save_pretrained(tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"rope_interleaved": True}))
    with pytest.raises(ValueError, match=r"rope_interleaved=True, which transformers does not read in this family"):
        open_model(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"is_llama_config": True}))
    assert open_model(tmp_path / "model").body.refused == {}
