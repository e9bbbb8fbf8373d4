"""GPT-Neo: local and global attention in turn, unscaled scores."""

from typing import Any

from transformers import GPTNeoConfig, GPTNeoForCausalLM

from clew.models.architecture import Architecture


def tiny() -> GPTNeoForCausalLM:
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_heads": 4,
        "num_layers": 3,
        "attention_types": [[["global", "local", "global"], 1]],
    }
    return GPTNeoForCausalLM(GPTNeoConfig(vocab_size=97, max_position_embeddings=64, window_size=4, **shape))


ARCHITECTURE = Architecture(
    classes=("GPTNeoForCausalLM",),
    tiny=tiny,
    attn_norm="ln_1",
    mlp_norm="ln_2",
    blocks="transformer.h",
    norm="transformer.ln_f",
    attn="attn",
    output="attn.attention.out_proj",
    qkv=("attn.attention.q_proj", "attn.attention.k_proj", "attn.attention.v_proj"),
    pattern="attn.attention.attn_dropout",
    down="mlp.c_proj",
    heads=lambda c: (c.num_heads, c.num_heads),
    understands=frozenset({"attention_types", "attention_layers", "window_size", "num_heads", "num_layers"}),
)
