"""Qwen3: Llama's block with norms on queries and keys; the sites q and k are before those norms."""

from typing import Any

from transformers import Qwen3Config, Qwen3ForCausalLM

from clew.models.architecture import Architecture


def tiny() -> Qwen3ForCausalLM:
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_hidden_layers": 3,
    }
    more: dict[str, Any] = {"intermediate_size": 48, "max_position_embeddings": 64, "head_dim": 16}
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=97, **shape, **more))


ARCHITECTURE = Architecture(
    classes=("Qwen3ForCausalLM",),
    tiny=tiny,
    understands=frozenset({"sliding_window", "use_sliding_window", "layer_types", "attention_bias"}),
)
