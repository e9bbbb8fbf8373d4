"""A tiny random model of each kind of causal language model that transformers knows, in which every kind of block occurs.

One dictionary says how small each field of a config shall be, and is applied wherever a config has that field; what a
family needs beside that stands in one table. Lists that say what each block is become one block of each kind. All
parameters are drawn at random, so that nothing is hidden by zeros, and are large enough that every part matters.

    python recipes/tiny_families.py [TYPE ...]
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

CAUSAL: dict[str, str] = dict(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
"""The class of each type, by the type that its config says."""

LAYERS = 3
VOCABULARY = 97


def _all(value: Any, names: str) -> dict[str, Any]:
    return dict.fromkeys(names.split(), value)


SMALL: dict[str, Any] = {
    **_all(32, "hidden_size hidden_size_global hc_lowrank n_embd d_model dim embedding_size embedding_dim"),
    **_all(32, "word_embed_proj_dim emb_dim dim_model"),
    **_all(LAYERS, "num_hidden_layers n_layer num_layers n_layers decoder_layers num_blocks num_decoder_layers"),
    **_all(LAYERS, "encoder_layers num_encoder_layers"),  # some caches count these in a decoder
    **_all(4, "num_attention_heads n_head num_heads n_heads decoder_attention_heads encoder_attention_heads"),
    **_all(2, "num_key_value_heads num_kv_heads n_head_kv multi_query_group_num"),
    **_all(8, "head_dim dim_head attention_head_dim kv_channels global_head_dim"),
    **_all(48, "intermediate_size ffn_dim decoder_ffn_dim encoder_ffn_dim d_inner dim_ff dff n_inner"),
    **_all(48, "ffn_hidden_size feed_forward_size mlp_hidden_size block_ff_dim intermediate_size_mlp"),
    **_all(VOCABULARY, "vocab_size vocab_size_per_layer_input encoder_hash_byte_group_vocab"),
    **_all(
        64, "max_position_embeddings n_positions n_ctx max_sequence_length max_target_positions max_source_positions"
    ),
    **_all(64, "max_seq_len max_seq_length model_max_length context_length"),
    **_all(4, "num_experts num_local_experts n_routed_experts moe_num_experts"),
    **_all(2, "num_experts_per_tok num_experts_per_token moe_topk moe_k moe_top_k top_k_experts"),
    **_all(1, "n_group topk_group num_expert_group n_shared_experts num_shared_experts moe_num_shared_experts"),
    **_all(1, "first_k_dense_replace decoder_sparse_step num_dense_layers"),
    **_all(16, "moe_intermediate_size shared_expert_intermediate_size shared_intermediate_size expert_ffn_hidden_size"),
    **_all(16, "kv_lora_rank q_lora_rank moe_shared_expert_intermediate_size qk_head_dim"),
    **_all(8, "qk_nope_head_dim qk_rope_head_dim v_head_dim index_head_dim"),
    **_all(2, "index_n_heads"),
    **_all(4, "index_topk"),
    **_all(5, "sliding_window sliding_window_size attention_window_size attention_window local_attention window_size"),
    **_all(4, "attention_chunk_size chunk_size mamba_chunk_size block_size"),
    **_all(8, "state_size ssm_state_size mamba_d_state mamba_d_head mamba_head_dim mamba_headdim"),
    **_all(8, "mamba_n_heads mamba_num_heads n_mamba_heads"),
    **_all(64, "mamba_d_ssm"),
    **_all(2, "expand mamba_expand linear_num_key_heads"),
    **_all(1, "n_groups mamba_n_groups mamba_ngroups num_random_blocks"),
    **_all(4, "mamba_dt_rank time_step_rank linear_num_value_heads rotary_dim"),
    **_all(8, "linear_key_head_dim linear_value_head_dim hidden_size_per_layer_input laurel_rank"),
    **_all(0, "num_kv_shared_layers pad_token_id"),
    **_all(1, "bos_token_id decoder_start_token_id"),
    **_all(2, "eos_token_id altup_num_inputs"),
    **_all(4, "swa_num_attention_heads lsh_attn_chunk_length local_attn_chunk_length kv_n_heads"),
    **_all(2, "swa_num_key_value_heads zero_expert_num"),
    **_all(8, "swa_head_dim attention_head_size linear_head_dim"),
    **_all(4, "linear_num_heads"),
    **_all(16, "rel_extent o_lora_rank router_hidden_size shared_experts_intermediate_size lru_width"),
    **_all(16, "pronunciation_embed_dim shape_embed_dim pronunciation_vocab_size shape_vocab_size"),
    "is_decoder": True,
}
"""How small each field is, in whatever config has it."""
UNSET = frozenset(
    """
    num_key_value_heads head_dim q_lora_rank n_routed_experts n_shared_experts num_experts_per_tok pad_token_id bos_token_id
    eos_token_id
    """.split()
)
"""Fields that are made small even where a config leaves them open."""

CONVOLUTIONS = {"layer_types": ["conv", "full_attention", "conv"]}
ROTATION = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
HYBRID = {"layers_block_type": ["linear_attention", "hybrid"] * 2, "num_hidden_layers": 4, "num_key_value_heads": 4}
NEEDS: dict[str, dict[str, Any]] = {
    "dbrx": {"attn_config": {"rope_theta": 10000.0, "clip_qkv": 8.0}},
    "dots3_note_text": {
        "head_dim": 16,
        "layer_types": ["indexed_attention", "sliding_attention", "indexed_attention"],
        "per_layer_config": {"1": _all(2, "num_attention_heads num_key_value_heads")},
    },
    "gemma4_text": {"global_head_dim": 16},
    "gemma4_unified_text": {"global_head_dim": 16},
    "bamba": {"attn_layer_indices": [1]},
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention", "full_attention"],
        "rope_parameters": dict.fromkeys(["full_attention", "sliding_attention"], ROTATION),
    },
    "deepseek_v4": {
        "compress_rates": {"compressed_sparse_attention": 2, "heavily_compressed_attention": 4},
        "o_groups": 2,
        "num_key_value_heads": 1,
    },
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention", "linear_attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 3, "expert_layer_offset": 2},
    "lfm2": CONVOLUTIONS,
    "lfm2_moe": CONVOLUTIONS,
    "mamba2": {"num_heads": 8},
    "qwen4_exp_text": {
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 4,
        "indexer_compress_ratio": 2,
    },
    "reformer": {"axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 16], "attn_layers": ["local", "lsh", "local"]},
    "xmod": {"default_language": "en_XX"},
    "zamba": {**HYBRID, "attention_hidden_size": 64, "attention_head_dim": 16},
    "zamba2": {**HYBRID, "attention_hidden_size": 64, "attention_head_dim": 16, "num_query_groups": 4},
    "zaya": {"num_experts_per_tok": 1},
}
"""What the configs of single types are given beside that, or instead."""


def build(kind: str, *, seed: int = 0) -> PreTrainedModel:
    """A tiny model of a type, in eval mode, float32, on the CPU.

    Raises: whatever a config or class that cannot be made small raises.
    """
    torch.manual_seed(seed)
    made = getattr(transformers, CAUSAL[kind])(config_of(kind))
    return drawn(made.float(), seed).eval()


def config_of(kind: str) -> PreTrainedConfig:
    """The small config of a type: that of the text where its class is made from one inside."""
    outer, made = CONFIG_MAPPING[kind], getattr(transformers, CAUSAL[kind])
    inner = made.config_class in outer.sub_configs.values()
    cls = made.config_class if inner else outer
    return cls(**small(cls, NEEDS.get(cls.model_type, {})))


def small(cls: type[PreTrainedConfig], needs: dict[str, Any]) -> dict[str, Any]:
    """What a config class is given; configs inside it are made small, too."""
    try:
        default: dict[str, Any] = cls().to_dict()
    except Exception:  # a class that has no default
        default = {}
    named = inspect.signature(cls).parameters
    known = {**{name: p.default for name, p in named.items()}, **default}
    also = cls.attribute_map or {}
    given = {k: v for k, v in SMALL.items() if k in known and also.get(k) not in SMALL}
    given = {k: v for k, v in given.items() if known[k] is not None or k in UNSET}
    if "kv_lora_rank" in known:
        given["num_key_value_heads"] = given["num_attention_heads"]
    given |= blocks(default)
    for name, of in cls.sub_configs.items():
        held = default.get(name)
        inside = CONFIG_MAPPING[held["model_type"]] if isinstance(held, dict) and held.get("model_type") else of
        if held is not None and inside.__name__ != "AutoConfig":
            given[name] = inside(**small(inside, NEEDS.get(inside.model_type, {}) | needs.get(name, {})))
    return given | {k: v for k, v in needs.items() if k not in cls.sub_configs}


def blocks(default: dict[str, Any]) -> dict[str, Any]:
    """Lists of what each block is: of the first list the kinds in turn, of each further one every kind and then the last."""
    lists = {k: list(dict.fromkeys(v)) for k, v in default.items() if _words(v)}
    if not lists:
        return {}
    n = max(LAYERS, *(len(kinds) for kinds in lists.values()))
    first = next(iter(lists))
    return {k: [v[i % len(v) if k == first else min(i, len(v) - 1)] for i in range(n)] for k, v in lists.items()} | {
        k: n for k in ("num_hidden_layers", "num_layers", "n_layer") if k in default
    }


def _words(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(v, str) for v in value)


def drawn(module: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Every parameter at random; those of one axis, and what says how fast a state decays, near where they began."""
    generator = torch.Generator().manual_seed(seed)

    def noise(t: torch.Tensor) -> torch.Tensor:
        return torch.randn(t.shape, generator=generator)

    with torch.no_grad():
        for name, p in module.named_parameters():
            if p.ndim > 1 and not name.endswith("A_log"):
                p.copy_(0.2 * noise(p))
            else:
                p.add_(0.1 * noise(p))
        for name, b in module.named_buffers():
            if name in module.state_dict() and b.is_floating_point() and bool(b.isfinite().all()) and not bool(b.any()):
                b.add_(0.1 * noise(b))
    return module


if __name__ == "__main__":
    for kind in sys.argv[1:] or CAUSAL:
        made = build(kind)
        print(kind, type(made).__name__, sum(p.numel() for p in made.parameters()))
