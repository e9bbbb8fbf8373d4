"""Edits of modules that are no decoders of ours: text encoders, cross-attentions, anything built of nn.Linear."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from clew.models import EditDidNotFire
from clew.models.weights import twin_of
from clew.sites import Update, near
from clew.stack import Stack


def linears(module: nn.Module, maps: str) -> dict[str, nn.Linear]:
    """The linear modules whose dotted path the pattern is found in. Raises: ValueError naming some that there are."""
    known = {name: m for name, m in module.named_modules() if isinstance(m, nn.Linear)}
    found = {name: m for name, m in known.items() if re.search(maps, name)}
    if not found:
        raise ValueError(f"no linear map of this {type(module).__name__} matches {maps!r}; {near(maps, known)}")
    return found


def edited(module: nn.Module, stack: Stack) -> Any:
    """A module of the same structure with these updates made; it shares every other tensor with `module`, which stays.

    Raises: EditDidNotFire for an update that changes no bit; ValueError for an edit that is no update of a linear map.
    """
    twin = twin_of(module)
    for edit in stack:
        owner = linears(twin, f"^{re.escape(str(edit.at))}$")[str(edit.at)]
        if not isinstance(edit, Update):
            raise ValueError(f"{edit} is no update of a weight, so a bare module cannot hold it")
        weight = edit(owner.weight.detach())
        if torch.equal(weight, owner.weight):
            raise EditDidNotFire(f"the update of {edit.at} changes no bit of it")
        owner.weight = nn.Parameter(weight, requires_grad=owner.weight.requires_grad)
    return twin


def inputs_of(module: nn.Module, path: str, run: Callable[[Any], object]) -> Float[Tensor, "*place in"]:
    """What the linear map at `path` reads while `run(module)` runs. Raises: ValueError if that never reaches it."""
    twin = twin_of(module)
    tape = _Tape(linears(twin, f"^{re.escape(path)}$")[path])
    twin.set_submodule(path, tape)
    with torch.no_grad():
        run(twin)
    if tape.seen is None:
        raise ValueError(f"the run never reached {path}, so nothing was read there")
    return tape.seen


class _Tape(nn.Module):
    """A linear map that keeps what it read last."""

    seen: Tensor | None = None

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return self.inner(x)


def encoded(
    encoder: nn.Module, tokenizer: Any, texts: Sequence[str]
) -> tuple[Int[Tensor, "text seq"], Bool[Tensor, "text seq"], Float[Tensor, "text seq d_model"]]:
    """Token ids padded to the encoder's length, which are real, and the encoder's last hidden state.

    Padding is to the right and takes part, as in the pipelines that paint from these states.
    """
    config: Any = encoder.config
    limit = int(config.max_position_embeddings)
    rows = tokenizer(list(texts), padding="max_length", max_length=limit, truncation=True, padding_side="right",
                     return_tensors="pt")  # fmt: skip
    ids = rows["input_ids"].to(next(encoder.parameters()).device)
    with torch.no_grad():
        return ids, rows["attention_mask"].bool().cpu(), encoder(input_ids=ids).last_hidden_state
