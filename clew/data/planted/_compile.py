"""Writing a transformer by hand: named spaces in its stream, and arrows between them.

The module is an ordinary `LlamaForCausalLM`; two settings make it obey to the bit.
The norms do nothing: an eps of 2^60 drowns the mean square of the stream, and a weight of 2^30 undoes it (they
work in float32, so readers see the stream rounded to that, also in a float64 model).
Rotary frequencies fall steeply, so the first four pairs of a head's coordinates tell near positions apart and the
others stand still over a prompt: with the former a head looks so many positions back, with the latter it looks for
what stands in a space.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from clew.circuits.circuit import ANYWHERE, OUTPUT, Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.data.planted.activations import stream as chance
from clew.models import Model
from clew.models.body import Body
from clew.models.graph.components import FINAL, Components
from clew.sites import Site

EPS = 2.0**60
TURNING, THETA = 4, 1e12
"""Pairs of coordinates that turn, at 1, 0.18, 0.03 and 0.006 radians a position; the next ones turn 0.001 or less."""

NOISE = 16
"""Least width of the space in which decoys write."""

Arrows = Mapping[str, int | float | Sequence[int | float]]
"""{"token -> answer": 2.0}: what stands in one space goes, times 2, into another; both are as wide, or one is 1 wide.
Several strengths are one for each coordinate of the target."""


@dataclass(frozen=True, eq=False)
class Planted:
    """A model, a behaviour of it, and the circuit that is the whole cause of it."""

    model: Model
    behaviour: Behaviour
    circuit: Circuit
    """The edges over which the behaviour flows, in the component graph, and their ends; all weights and scores are 1.

    Patching any other edges from the patch prompts, one or all, leaves the metric of every pair as it is, to the bit;
    patching one of these changes it, and no smaller set of them is as faithful. An edge over which only flows what
    clean and patch prompt have in common is none of them, even where the model uses it.
    """
    words: tuple[str, ...]
    """The name of every token."""

    @property
    def nodes(self) -> Circuit:
        """The sources among them, as a circuit of `model.components()`, which `NodeTrial` and its like can judge."""
        view = self.model.components().dictionaries
        units = [(site, unit) for site, unit, _ in self.circuit.keys() if Site.parse(site) in view]  # noqa: SIM118
        sites = tuple(view)
        return Circuit(
            sites,
            {site: dictionary.n_units for site, dictionary in view.items()},
            site=np.array([sites.index(Site.parse(site)) for site, _ in units]),
            unit=np.array([unit for _, unit in units]),
            position=np.full(len(units), ANYWHERE),
            score=np.ones(len(units)),
            patch_mean=np.full(len(units), np.nan),
        )

    def text(self, tokens: Iterable[int]) -> str:
        """A prompt in words."""
        return " ".join(self.words[token] for token in tokens)


class Spaces:
    """Named runs of coordinates, one after the other."""

    def __init__(self, **widths: int) -> None:
        self.widths = widths
        self.at: dict[str, slice] = {}
        self.width = 0
        for name, width in widths.items():
            self.at[name] = slice(self.width, self.width + width)
            self.width += width


def matrix(source: Spaces, target: Spaces, arrows: Arrows) -> Float[Tensor, "target source"]:
    """The linear map that these arrows draw; a space 1 wide goes to every coordinate, or gathers them all."""
    out = torch.zeros(target.width, source.width, dtype=torch.float64)
    for arrow, strength in arrows.items():
        start, _, end = arrow.partition(" -> ")
        block = out[target.at[end], source.at[start]]
        lines = torch.eye(len(block)) if block.shape[0] == block.shape[1] else torch.ones(block.shape)
        block += lines * torch.as_tensor(strength, dtype=out.dtype).reshape(-1, 1)
    return out


class Draft:
    """A model being written. Heads and neurons that nobody writes become decoys.

    A decoy reads a random mix of the whole stream and writes into the space `noise`, which only decoys read, and the
    unembedding, which moves all logits alike by it: decoys are alive, depend on each other and on the prompt, change
    every logit, and no difference of logits.

    Args:
        vocabulary, stream: spaces of the tokens and of the stream, whose space `one` shall be 1 at every token;
            `noise` is added to it.
        look: spaces of what a head looks for and carries.
        neurons: how many neurons each MLP has.
    """

    def __init__(
        self,
        vocabulary: Spaces,
        stream: Spaces,
        look: Spaces,
        *,
        layers: int,
        heads: int,
        kv_heads: int,
        neurons: int = 24,
        seed: int = 0,
    ) -> None:
        stream = Spaces(**stream.widths, noise=NOISE + -stream.width % heads)  # a whole number of coordinates a head
        half = TURNING + math.ceil(look.width / 2)
        shape: dict[str, Any] = {"num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": 2 * half}
        with torch.random.fork_rng(devices=[]):  # the module draws weights, of which none stays
            module = LlamaForCausalLM(
                LlamaConfig(
                    vocab_size=vocabulary.width,
                    hidden_size=stream.width,
                    intermediate_size=neurons,
                    num_hidden_layers=layers,
                    rms_norm_eps=EPS,
                    rope_parameters={"rope_type": "default", "rope_theta": THETA ** (half / 16)},
                    tie_word_embeddings=False,
                    max_position_embeddings=64,
                    bos_token_id=0,
                    eos_token_id=None,
                    **shape,
                )
            )
        self.module = module.double().eval().requires_grad_(False)
        self.vocabulary, self.stream, self.look = vocabulary, stream, look
        self.d_head, self.half = 2 * half, half
        self.still = torch.tensor([i for i in range(2 * half) if i % half >= TURNING])[: look.width]
        """Coordinates of a head that do not turn: where `look` lies."""
        self._decoys(chance("decoys", seed))

    def _decoys(self, generator: torch.Generator) -> None:
        """Fill everything with decoys."""
        noise = torch.zeros(self.stream.width, 1, dtype=torch.float64)
        noise[self.stream.at["noise"]] = 1
        for name, p in self.module.named_parameters():
            if name.endswith("norm.weight"):
                p.fill_(EPS**0.5)
            elif "layers" not in name:
                p.zero_()
            else:
                p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) / p.shape[1] ** 0.5)
                p.mul_(noise if name.endswith(("o_proj.weight", "down_proj.weight")) else 2.0)

    def embed(self, arrows: Arrows) -> None:
        """What a token puts into the stream."""
        self._weight("model.embed_tokens").copy_(matrix(self.vocabulary, self.stream, arrows).T)

    def unembed(self, arrows: Arrows) -> None:
        """What the logits read; all of them read the noise."""
        self._weight("lm_head").copy_(matrix(self.stream, self.vocabulary, arrows))
        self._weight("lm_head")[:, self.stream.at["noise"]] = 0.5

    def shared(self, layer: int, kv_head: int, *, key: Arrows, value: Arrows) -> None:
        """A key-value head: how a position is found, and what is taken from it."""
        rows = slice(kv_head * self.d_head, (kv_head + 1) * self.d_head)
        for part, arrows in (("k", key), ("v", value)):
            weight = self._weight(f"model.layers.{layer}.self_attn.{part}_proj")
            weight[rows] = 0
            weight[rows][self.still] = matrix(self.stream, self.look, arrows)
            if part == "k":
                weight[rows][:TURNING, self.stream.at["one"]] = 1

    def head(
        self, layer: int, head: int, *, write: Arrows, query: Arrows | None = None, back: int = 0, position: int = 0
    ) -> None:
        """A head: what it looks for, and where it puts what it takes from there.

        Args:
            query: strengths are in logits of the attention.
            back, position: how many positions back to look, and how strongly: `position` logits there, fewer
                elsewhere; negative to look away.
        """
        turn: Tensor = self.module.model.rotary_emb.inv_freq[:TURNING].double() * back
        q = torch.zeros(self.d_head, self.stream.width, dtype=torch.float64)
        q[self.still] = matrix(self.stream, self.look, query or {})
        q[:TURNING, self.stream.at["one"]] = position / TURNING * turn.cos()[:, None]
        q[self.half : self.half + TURNING, self.stream.at["one"]] = -position / TURNING * turn.sin()[:, None]
        rows = slice(head * self.d_head, (head + 1) * self.d_head)
        self._weight(f"model.layers.{layer}.self_attn.q_proj")[rows] = q * self.d_head**0.5
        columns = torch.zeros(self.stream.width, self.d_head, dtype=torch.float64)
        columns[:, self.still] = matrix(self.look, self.stream, write)
        self._weight(f"model.layers.{layer}.self_attn.o_proj")[:, rows] = columns

    def mlp(self, layer: int, hidden: Spaces, *, gate: Arrows, up: Arrows, down: Arrows) -> None:
        """The first neurons of an MLP: each writes silu(gate) * up."""
        for part, arrows in (("gate", gate), ("up", up)):
            rows = matrix(self.stream, hidden, arrows)
            self._weight(f"model.layers.{layer}.mlp.{part}_proj")[: hidden.width] = rows
        self._weight(f"model.layers.{layer}.mlp.down_proj")[:, : hidden.width] = matrix(hidden, self.stream, down)

    def _weight(self, path: str) -> Tensor:
        return self.module.get_submodule(path).weight  # pyright: ignore[reportReturnType]

    def model(self, name: str) -> Model:
        """The model as it is written."""
        return Model(Body(self.module, None, name))


def known_circuit(model: Model, edges: Iterable[str]) -> Circuit:
    """The circuit of these edges, written "embed -> q.1/1" or "head.1/1 -> logits", and of their ends."""
    graph = Components(model.body)
    weight = torch.zeros(graph.legal.shape, dtype=torch.float64)
    for edge in edges:
        start, _, end = edge.partition(" -> ")
        weight[graph.sources.index(_unit(start)), graph.readers.index(_unit(end))] = 1
    whole = graph.circuit(weight)
    kept = whole.keep_edges(whole.weight > 0)
    ends = np.zeros(len(whole), bool)
    ends[kept.source] = True
    ends[kept.target[kept.target != OUTPUT]] = True
    found = kept.keep(ends)
    return replace(found, score=np.ones(len(found)))


def _unit(address: str) -> tuple[Site, int]:
    site, _, unit = address.partition("/")
    return (FINAL, 0) if site == "logits" else (Site.parse(site), int(unit or 0))
