"""Mistral: Llama's block with a sliding window."""

from typing import Any

from transformers import MistralConfig, MistralForCausalLM

from clew.models.architecture import Architecture


def tiny() -> MistralForCausalLM:
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_hidden_layers": 3,
    }
    more: dict[str, Any] = {"intermediate_size": 48, "max_position_embeddings": 64, "sliding_window": 5, "head_dim": 8}
    return MistralForCausalLM(MistralConfig(vocab_size=97, **shape, **more))


ARCHITECTURE = Architecture(
    classes=("MistralForCausalLM",), tiny=tiny, understands=frozenset({"sliding_window", "layer_types"})
)
