"""Gemma 2: norms after attention and MLP too, so that the writes are what those norms put out."""

from typing import Any

from transformers import Gemma2Config, Gemma2ForCausalLM

from clew.models.architecture import Architecture


def tiny() -> Gemma2ForCausalLM:
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_hidden_layers": 3,
    }
    more: dict[str, Any] = {"intermediate_size": 48, "max_position_embeddings": 64, "head_dim": 16, "sliding_window": 5}
    return Gemma2ForCausalLM(Gemma2Config(vocab_size=97, query_pre_attn_scalar=16, **shape, **more))


ARCHITECTURE = Architecture(
    classes=("Gemma2ForCausalLM",),
    tiny=tiny,
    mlp_norm="pre_feedforward_layernorm",
    attn_write="post_attention_layernorm",
    mlp_write="post_feedforward_layernorm",
    understands=frozenset(
        {
            "sliding_window",
            "layer_types",
            "query_pre_attn_scalar",
            "final_logit_softcapping",
            "attn_logit_softcapping",
            "hidden_activation",
            "attention_bias",
            "use_bidirectional_attention",
        }
    ),
)
