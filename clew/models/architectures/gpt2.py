"""GPT-2: learned positions, fused projections stored as Conv1D."""

from transformers import GPT2Config, GPT2LMHeadModel

from clew.models.architecture import Architecture, side_by_side


def tiny() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=97, n_embd=32, n_head=4, n_layer=3, n_positions=64))


ARCHITECTURE = Architecture(
    classes=("GPT2LMHeadModel",),
    tiny=tiny,
    attn_norm="ln_1",
    mlp_norm="ln_2",
    blocks="transformer.h",
    norm="transformer.ln_f",
    attn="attn",
    output="attn.c_proj",
    qkv="attn.c_attn",
    columns=lambda c: side_by_side(c.n_embd, c.n_embd),
    down="mlp.c_proj",
    understands=frozenset({"scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn"}),
)
