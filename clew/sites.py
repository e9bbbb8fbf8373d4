"""Addresses in a model, and positions by meaning.

A `Site` names a tensor that flows through every transformer of our kind (`resid.3` is the output of block 3), a `Weight` a
linear map, and a `Where` the positions of a prompt. Nothing here knows what a model is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from clew.doors import door
from clew.near import near

PARTS: dict[str, str] = {
    "embed": "what enters the first block",
    "attn_in": "what the attention reads, after its norm",
    "q_latent": "what low-rank queries are made of, after its norm",
    "kv_latent": "what low-rank values, and as much of the keys as does not rotate, are made of, after its norm",
    "q": "queries, before rotation; all heads side by side",
    "k": "keys, before rotation; one per key-value head",
    "v": "values; one per key-value head",
    "pattern": "attention probabilities, [head, query, key]; beside a sink they sum to less than 1",
    "gate": "what multiplies what the heads mix, before its sigmoid or the like; `head` is their product",
    "head": "each head's mix of values, times its gate if it has one, before the output projection",
    "attn": "what the attention adds to the stream",
    "cross_in": "what an attention to the encoder's states reads of the decoder's stream, after its norm",
    "cross_q": "its queries; all heads side by side",
    "cross_k": "its keys, of the encoder's states; one per key-value head",
    "cross_v": "its values, of the encoder's states; one per key-value head",
    "cross_pattern": "its probabilities, [head, query in the decoder, key in the encoder]",
    "cross_head": "the mix of values of each of its heads, before its output projection",
    "cross": "what it adds to the decoder's stream",
    "mixer_in": "what a mixer (state space, recurrence, convolution: whatever mixes positions but an attention) reads",
    "mixer": "what such a mixer adds to the stream",
    "mlp_in": "what the MLP reads, after its norm",
    "router": "weights of the experts of a mixture, 0 for those that are not chosen",
    "expert_neuron": "hidden units of each expert, times its weight, all side by side; its output projection gives `expert`",
    "expert": "what each expert gives, times its weight, all side by side; they add up to what the chosen ones put out",
    "shared_in": "what the shared experts, a second MLP beside a mixture, read, after their norm",
    "shared_neuron": "hidden units of the shared experts, before their output projection",
    "shared_out": "what that projection gives; `shared`, but for a norm, a factor or a gate that may follow it",
    "shared": "what the shared experts add: to the stream, where they stand beside the mixture, or within it to `mlp`",
    "neuron": "MLP hidden units, before the output projection",
    "mlp_out": "what the MLP's output projection, or a mixture, gives; `mlp`, but for a norm or a factor that may follow it",
    "mlp": "what the MLP adds to the stream",
    "resid": "the stream after the block",
    "final": "the stream after the last norm, as the unembedding reads it",
}
"""Every part of a site address, in the order in which a sequential block computes them."""

WHOLE_MODEL = ("embed", "final")
PATTERNS = ("pattern", "cross_pattern")

READERS = {
    "attn_in": "attn",
    "q": "head",
    "k": "head",
    "v": "head",
    "cross_in": "cross",
    "cross_q": "cross_head",
    "mixer_in": "mixer",
    "shared_in": "shared",
    "mlp_in": "mlp",
}
"""Parts that read the stream, and the part of the same layer that writes what they let in."""


ENCODER = "encoder"


@dataclass(frozen=True)
class Site:
    """An address: a part and, unless the part exists once, a layer.

    >>> Site.parse("resid.3")
    Site('resid.3')
    """

    part: str
    layer: int | None = None
    stack: str = ""
    """`encoder` for what lies in the encoder of a model that also has a decoder; empty for all else, its decoder too."""

    def __post_init__(self) -> None:
        if self.stack not in ("", ENCODER):
            raise ValueError(
                f"{self.stack!r} is no part of a model with addresses of its own; the encoder is {ENCODER!r}"
            )
        if self.part not in PARTS:
            raise ValueError(f"{self.part!r} is not a part of a model; {near(self.part, PARTS)}")
        if (self.layer is None) != (self.part in WHOLE_MODEL):
            wanted = "takes no layer" if self.part in WHOLE_MODEL else "needs a layer, as in " + repr(f"{self.part}.3")
            raise ValueError(f"the address {str(self)!r} is not complete: {self.part!r} {wanted}")

    @classmethod
    def parse(cls, address: str | Site) -> Site:
        """Read `part` or `part.layer`, in the encoder as `encoder.part.layer`; `decoder.` says nothing new before an address.

        Raises: ValueError, naming the near addresses.
        """
        if isinstance(address, Site):
            return address
        if address.startswith((f"{ENCODER}.", "decoder.")):
            stack, _, rest = address.partition(".")
            return replace(cls.parse(rest), stack=stack if stack == ENCODER else "")
        part, dot, layer = address.partition(".")
        if dot and not layer.isdigit():
            raise ValueError(f"{address!r} is not a site: after the dot comes a layer number, as in 'resid.3'")
        return cls(part, int(layer) if dot else None)

    @property
    def order(self) -> tuple[int, int]:
        """Sorts sites as a forward pass meets them."""
        if self.stack:
            layer, part = Site(self.part, self.layer).order
            return (layer - (1 << 31), part)
        if self.part == "embed":
            return (-1, 0)
        return (self.layer if self.layer is not None else 1 << 30, list(PARTS).index(self.part))

    def __lt__(self, other: Site) -> bool:
        return self.order < other.order

    def __str__(self) -> str:
        address = self.part if self.layer is None else f"{self.part}.{self.layer}"
        return f"{self.stack}.{address}" if self.stack else address

    def __repr__(self) -> str:
        return f"Site({str(self)!r})"


MAPS: dict[str, str] = {
    "q": "attn_in to q",
    "k": "attn_in to k",
    "v": "attn_in to v",
    "out": "head to what the attention adds: W_O",
    "down": "neuron to mlp_out: W_down",
    "unembed": "final to the logits: W_U",
}
"""Linear maps that have an address in every model."""


@dataclass(frozen=True)
class Weight:
    """The address of a linear map: `q.3 k.3 v.3 out.3 down.3`, `unembed`, or the dotted path of any linear module.

    >>> Weight("down.3").layer
    3
    """

    name: str

    def __post_init__(self) -> None:
        if not self.name or not all(self.name.split(".")):
            raise ValueError(f"{self.name!r} is no address of a weight; say 'down.3', or the dotted path of a module")
        if self.name in MAPS and self.name != "unembed":
            raise ValueError(f"the address {self.name!r} is not complete: it needs a layer, as in '{self.name}.3'")

    @property
    def part(self) -> str | None:
        """Which of MAPS, None for a path."""
        part, dot, layer = self.name.partition(".")
        return part if part in MAPS and (layer.isdigit() if part != "unembed" else not dot) else None

    @property
    def layer(self) -> int | None:
        return int(self.name.partition(".")[2]) if self.part not in (None, "unembed") else None

    @classmethod
    def parse(cls, address: str | Weight) -> Weight:
        return address if isinstance(address, Weight) else cls(address)

    def __str__(self) -> str:
        return self.name


WhereKind = Literal[
    "every", "prompt", "response", "answer", "after_first", "position", "token", "not_token", "phrase", "phrase_end"
]
WITH_VALUES = ("position", "token", "not_token", "phrase", "phrase_end")


@dataclass(frozen=True)
class Where:
    """Positions of a prompt, by meaning; padding is never among them.

    `every`, `prompt` (not what was generated), `response` (only what was generated), `answer` (the last token of
    the prompt and what was generated: every position from which a token of the answer is written), `after_first` (all but
    the first real token, which is often an attention sink), `position` (indices from the first real token; negative ones
    count from the last prompt token), `token` (wherever one of these token ids stands), `not_token` (wherever another one
    stands), `phrase` (wherever this run of token ids stands in the prompt; in what is generated its first tokens are past
    before it is whole) and `phrase_end` (its last token, wherever it stands).
    """

    kind: WhereKind = "every"
    values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        kinds = get_args(WhereKind)
        if self.kind not in kinds:
            raise ValueError(f"{self.kind!r} names no positions; {near(self.kind, kinds)}")
        if strange := [v for v in self.values if isinstance(v, bool) or not hasattr(v, "__index__")]:
            raise ValueError(f"Where({self.kind!r}) takes whole numbers; {strange[0]!r} was given")
        object.__setattr__(self, "values", tuple(map(int, self.values)))
        if (self.kind in WITH_VALUES) != bool(self.values):
            takes = "needs `values`" if not self.values else "takes no `values`"
            raise ValueError(f"Where({self.kind!r}) {takes}; Where.at(-1) is the last token of the prompt")

    @classmethod
    @door(positions="Where.at(*range(2, 5)) is a run of positions, Where.after_first() all but the first")
    def at(cls, *positions: int) -> Where:
        """Positions by index; `Where.at(-1)` is the last token of the prompt."""
        return cls("position", positions)

    @classmethod
    def after_first(cls) -> Where:
        """All but the first token of the prompt."""
        return cls("after_first")

    @classmethod
    def special(cls, tokenizer: Any) -> Where:
        """Wherever a special token of the tokenizer stands. Raises: ValueError for a tokenizer without any."""
        if not tokenizer.all_special_ids:
            raise ValueError("this tokenizer has no special tokens, so they stand nowhere")
        return cls("token", tuple(tokenizer.all_special_ids))

    @classmethod
    def words(cls, tokenizer: Any) -> Where:
        """Wherever no special token of the tokenizer stands."""
        return cls("not_token", tuple(tokenizer.all_special_ids)) if tokenizer.all_special_ids else cls()

    @classmethod
    def phrase(cls, ids: Iterable[int]) -> Where:
        """Wherever this run of tokens stands in the prompt; all of its positions."""
        return cls("phrase", tuple(ids))

    @classmethod
    def phrase_end(cls, ids: Iterable[int]) -> Where:
        """Wherever this run of tokens stands; its last position."""
        return cls("phrase_end", tuple(ids))

    def mask(
        self, tokens: Int[Tensor, "batch seq"], real: Bool[Tensor, "batch seq"], prompt: int
    ) -> Bool[Tensor, "batch seq"]:
        """Which positions are meant. `real` is False on padding; the first `prompt` columns are the prompt."""
        column = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        if self.kind == "prompt":
            return real & (column < prompt)
        if self.kind == "response":
            return real & (column >= prompt)
        if self.kind == "answer":
            return real & (column >= prompt - 1)
        if self.kind in ("token", "not_token"):
            among = torch.isin(tokens, torch.tensor(self.values, device=tokens.device))
            return real & (among if self.kind == "token" else ~among)
        first = real.int().argmax(dim=1, keepdim=True)
        if self.kind == "after_first":
            return real & (column > first)
        if self.kind == "position":
            last = (column * (real & (column < prompt))).amax(dim=1, keepdim=True)
            wanted = [first + v if v >= 0 else last + 1 + v for v in self.values]
            return real & torch.stack([column == w for w in wanted]).any(dim=0)
        if self.kind in ("phrase", "phrase_end"):
            return real & self._phrases(tokens, real & ((column < prompt) | (self.kind == "phrase_end")))
        return real

    def _phrases(self, tokens: Int[Tensor, "batch seq"], real: Bool[Tensor, "batch seq"]) -> Bool[Tensor, "batch seq"]:
        long, seq = len(self.values), tokens.shape[1]
        found = torch.zeros_like(real)
        if long > seq:
            return found
        run = torch.tensor(self.values, device=tokens.device)
        start = (tokens.unfold(1, long, 1) == run).all(-1) & real.unfold(1, long, 1).all(-1)
        for offset in range(long) if self.kind == "phrase" else [long - 1]:
            found[:, offset : offset + start.shape[1]] |= start
        return found

    def __str__(self) -> str:
        return f"{self.kind} {','.join(map(str, self.values))}".strip()


EVERY, PROMPT, RESPONSE, ANSWER = Where("every"), Where("prompt"), Where("response"), Where("answer")
