"""Edits of modules that are no decoders of ours: text encoders, cross-attentions, anything built of nn.Linear."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.tokenization_utils_base import LARGE_INTEGER

from clew.changes import Update
from clew.data.facts.spans import last_of
from clew.edits._solver import least_change
from clew.models import EditDidNotFire
from clew.models.state import state
from clew.models.weights import twin_of
from clew.near import near
from clew.sites import Weight
from clew.stack import Stack

FRAMES = ("{}", "A photo of {}", "An image of {}", "A picture of {}")
"""What a prompt for a picture is often put into."""


def linears(module: nn.Module, maps: str) -> dict[str, nn.Linear]:
    """The linear modules whose dotted path the pattern is found in. Raises: ValueError naming some that there are."""
    known = {name: m for name, m in module.named_modules() if isinstance(m, nn.Linear)}
    found = {name: m for name, m in known.items() if re.search(maps, name)}
    if not found:
        raise ValueError(f"no linear map of this {type(module).__name__} matches {maps!r}; {near(maps, known)}")
    return found


def linear_at(module: nn.Module, path: str) -> nn.Linear:
    """The linear module at a dotted path. Raises: ValueError naming some that there are."""
    return linears(module, f"^{re.escape(path)}$")[path]


def edited(module: nn.Module, stack: Stack) -> Any:
    """A module of the same structure with these updates made; it shares every other tensor with `module`, which stays.

    Raises: EditDidNotFire for an update that changes no bit; ValueError for an edit that is no update of a linear map.
    """
    twin = twin_of(module)
    for edit in stack:
        if not isinstance(edit, Update):
            raise ValueError(f"{edit} is no update of a weight, so a bare module cannot hold it")
        map = linear_at(twin, str(edit.at))
        weight = edit(map.weight.detach())
        if torch.equal(weight, map.weight):
            raise EditDidNotFire(f"the update of {edit.at} changes no bit of it")
        map.weight = nn.Parameter(weight, requires_grad=map.weight.requires_grad)
    return twin


def read_as(
    module: nn.Module,
    maps: str,
    states: Float[Tensor, "example in"],
    others: Float[Tensor, "example in"],
    *,
    strength: float,
    weights: Float[Tensor, "example 1"] | None = None,
) -> tuple[Update, ...]:
    """Updates after which all these maps make of each state what they make of the other beside it now.

    Args: strength: of the maps as they are; weights: of each state's squared error.
    Raises: ValueError for a map of another width, or a pattern that nothing matches.
    """
    updates = []
    root = 1.0 if weights is None else weights.sqrt()  # a weight on a squared error is its root on both sides
    for path, map in linears(module, maps).items():
        if map.in_features != states.shape[1]:
            raise ValueError(
                f"{path} reads {map.in_features} numbers, but the text is {states.shape[1]} wide; "
                "choose `maps` that read the text"
            )
        W = map.weight.detach().double()
        keys, meant = ((root * some.double()).to(W.device) for some in (states, others))
        left, right = least_change(W, keys, meant @ W.T, strength=strength)
        updates.append(Update(Weight(path), left=left, right=right))
    return tuple(updates)


class Tap(nn.Module):
    """A linear map that keeps what it read last, and gives `more` than it would."""

    seen: Tensor | None = None
    more: Tensor | float = 0.0

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        out = self.inner(x)
        return out + torch.as_tensor(self.more).to(out)


def tapped(module: nn.Module, path: str) -> tuple[Any, Tap]:
    """A twin with a tap at `path`, without dropout. Raises: ValueError if there is no linear map."""
    twin = twin_of(module).eval()
    tap = Tap(linear_at(twin, path))
    twin.set_submodule(path, tap)
    return twin, tap


def inputs_of(module: nn.Module, path: str, run: Callable[[Any], object]) -> Float[Tensor, "*place in"]:
    """What the linear map at `path` reads while `run(module)` runs. Raises: ValueError if that never reaches it."""
    twin, tap = tapped(module, path)
    with torch.no_grad():
        run(twin)
    if tap.seen is None:
        raise ValueError(f"the run never reached {path}, so nothing was read there")
    return tap.seen


def tokens(
    encoder: nn.Module, tokenizer: Any, texts: Sequence[str], length: int | None = None
) -> tuple[Int[Tensor, "text seq"], Bool[Tensor, "text seq"]]:
    """Token ids, padded to the right as far as the longest text or to `length`, and which of them are real."""
    if isinstance(texts, str):
        raise ValueError(f"{texts!r} is one text, which would be read letter by letter; give a list of texts")
    say = {"padding": True} if length is None else {"padding": "max_length", "max_length": length, "truncation": True}
    rows = tokenizer(list(texts), **say, padding_side="right", return_tensors="pt")
    device = next(encoder.parameters()).device
    return rows["input_ids"].to(device), rows["attention_mask"].bool().to(device)


def read_at(encoder: nn.Module, texts: Sequence[str], *, tokenizer: Any, at: str) -> Float[Tensor, "token in"]:
    """What the map `at` reads at every token of some texts, one after the other; each text is read as if alone."""
    ids, real = tokens(encoder, tokenizer, texts)
    say = {"input_ids": ids, "attention_mask": real.long()}
    read = inputs_of(encoder, at, lambda module: getattr(module, "get_text_features", module)(**say))
    return read.reshape(*ids.shape, -1)[real]


def key_of(encoder: nn.Module, prompt: str, subject: str, *, tokenizer: Any, at: str) -> Float[Tensor, " in"]:
    """What the map `at` reads at the subject's last token."""
    return read_at(encoder, [prompt], tokenizer=tokenizer, at=at)[last_of(tokenizer, prompt, subject)]


def encoded(
    encoder: nn.Module, tokenizer: Any, texts: Sequence[str]
) -> tuple[Int[Tensor, "text seq"], Bool[Tensor, "text seq"], Float[Tensor, "text seq d_model"]]:
    """Token ids padded to the encoder's length, which are real, and the encoder's last hidden state, without dropout.

    Padding takes part, as in the pipelines that paint from these states. Encoders of relative positions (T5) have no
    length; the tokenizer's counts for them.

    Raises: ValueError where neither states a length.
    """
    config: Any = encoder.config
    length = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    if length > LARGE_INTEGER:  # what transformers puts for a tokenizer that was saved without one
        raise ValueError(
            f"neither this {type(encoder).__name__} nor its tokenizer says how long its texts are; set "
            "tokenizer.model_max_length to the length that the pipeline pads to, such as 512"
        )
    ids, real = tokens(encoder, tokenizer, texts, int(length))
    with state(encoder), torch.no_grad():
        return ids, real, encoder(input_ids=ids).last_hidden_state


def last_words(real: Bool[Tensor, "text seq"]) -> Int[Tensor, " text"]:
    """Where each text's last word ends: before the end token, in texts that are padded to the right."""
    return (real.sum(1) - 2).clamp(min=0)
