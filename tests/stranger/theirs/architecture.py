"""A family of their own: Llama under another name."""

from transformers import LlamaConfig, LlamaForCausalLM

from clew.models.architecture import Architecture


class StrangeConfig(LlamaConfig):
    model_type = "strange"


class StrangeForCausalLM(LlamaForCausalLM):
    config_class = StrangeConfig


def tiny() -> StrangeForCausalLM:
    """Three layers."""
    shape = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3}
    config = StrangeConfig(vocab_size=97, intermediate_size=48, max_position_embeddings=64, **shape)
    return StrangeForCausalLM(config)


ARCHITECTURE = Architecture(classes=("StrangeForCausalLM",), tiny=tiny)
