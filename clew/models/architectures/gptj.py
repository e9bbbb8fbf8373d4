"""GPT-J: attention and MLP in parallel on one norm."""

from transformers import GPTJConfig, GPTJForCausalLM

from clew.models.architecture import Architecture


def tiny() -> GPTJForCausalLM:
    return GPTJForCausalLM(GPTJConfig(vocab_size=97, n_embd=32, n_head=4, n_layer=3, n_positions=64, rotary_dim=4))


ARCHITECTURE = Architecture(
    classes=("GPTJForCausalLM",),
    tiny=tiny,
    attn_norm="ln_1",
    mlp_norm="ln_1",
    blocks="transformer.h",
    norm="transformer.ln_f",
    attn="attn",
    output="attn.out_proj",
    qkv=("attn.q_proj", "attn.k_proj", "attn.v_proj"),
    pattern="attn.attn_dropout",
    down="mlp.fc_out",
    parallel=lambda c: True,
    understands=frozenset({"rotary_dim"}),
    always={"rotary": True, "scale_attn_weights": True},
)
