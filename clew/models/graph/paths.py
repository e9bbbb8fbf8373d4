"""Paths: a run in which every reader of the component graph sees every source through an edge of its own.

At reader v the stream is x + sum over sources u of (1 - keep[u, v]) (other_u - current_u): an edge with keep 1 hands
on what its source wrote in this run, an edge with keep 0 what it wrote on other prompts. Source: path patching
(Goldowsky-Dill et al. 2023, arXiv:2304.05969), for all edges at once as in ACDC (Conmy et al. 2023) and MIB.

The module runs unmodified. Each reader's input is made beside it, from the stream that enters its block, and what
its projection would have made of that input takes the place of its own output; where no edge of a site is cut,
nothing is replaced. Differentiable in `keep`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.changes import ActivationEdit
from clew.models.graph.components import EMBED, FINAL, Components
from clew.models.model import Model
from clew.models.trace import Trace
from clew.sites import Site


@dataclass(frozen=True, eq=False)
class _Call(ActivationEdit):
    """Whatever a function makes of the value."""

    function: Callable[[Tensor], Tensor] = field(kw_only=True)

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x)


@dataclass(frozen=True, eq=False)
class Paths:
    """What every source would write otherwise; `run` mixes the two along the edges.

    Args:
        other: what each source writes on other prompts, [batch, source, seq, d_model]: `graph.writes` of their run.
        clean: likewise on the prompts to be run, with nothing cut, and `base`: a recorded trace of that run. Given
            both, a run starts at the first layer in which an edge is cut.
    """

    graph: Components
    model: Model
    other: Float[Tensor, "batch source seq d_model"]
    clean: Float[Tensor, "batch source seq d_model"] | None = None
    base: Trace | None = None

    def __post_init__(self) -> None:
        if self.graph.ungrouped:
            raise ValueError(
                f"{self.model.name} has {self.graph.body.n_kv_heads} key-value heads for {self.graph.n_heads} heads, so the "
                "keys of one query head cannot be cut alone; use Components(body) without ungrouped=True"
            )

    def run(
        self,
        tokens: Int[Tensor, "batch seq"],
        keep: Float[Tensor, "*copies source reader"] | Bool[Tensor, "*copies source reader"],
        *,
        read: Iterable[Site | str] = (),
        grad: bool = False,
        logits: int = 1,
    ) -> Trace:
        """Run prompts with these edges.

        Args:
            tokens: as many rows as `other` has.
            keep: of each edge, how much of the current run it hands on, 0 to 1; with a leading axis, one table for
                each copy of the prompts: the trace then holds whole copies, one after the other.
            read, grad, logits: as for `Model.run`.

        Returns: the trace.
        """
        keep = keep.to(self.other)
        copies = keep.shape[0] if keep.ndim == 3 else 1
        keep = keep.unsqueeze(0) if keep.ndim == 2 else keep
        edits = _Walk(self, keep, copies).edits()
        rows = tokens.repeat(copies, 1)
        return self.model.run(rows, read=read, edits=edits, grad=grad, logits=logits, base=self.base)


class _Walk:
    """One run: what the sources wrote so far, and what the readers see of it."""

    def __init__(self, paths: Paths, keep: Tensor, copies: int) -> None:
        self.graph, self.other, self.clean, self.copies = paths.graph, paths.other, paths.clean, copies
        self.cut = 1 - keep
        self._moves: list[Tensor] = []
        self._seen = 0
        self.joined: dict[Site, Tensor] = {}
        self.streams: dict[int, Tensor] = {}
        self._inputs: dict[Site, Tensor] = {}
        any_cut = ((self.cut != 0) & self.graph.legal.to(keep.device)).any(0).any(0).tolist()
        self.needs = {site for site, at in self.graph.reader_at.items() if keep.requires_grad or any(any_cut[at])}

    def edits(self) -> list[ActivationEdit]:
        """Watchers at every source, and a replacement at every reader of which an edge is cut."""
        if not self.needs:
            return []
        top = self.graph.n_layers - 1
        layers = [top if site == FINAL else site.layer or 0 for site in self.needs]
        first = 0 if self.clean is None else min(layers)
        edits: list[ActivationEdit] = [
            _Call(Site("resid", first - 1) if first else EMBED, function=partial(self._enters, first))
        ]
        for layer in range(first, max(layers) + 1):
            for writes, reads in self.graph.blocks[layer]:
                edits += [_Call(s, function=partial(self._reads, s)) for s in reads if s in self.needs]
                edits.append(_Call(writes, function=partial(self._wrote, writes)))
            edits += [_Call(s, function=partial(self._joins, s)) for s in self._awaited(layer)]
            leaves = self._leaves if layer == top else partial(self._enters, layer + 1)
            edits.append(_Call(Site("resid", layer), function=leaves))
        return edits

    def _awaited(self, layer: int) -> set[Site]:
        """Sites of a block whose values are part of the stream that a later reader of it gets."""
        readers = [reads[-1] for _, reads in self.graph.blocks[layer] if not self.needs.isdisjoint(reads)]
        return {s for reader in readers for s in self.graph.stream_sites(reader)[1:]}

    # Watchers.

    def _enters(self, layer: int, x: Tensor) -> Tensor:
        self.streams = {layer: x}
        self.joined = {}
        if not self._seen:
            below = self.graph.source_at[self.graph.blocks[layer][0][0]].start
            self._take(x.unsqueeze(1) if self.clean is None else self.clean[:, :below].repeat(self.copies, 1, 1, 1))
        return x

    def _wrote(self, site: Site, x: Tensor) -> Tensor:
        self._take(self.graph.write(site, x))
        return x

    def _joins(self, site: Site, x: Tensor) -> Tensor:
        self.joined[site] = x
        return x

    def _take(self, written: Float[Tensor, "batch unit seq d_model"]) -> None:
        """Note other - current of the next sources: into one buffer, or apart where gradients must pass."""
        first, self._seen = self._seen, self._seen + written.shape[1]
        move = self.other[:, first : self._seen].repeat(self.copies, 1, 1, 1) - written
        if torch.is_grad_enabled():
            self._moves.append(move)
            return
        self._moves = self._moves or [move.new_empty(len(move), *self.other.shape[1:])]
        self._moves[0][:, first : self._seen] = move

    # What readers see.

    def _shift(self, sites: list[Site]) -> Float[Tensor, "batch reader seq d_model"]:
        """sum over sources of (1 - keep) (other - current), for the readers at these neighbouring sites."""
        readers = slice(self.graph.reader_at[sites[0]].start, self.graph.reader_at[sites[-1]].stop)
        reach = self.graph.reach[readers.start]
        cut = self.cut[:, :reach, readers].repeat_interleave(len(self.other), 0).transpose(1, 2)
        first, parts = 0, []
        for move in self._moves if torch.is_grad_enabled() else [self._moves[0][:, :reach]]:
            if first < reach:  # in a parallel block the heads have written, but its MLP does not read them
                parts.append(cut[:, :, first : first + move.shape[1]] @ move.flatten(2))
                first += move.shape[1]
        return sum(parts[1:], parts[0]).unflatten(2, self.other.shape[2:])

    def _reads(self, site: Site, x: Tensor) -> Tensor:
        """What flows at a reader, made of the stream as it sees it."""
        stream = self.streams[site.layer or 0]
        for written in self.graph.stream_sites(site)[1:]:
            stream = stream + self.joined[written]
        if site.part not in "qkv":
            return self.graph.norm(site)(stream + self._shift([site])[:, 0])
        together = [Site(part, site.layer) for part in "qkv"]
        if site not in self._inputs:
            normed = self.graph.norm(site)(stream.unsqueeze(1) + self._shift(together))
            widths = [self.graph.width(s.part) for s in together]
            self._inputs = dict(zip(together, normed.split(widths, dim=1), strict=True))
        matrix, bias = self.graph.projection(site)
        return (torch.einsum("bhpd,hde->bphe", self._inputs[site], matrix) + bias).flatten(-2)

    def _leaves(self, x: Tensor) -> Tensor:
        return x + self._shift([FINAL])[:, 0] if FINAL in self.needs else x
