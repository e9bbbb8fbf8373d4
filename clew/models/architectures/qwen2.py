"""Qwen2: Llama's block with biases on queries, keys and values."""

from typing import Any

from transformers import Qwen2Config, Qwen2ForCausalLM

from clew.models.architecture import Architecture


def tiny() -> Qwen2ForCausalLM:
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_hidden_layers": 3,
    }
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=97, intermediate_size=48, max_position_embeddings=64, **shape))


ARCHITECTURE = Architecture(
    classes=("Qwen2ForCausalLM",),
    tiny=tiny,
    understands=frozenset({"sliding_window", "use_sliding_window", "layer_types"}),
)
