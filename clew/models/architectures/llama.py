"""Llama and what shares its blocks: SmolLM, Yi, Mistral, Qwen2, Qwen3, OLMo."""

from typing import Any

from transformers import LlamaConfig, LlamaForCausalLM

from clew.models.architecture import Architecture


def tiny() -> LlamaForCausalLM:
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_hidden_layers": 3,
    }
    return LlamaForCausalLM(LlamaConfig(vocab_size=97, intermediate_size=48, max_position_embeddings=64, **shape))


ARCHITECTURE = Architecture(
    classes=("LlamaForCausalLM",),
    tiny=tiny,
    understands=frozenset({"attention_bias", "mlp_bias"}),
)
