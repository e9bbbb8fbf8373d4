"""OLMo: Llama's block with norms that have no weights; queries, keys and values may be clipped after their sites."""

from typing import Any

from transformers import OlmoConfig, OlmoForCausalLM

from clew.models.architecture import Architecture


def tiny() -> OlmoForCausalLM:
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_hidden_layers": 3,
    }
    return OlmoForCausalLM(OlmoConfig(vocab_size=97, intermediate_size=48, max_position_embeddings=64, **shape))


ARCHITECTURE = Architecture(
    classes=("OlmoForCausalLM",), tiny=tiny, understands=frozenset({"attention_bias", "clip_qkv"})
)
