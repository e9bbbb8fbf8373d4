"""How an atlas is made: which places are looked for, how they are grouped, and how circuits are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from clew.values import Value

Each = Literal["document", "window", "all"]
Otherwise = Literal["mean", "resample", "zero"]
LEAST = 2
"""Members that a circuit is found on at least, and judged on."""


@dataclass(frozen=True)
class Finding(Value):
    """Which places of the text are looked for."""

    loss: float = 0.3
    """Where -log p of the next token is below this, in nats; 0 for any."""
    right: bool = True
    """Where no other token is likelier."""
    repeated: bool = False
    """Also where the last token of the context was followed by the same answer earlier in it."""
    each: Each = "document"
    """One place of each document, one of each window, or all."""
    length: int = 32
    """Tokens of a context."""
    window: int = 48
    """Tokens that the model is shown at once."""
    positions: int | None = None
    """How many positions of the text are read at most; all where it is not given."""

    def __post_init__(self) -> None:
        if self.each not in get_args(Each):
            raise ValueError(f"each={self.each!r}; choose {', '.join(get_args(Each))}")
        if not 2 <= self.length < self.window:
            raise ValueError(
                f"length={self.length}, window={self.window}: a context has two tokens at least, and a window more"
            )


@dataclass(frozen=True)
class Grouping(Value):
    """How contexts are put into clusters."""

    vectors: str = "effects"
    """By what they are alike: activations, features, effects or gradients."""
    k: tuple[int, ...] = (20, 50, 100)
    """How many clusters, each of some five contexts at least; of several numbers the one at which clusterings of two samples
    agree most."""
    clusters: str = "spherical_kmeans"
    """How: spherical_kmeans, spectral for few contexts, or faiss_kmeans for very many."""
    dims: int = 4096
    """Of the vectors at most; a sparse random projection sees to it."""


@dataclass(frozen=True)
class Wiring(Value):
    """How the circuit of a cluster is found and judged."""

    by: str = "attribution_patching"
    """The method that scores nodes, as for `clew find`."""
    otherwise: tuple[Otherwise, ...] = ("mean",)
    """What becomes of a unit that is taken away: its mean over contexts of other clusters, its value in another one
    (resample), or zero. By the first a circuit is found, by each it is judged."""
    nodes: int = 100
    """How many are kept."""
    wired: int = 0
    """Edges are found among this many of them."""
    draws: int = 1
    """Random circuits beside it; p can be no less than 1 / (1 + so many)."""
    members: int = 30
    """Of a cluster at most; a third is left out to judge on."""

    def __post_init__(self) -> None:
        if odd := [kind for kind in self.otherwise if kind not in get_args(Otherwise)] or not self.otherwise:
            raise ValueError(f"otherwise={self.otherwise}: choose of {', '.join(get_args(Otherwise))} ({odd})")
        if self.nodes < 1 or self.draws < 1 or not 0 <= self.wired <= self.nodes:
            raise ValueError(
                f"nodes={self.nodes}, wired={self.wired}, draws={self.draws}: one node and one draw are the least, and no "
                "more nodes are wired than kept"
            )
        if self.members < 2 * LEAST:
            raise ValueError(
                f"members={self.members}: a circuit needs {LEAST} to be found on and {LEAST} to be judged on"
            )
