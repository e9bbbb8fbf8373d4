"""OPT: the MLP is two bare projections in the block, and it sees batch and sequence flattened."""

from typing import Any

from transformers import OPTConfig, OPTForCausalLM

from clew.models.architecture import Architecture


def tiny() -> OPTForCausalLM:
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "ffn_dim": 48,
        "word_embed_proj_dim": 32,
    }
    return OPTForCausalLM(OPTConfig(vocab_size=97, max_position_embeddings=64, **shape))


ARCHITECTURE = Architecture(
    classes=("OPTForCausalLM",),
    tiny=tiny,
    attn_norm="self_attn_layer_norm",
    mlp_norm="final_layer_norm",
    blocks="model.decoder.layers",
    norm="model.decoder.final_layer_norm",
    output="self_attn.out_proj",
    mlp="fc1",
    mlp_write="fc2",
    down="fc2",
    understands=frozenset({"ffn_dim", "word_embed_proj_dim", "enable_bias", "layer_norm_elementwise_affine"}),
)
