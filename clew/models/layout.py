"""A layout: where the sites of one model are, block by block.

A block is the parts that write into its stream, in the order in which it adds them up; blocks of one model may differ. What
a layout claims, `selfcheck` proves by numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Kind = Literal["attn", "cross", "mixer", "shared", "mlp"]
"""Attention; attention to the states of an encoder; what mixes positions in another way, as state spaces, recurrences and
convolutions do; what mixes none: an MLP, and beside one that is a mixture of experts the MLP of its shared ones."""

KINDS: tuple[Kind, ...] = get_args(Kind)

INNER = {"attn": "head", "cross": "cross_head", "shared": "shared_neuron", "mlp": "neuron"}
"""By kind, what the output projection of a part reads."""

OUTER = {"shared": "shared_out", "mlp": "mlp_out"}
"""By kind, what it gives, where that is a site of its own."""

Answers = Literal["next", "mask", "class", "states"]
"""Where a model answers: with the token after the last position; in the place of a mask; with a class of the whole input; or
nowhere, for it has no head, and gives its last states."""

ANSWERS: tuple[Answers, ...] = get_args(Answers)

NO_PATTERN = "no probabilities are seen that mix the values into what the output projection reads"
"""Why an attention has no pattern."""


@dataclass(frozen=True)
class Map:
    """A linear map, by its path below the block, or some of its outputs."""

    path: str
    columns: tuple[int, ...] | None = None
    """Which outputs of a fused map; all where nothing is said."""
    latent: bool = False
    """Whether it reads something between, as low-rank queries do, so that it is no map of what the part reads."""

    @property
    def rows(self) -> Tensor | None:
        """Its outputs as an index; None for all."""
        return None if self.columns is None else torch.tensor(self.columns)


@dataclass(frozen=True)
class Part:
    """One part of a block. Paths are below the block; an empty one stands for what is not there or was not found."""

    kind: Kind
    write: str
    """The module whose output the part adds to the stream."""
    reads: str = ""
    """The module whose input is what the part reads."""
    norm: str = ""
    """The norm between the stream and what the part reads."""
    after: int = 0
    """How many parts of the block have written what it reads: 0 for one that reads the block's input."""
    factor: float = 1.0
    """What the output of `write` is multiplied by as it joins the stream."""
    norm_after: str = ""
    """The norm that the whole stream goes through once the part has written, as in BERT; empty in most families."""
    projection: str = ""
    """The linear map that gives the write, but for a norm after it; it reads the heads side by side, or the neurons."""
    norm_out: str = ""
    """That norm, between the projection and the stream, as in Gemma 2."""
    maps: Mapping[str, Map] = field(default_factory=dict[str, Map])
    """Of an attention, what makes its `q`, `k` and `v`, and its `gate` where it has one."""
    gated: bool = False
    """Whether an attention follows from more than its queries, keys and values, as where a gate reads the stream, too."""
    gate: str = ""
    """The function through which that gate goes before it multiplies what the heads mix; see `attention.GATES`."""
    pattern: str = ""
    """Where attention probabilities are seen: `interface` of transformers, or the path of a module that gives them."""
    sinks: bool = False
    """Whether a sink takes its share of them, so that those of a query sum to less than 1, as in gpt-oss."""
    attends: str = ""
    """The module that calls that interface, where it is not the one that holds the projection."""
    heads: tuple[int, int] = (0, 0)
    """Of an attention, query heads and key-value heads."""
    experts: str = ""
    """Of an MLP that is a mixture, the module that is told which experts rows go to, and gives their weighted sum."""
    expert_units: bool = False
    """Whether their hidden units are found, too."""
    mixture: str = ""
    """Of such an MLP, the module that gives what its experts give, all of them, before a norm that may follow."""
    shared: str = ""
    """Of a mixture, the module of its shared experts, whose output is part of what it gives, times a gate if there is one."""
    shared_gate: str = ""
    """The linear map whose sigmoid is that gate."""
    shared_projection: str = ""
    """The linear map that gives the output of the shared experts."""
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    """Parts of addresses that have no place here though others of its kind have them, and why."""

    def site(self, name: str) -> str:
        """What the part's own `q`, `head`, `pattern` and so on are called in addresses."""
        return f"cross_{name}" if self.kind == "cross" else name

    @property
    def caller(self) -> str:
        """The module of an attention that calls it."""
        return self.attends or self.projection.rpartition(".")[0]

    @property
    def by_heads(self) -> bool:
        """Whether it is an attention that is all in its heads: queries, keys, values and writes, each a linear map."""
        whole = bool(self.projection) and len(self.maps) == 3 and not self.gated
        return whole and not any(map.latent for map in self.maps.values())


@dataclass(frozen=True)
class Layout:
    """Where the sites of a model are. Paths are in the module."""

    blocks: str
    """The list of blocks."""
    norm: str
    """The norm before the unembedding; empty where something else stands there."""
    unembed: str
    """The linear map that gives the logits; empty where there are none."""
    parts: tuple[tuple[Part, ...], ...]
    """[block] what writes into its stream, in order."""
    causal: bool = True
    """Whether no position sees those after it."""
    answers: Answers = "next"
    positions: int = 0
    """Of what it is shown, where it takes pictures or recordings alone; 0 for a model that takes token ids."""

    order: tuple[int, ...] = ()
    """Of blocks that share modules, as in ALBERT: [block] which one of the list it is. Empty where each is its own."""
    inner: str = ""
    """The path of the block below each module of the list, where those hold one block and nothing else."""

    encoder: Layout | None = None
    """Of a model with an encoder and a decoder, whose addresses these are, the layout of the encoder."""

    def blocks_of(self, module: nn.Module) -> list[nn.Module]:
        """The blocks in the order in which they run; one that runs several times is there as often."""
        listed = list(module.get_submodule(self.blocks).children())
        return [listed[i].get_submodule(self.inner) for i in self.order or range(len(listed))]

    def path(self, layer: int) -> str:
        """The path of a block in the module."""
        inner = f".{self.inner}" if self.inner else ""
        return f"{self.blocks}.{self.order[layer] if self.order else layer}{inner}"

    def turn(self, layer: int) -> int | None:
        """Which call of its module a block is, where blocks share modules."""
        return self.order[:layer].count(self.order[layer]) if self.order else None

    @property
    def adds_up(self) -> bool:
        """Whether the stream is the sum of what is written, so that no norm stands in it."""
        return not any(part.norm_after for block in self.parts for part in block)

    def part(self, kind: Kind, layer: int) -> Part | None:
        """The one part of that kind in a block, if it has one."""
        return next((p for p in self.parts[layer] if p.kind == kind), None)
