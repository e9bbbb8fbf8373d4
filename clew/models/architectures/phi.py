"""Phi: attention and MLP in parallel on one norm, part of each head rotated."""

from typing import Any

from transformers import PhiConfig, PhiForCausalLM

from clew.models.architecture import Architecture


def tiny() -> PhiForCausalLM:
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "intermediate_size": 48,
    }
    return PhiForCausalLM(PhiConfig(vocab_size=97, max_position_embeddings=64, **shape))


ARCHITECTURE = Architecture(
    classes=("PhiForCausalLM",),
    tiny=tiny,
    mlp_norm="input_layernorm",
    norm="model.final_layernorm",
    output="self_attn.dense",
    down="mlp.fc2",
    parallel=lambda c: True,
    understands=frozenset({"partial_rotary_factor", "qk_layernorm"}),
)
