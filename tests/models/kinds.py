"""Tiny models whose blocks are not an attention and an MLP each: their records are inferred, for nobody wrote any."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

from clew.models import Model
from clew.models.body import Body

SHAPE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 3,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
ATTENTION = ("num_attention_heads", "num_key_value_heads", "max_position_embeddings", "intermediate_size")
MAMBA = {"mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1}
ROPE = {"rope_type": "default", "rope_theta": 1e4}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "factors": ("Granite", {"residual_multiplier": 0.22, "embedding_multiplier": 3.0, "logits_scaling": 2.0}),
    "convolutions": ("Lfm2", {"layer_types": ["conv", "full_attention", "conv"], "block_auto_adjust_ff_dim": False}),
    "state spaces": ("Mamba", {"state_size": 4, "residual_in_fp32": False} | dict.fromkeys(ATTENTION)),
    "both at once": ("FalconH1", MAMBA | {"ssm_out_multiplier": 0.7, "attention_out_multiplier": 0.9}),
    "experts": ("Mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "gated heads": (
        "Afmoe",
        {"num_dense_layers": 2, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 8}
        | {"layer_types": ["full_attention", "sliding_attention", "full_attention"], "sliding_window": 4},
    ),
    "sinks": (
        "GptOss",
        {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8, "sliding_window": 4, "rope_parameters": ROPE},
    ),
    "shared experts": (
        "GraniteMoeShared",
        {"num_local_experts": 4, "num_experts_per_tok": 2, "shared_intermediate_size": 24, "residual_multiplier": 0.22},
    ),
    "a gated shared expert": (
        "Qwen2Moe",
        {
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 16,
            "shared_expert_intermediate_size": 24,
        },
    ),
    "norms in the stream": (
        "Bert",
        {"is_decoder": True, "num_key_value_heads": None, "bos_token_id": None, "hidden_dropout_prob": 0.0},
    ),
    "low-rank keys": (
        "DeepseekV2",
        {"num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8}
        | {"v_head_dim": 8, "first_k_dense_replace": 1, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1}
        | {"topk_group": 1, "moe_intermediate_size": 16, "n_shared_experts": 1},
    ),
}
"""By what is special in them, the class of the config and what it is given."""
ADDING_UP = [name for name in KINDS if name != "norms in the stream"]
"""Those whose stream is the sum of what is written."""


def kind_of(name: str, dtype: torch.dtype = torch.float64, **more: object) -> PreTrainedModel:
    """A random model of a kind, with weights large enough that all of it matters."""
    family, config = KINDS[name]
    torch.manual_seed(0)
    asked = {name: value for name, value in (SHAPE | config | more).items() if value is not None}
    made = getattr(transformers, f"{family}{'LMHeadModel' if family == 'Bert' else 'ForCausalLM'}")(
        getattr(transformers, f"{family}Config")(**asked)
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for path, p in made.named_parameters():
            if path.endswith(("A_log", "dt_bias", ".D")):
                continue  # what these are drawn as keeps a state from running away
            if p.ndim > 1:
                torch.nn.init.normal_(p, std=0.3, generator=generator)
            else:
                p.add_(0.1 * torch.randn(p.shape, generator=generator))
    if hasattr(made.config, "_experts_implementation"):
        made.config._experts_implementation = "eager"  # the default knows no float64
    return made.to(dtype).eval()


def kind(name: str, dtype: torch.dtype = torch.float64) -> Model:
    """A view of it, unchecked."""
    return Model(Body(kind_of(name, dtype), None, name))
