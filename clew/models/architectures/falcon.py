"""Falcon: parallel or sequential blocks; one key-value head, several, or one per head, in one fused projection."""

from collections.abc import Callable

import torch
from transformers import FalconConfig, FalconForCausalLM

from clew.models.architecture import Architecture, Columns, interleaved


def heads(config: FalconConfig) -> tuple[int, int]:
    if config.new_decoder_architecture:
        return config.num_attention_heads, config.num_kv_heads or config.num_attention_heads
    return config.num_attention_heads, 1 if config.multi_query else config.num_attention_heads


def columns(config: FalconConfig) -> Columns:
    n_heads, n_kv = heads(config)
    d_head = config.hidden_size // n_heads
    if n_kv == n_heads and not config.new_decoder_architecture:
        return interleaved(n_heads, d_head)
    group = torch.arange((n_heads + 2 * n_kv) * d_head).view(n_kv, n_heads // n_kv + 2, d_head)
    return {"q": group[:, :-2].reshape(-1), "k": group[:, -2].reshape(-1), "v": group[:, -1].reshape(-1)}


def norms(reader: str) -> Callable[[FalconConfig], str]:
    """The norm before the attention or the MLP: one each, or one for both."""

    def of(config: FalconConfig) -> str:
        if config.new_decoder_architecture and config.num_ln_in_parallel_attn != 1:
            return f"ln_{reader}"
        shared = reader == "attn" or config.new_decoder_architecture or config.parallel_attn
        return "input_layernorm" if shared else "post_attention_layernorm"

    return of


def tiny() -> FalconForCausalLM:
    return FalconForCausalLM(FalconConfig(vocab_size=97, hidden_size=32, num_attention_heads=4, num_hidden_layers=3))


ARCHITECTURE = Architecture(
    classes=("FalconForCausalLM",),
    tiny=tiny,
    attn_norm=norms("attn"),
    mlp_norm=norms("mlp"),
    blocks="transformer.h",
    norm="transformer.ln_f",
    attn="self_attention",
    output="self_attention.dense",
    qkv="self_attention.query_key_value",
    columns=columns,
    pattern="",
    down="mlp.dense_4h_to_h",
    heads=heads,
    parallel=lambda c: c.new_decoder_architecture or c.parallel_attn,
    understands=frozenset(
        {
            "new_decoder_architecture",
            "multi_query",
            "parallel_attn",
            "num_kv_heads",
            "alibi",
            "bias",
            "num_ln_in_parallel_attn",
            "ffn_hidden_size",
            "activation",
        }
    ),
)
