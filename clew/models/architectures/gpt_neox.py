"""GPT-NeoX and Pythia: parallel or sequential blocks, one fused projection per head."""

from typing import Any

from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from clew.models.architecture import Architecture, interleaved


def tiny() -> GPTNeoXForCausalLM:
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "intermediate_size": 64,
    }
    return GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=97, max_position_embeddings=64, **shape))


ARCHITECTURE = Architecture(
    classes=("GPTNeoXForCausalLM",),
    tiny=tiny,
    blocks="gpt_neox.layers",
    norm="gpt_neox.final_layer_norm",
    attn="attention",
    output="attention.dense",
    qkv="attention.query_key_value",
    columns=lambda c: interleaved(c.num_attention_heads, c.hidden_size // c.num_attention_heads),
    down="mlp.dense_4h_to_h",
    parallel=lambda c: c.use_parallel_residual,
    understands=frozenset(
        {"use_parallel_residual", "rotary_pct", "rotary_emb_base", "partial_rotary_factor", "attention_bias"}
    ),
)
