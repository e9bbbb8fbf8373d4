"""BLOOM: ALiBi positions; its attention and MLP modules add the residual themselves, so the writes are
what their output projections put out."""

from transformers import BloomConfig, BloomForCausalLM

from clew.models.architecture import Architecture, interleaved


def tiny() -> BloomForCausalLM:
    return BloomForCausalLM(BloomConfig(vocab_size=97, hidden_size=32, n_head=4, n_layer=3))


ARCHITECTURE = Architecture(
    classes=("BloomForCausalLM",),
    tiny=tiny,
    blocks="transformer.h",
    norm="transformer.ln_f",
    attn="self_attention",
    attn_write="self_attention.dense",
    output="self_attention.dense",
    qkv="self_attention.query_key_value",
    columns=lambda c: interleaved(c.n_head, c.hidden_size // c.n_head),
    pattern="self_attention.attention_dropout",
    mlp_write="mlp.dense_4h_to_h",
    down="mlp.dense_4h_to_h",
    understands=frozenset({"slow_but_exact", "n_head", "offset_alibi", "skip_bias_add"}),
)
