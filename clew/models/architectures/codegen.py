"""CodeGen: GPT-J's block; the fused projection is cut in four shards, each holding q, v and k."""

from typing import Any

import torch
from transformers import CodeGenConfig, CodeGenForCausalLM

from clew.models.architecture import Architecture, Columns

SHARDS = 4


def columns(config: CodeGenConfig) -> Columns:
    shards = torch.arange(3 * config.n_embd).view(SHARDS, 3, -1)
    return {part: shards[:, i].reshape(-1) for i, part in enumerate("qvk")}


def tiny() -> CodeGenForCausalLM:
    shape: dict[str, Any] = {"n_embd": 32, "n_head": 4, "n_layer": 3, "n_positions": 64, "rotary_dim": 4}
    return CodeGenForCausalLM(CodeGenConfig(vocab_size=97, **shape))


ARCHITECTURE = Architecture(
    classes=("CodeGenForCausalLM",),
    tiny=tiny,
    attn_norm="ln_1",
    mlp_norm="ln_1",
    blocks="transformer.h",
    norm="transformer.ln_f",
    attn="attn",
    output="attn.out_proj",
    qkv="attn.qkv_proj",
    columns=columns,
    pattern="attn.attn_dropout",
    down="mlp.fc_out",
    parallel=lambda c: True,
    understands=frozenset({"rotary_dim"}),
    always={"scale_attn_weights": True},
    refuses={
        "head_dim": "it is CodeGen2, whose queries, keys and values lie in eight shards, and transformers reads them as "
        "four, as those of CodeGen do, so all that it computes is wrong"
    },
)
