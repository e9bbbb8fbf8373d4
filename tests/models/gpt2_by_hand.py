"""GPT-2 written out with the patterns and norm scales of a clean run, for what a frozen run claims to be."""

from collections.abc import Callable

from torch import Tensor, nn

from clew.models import Model
from clew.models.trace import Trace

Write = Callable[[int, Tensor], Tensor]


def frozen_gpt2(model: Model, clean: Trace, embed: Tensor, write: Write) -> dict[str, Tensor]:
    """`mlp_in` of each layer and `final`, when the stream starts at `embed` and MLP i writes write(i, mlp_in)."""
    module = model.body.module.transformer
    x, found = embed, {}
    for i, block in enumerate(module.h):
        before = clean["embed"] if i == 0 else clean[f"resid.{i - 1}"]
        v = (norm(block.ln_1, x, before) @ block.attn.c_attn.weight + block.attn.c_attn.bias)[..., -32:]
        mixed = (clean[f"pattern.{i}"] @ v.unflatten(-1, (4, 8)).transpose(1, 2)).transpose(1, 2).flatten(2)
        x = x + mixed @ block.attn.c_proj.weight + block.attn.c_proj.bias
        found[f"mlp_in.{i}"] = norm(block.ln_2, x, before + clean[f"attn.{i}"])
        x = x + write(i, found[f"mlp_in.{i}"])
    found["final"] = norm(module.ln_f, x, clean[f"resid.{len(module.h) - 1}"])
    return found


def norm(module: nn.LayerNorm, x: Tensor, clean: Tensor) -> Tensor:
    """A layer norm of x with the scale that it has on the clean stream."""
    scale = (clean.var(-1, unbiased=False, keepdim=True) + module.eps).rsqrt()
    return (x - x.mean(-1, keepdim=True)) * scale * module.weight + module.bias
