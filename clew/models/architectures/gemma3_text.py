"""Gemma 3 (text): Gemma 2's block with norms on queries and keys and two rotary bases."""

from typing import Any

from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from clew.models.architecture import Architecture
from clew.models.architectures.gemma2 import ARCHITECTURE as GEMMA2


def tiny() -> Gemma3ForCausalLM:
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "num_hidden_layers": 3,
    }
    more: dict[str, Any] = {"intermediate_size": 48, "max_position_embeddings": 64, "head_dim": 16, "sliding_window": 5}
    kinds = ["sliding_attention", "sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(
        Gemma3TextConfig(vocab_size=97, query_pre_attn_scalar=16, layer_types=kinds, **shape, **more)
    )


ARCHITECTURE = Architecture(
    classes=("Gemma3ForCausalLM",),
    tiny=tiny,
    mlp_norm=GEMMA2.mlp_norm,
    attn_write=GEMMA2.attn_write,
    mlp_write=GEMMA2.mlp_write,
    understands=GEMMA2.understands | {"rope_local_base_freq", "sliding_window_pattern", "_sliding_window_pattern"},
)
