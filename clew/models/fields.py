"""Fields of a model's config: which of them its numbers depend on, and which transformers would pass over in silence.

A config.json may hold anything, and transformers keeps what its implementation of the family never reads. Such a model
runs, with other numbers than its makers', and no comparison with the bare module shows it: so fields that name a shape,
the attention, positions, norms, activations or factors are refused where the family's config does not declare them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

Fields = dict[str, Any]

APART = frozenset(
    """
    architectures attention_dropout attention_probs_dropout_prob attention_softmax_in_fp32 attn_implementation
    attn_pdrop attribute_map auto_map base_config_key bos_token_id chunk_size_feed_forward classifier_dropout
    decoder_start_token_id dropout dtype embd_pdrop embedding_dropout eos_token_id flash_attn gradient_checkpointing
    hidden_dropout id2label initializer_range is_decoder is_encoder_decoder label2id layerdrop max_position_embeddings
    max_window_layers model_type n_ctx n_positions name_or_path num_return_sequences output_attentions
    output_hidden_states pad_token_id prefix pretraining_tp problem_type quantization_config resid_pdrop return_dict
    sep_token_id sub_configs summary_activation summary_first_dropout summary_proj_to_labels summary_type
    summary_use_proj task_specific_params tokenizer_class torch_dtype transformers_version unk_token_id use_cache
    use_flash_attention use_flash_attention_2 use_flash_attn vocab_size
    """.split()
)
"""Fields that change no number of a model at rest, or do in no family but those that declare them."""

TAKEN = frozenset(
    """
    activation_function head_dim hidden_act hidden_size intermediate_size layer_norm_eps layer_norm_epsilon n_embd
    n_head n_inner n_layer num_attention_heads num_hidden_layers num_key_value_heads rms_norm_eps rope_parameters
    tie_word_embeddings
    """.split()
)
"""Fields that every record takes from the module, in the families that declare them."""

WORDS = frozenset(
    """
    act activation alibi attention attn bias biases cap clip conv dim embd embed embedding embeddings expert experts ffn
    head heads hidden interleaved intermediate kv layer layernorm layers ln logit logits mlp moe mrope multiplier mup
    norm norms qk qkv residual rmsnorm rope rotary router scalar scale scaling shard shards sliding softcap softcapping
    sparse sparsity theta window
    """.split()
)
"""A field that has one of these words in its name is about the numbers."""

UNSET = (None, False, "", [], {})

SAME = (
    {"hidden_act", "hidden_activation", "activation_function", "activation"},
    {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps"},
    {"hidden_size", "n_embd", "n_embed", "d_model"},
    {"num_attention_heads", "n_head", "n_heads", "num_heads"},
    {"num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_heads"},
    {"num_hidden_layers", "n_layer", "n_layers", "num_layers"},
    {"intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"},
    {"sliding_window", "sliding_window_size", "attention_window_size"},
)
"""Fields that say the same; where one is declared, another may repeat it."""

ROPE = {
    "default": "",
    "linear": "factor",
    "dynamic": "factor",
    "yarn": "factor attention_factor beta_fast beta_slow mscale mscale_all_dim truncate",
    "longrope": "factor attention_factor short_factor long_factor",
    "llama3": "factor low_freq_factor high_freq_factor",
}
"""What transformers reads of each kind of rotation, beside its kind, theta and how long the prompts of training were."""


def unknown_fields(config: Any, understands: Collection[str]) -> Fields:
    """Fields that the family declares, that are not as it has them by default, and that nobody claims to understand."""
    default = _default(config)
    return {
        key: value
        for key, value in _given(config)
        if key in default and key not in APART | TAKEN | {*understands} and value != default[key]
    }


def undeclared_fields(config: Any, understands: Collection[str]) -> Fields:
    """Fields that are set, that the family does not declare, so that its implementation does not read them."""
    declared = _declared(config)
    return {k: v for k, v in _given(config) if k not in declared | APART | {*understands} and v not in UNSET}


def ignored_fields(config: Any, understands: Collection[str], always: Mapping[str, Any]) -> Fields:
    """Those of the undeclared fields that are about the numbers, and say something else than is done.

    Args: always: fields whose value is what the implementation does anyway.
    """
    declared = _declared(config)
    found = {
        key: value
        for key, value in undeclared_fields(config, understands).items()
        if (key in TAKEN or not WORDS.isdisjoint(key.lower().split("_")))
        and key not in always
        and not _says_nothing(key, value)
        and not _repeats(config, declared, key, value)
    }
    contrary = {key: value for key, value in _given(config) if key in always and value not in (always[key], None)}
    return found | contrary | _ignored_of_rope(config, understands)


def _default(config: Any) -> Fields:
    return type(config)().to_dict()


def _declared(config: Any) -> frozenset[str]:
    return frozenset(_default(config)) | frozenset(config.attribute_map or {})


def _given(config: Any) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in config.to_dict().items() if not key.startswith("_"))


def _says_nothing(key: str, value: Any) -> bool:
    """Whether a field is about dropout or about how weights began, or is a factor of 1."""
    words = key.lower().split("_")
    if "dropout" in key or not {"init", "initializer"}.isdisjoint(words):
        return True
    if key == "layer_types":
        return all(kind == "full_attention" for kind in value)
    return value == 1 and value is not True and not {"multiplier", "scale", "scaling", "factor"}.isdisjoint(words)


def _repeats(config: Any, declared: Collection[str], key: str, value: Any) -> bool:
    """Whether another field, which is declared, says the same; the width of a head follows from others."""
    if key == "head_dim":
        return value * config.num_attention_heads == config.hidden_size
    others = [name for group in SAME if key in group for name in group if name in declared]
    return any(getattr(config, name, None) == value for name in others)


def _ignored_of_rope(config: Any, understands: Collection[str]) -> Fields:
    """Of the parameters of the rotation, those that its kind does not read; they may stand by the kind of layer."""
    given: Fields = getattr(config, "rope_parameters", None) or {}
    parts = {k: v for k, v in given.items() if isinstance(v, dict)} or {"": given}
    found: Fields = {}
    for part, parameters in parts.items():
        kind = parameters.get("rope_type", "default")
        if kind not in ROPE:
            continue
        read = {
            "rope_type",
            "type",
            "rope_theta",
            "original_max_position_embeddings",
            *ROPE[kind].split(),
            *understands,
        }
        place = f"rope_parameters.{part}." if part else "rope_parameters."
        found |= {place + k: v for k, v in parameters.items() if k not in read and v not in (None, 1.0)}
    return found
