"""The component graph: who writes into the stream, who reads it, and through which matrices.

Sources are the embedding, every head and every MLP; readers are the queries, keys and values of every head, the
input of every MLP, and the logits. What cannot be split into heads (a state space, an attention whose keys are made in
another way) is one source and one reader, as an MLP is. An edge joins a source to a reader that comes after it: what the
reader reads is the sum of what the sources before it wrote. Source: Elhage et al. 2021, "A mathematical framework for
transformer circuits". A key-value head that several query heads share is one reader, as it is in the model.

The matrices are read off the unmodified module; nothing here runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.circuits.circuit import ANYWHERE, OUTPUT, Circuit
from clew.circuits.kind import Card, Kind
from clew.models.body import Body
from clew.models.layout import Part
from clew.models.state import lock_of
from clew.models.trace import Trace
from clew.models.weights import matrix_of
from clew.sites import Site

Unit = tuple[Site, int]
"""One source or reader: a site and which unit of it."""
Map = Callable[[Tensor], Tensor]
EMBED, FINAL = Site("embed"), Site("final")


class Components:
    """Sources, readers and edges of one body.

    Args: ungrouped: give every query head keys and values of its own, as published tools count them; attribution
        can score such edges, and what a shared key-value head reads is then split among its query heads.
    """

    def __init__(self, body: Body, *, ungrouped: bool = False) -> None:
        if not body.layout.adds_up:
            raise ValueError(
                f"the stream of {body.name} goes through a norm in every block, so what is written there does not add up, "
                "and its edges are not those of a graph of components; circuits of nodes (model.components()) can be had"
            )
        if body.layout.encoder is not None:
            raise ValueError(
                f"{body.name} has two streams, of an encoder and of a decoder, and a graph of components is of one; circuits "
                "of nodes (model.components()) can be had of both"
            )
        _ = body.final_norm  # what the logits read is the stream, and nothing else
        self.body = body
        self.n_layers, self.n_heads = body.n_layers, body.n_heads
        self.ungrouped = ungrouped and body.n_kv_heads != body.n_heads
        self.n_kv_heads = body.n_heads if ungrouped else body.n_kv_heads
        self.blocks = tuple(
            tuple(self._split(layer, part) for part in parts) for layer, parts in enumerate(body.layout.parts)
        )
        """[block] sites that write there, in order, each with the sites that read for it."""
        sources: list[Unit] = [(EMBED, 0)]
        readers: list[Unit] = []
        reach: list[int] = []
        """[reader] how many sources come before it."""
        for parts, block in zip(body.layout.parts, self.blocks, strict=True):
            ends = [len(sources)]
            for part, (writes, reads) in zip(parts, block, strict=True):
                readers += [(site, i) for site in reads for i in range(self.width(site.part))]
                reach += [ends[part.after]] * (len(readers) - len(reach))
                sources += [(writes, i) for i in range(self.width(writes.part))]
                ends.append(len(sources))
        self.sources, self.readers = tuple(sources), (*readers, (FINAL, 0))
        self.reach = (*reach, len(sources))
        for site, _ in (*self.sources, *self.readers):
            body.site(site)
        index = torch.arange(len(sources))[:, None]
        self.legal: Bool[Tensor, "source reader"] = index < torch.tensor(self.reach)
        """True where the source comes before the reader."""

    def _split(self, layer: int, part: Part) -> tuple[Site, tuple[Site, ...]]:
        """Where a part writes, and where it reads."""
        writes, reads = ("head", "qkv") if part.by_heads else (part.kind, [f"{part.kind}_in"])
        return Site(writes, layer), tuple(Site(name, layer) for name in reads)

    def width(self, part: str) -> int:
        """How many units a site of that part has in this graph."""
        return {"q": self.n_heads, "k": self.n_kv_heads, "v": self.n_kv_heads, "head": self.n_heads}.get(part, 1)

    @property
    def n_edges(self) -> int:
        return int(self.legal.sum())

    def __repr__(self) -> str:
        view = ", keys and values ungrouped" if self.ungrouped else ""
        return f"Components({len(self.sources)} sources, {len(self.readers)} readers, {self.n_edges:,} edges{view})"

    @cached_property
    def source_sites(self) -> list[Site]:
        """Sites of the sources, in forward order."""
        return list(dict.fromkeys(site for site, _ in self.sources))

    @cached_property
    def source_at(self) -> dict[Site, slice]:
        """Where the units of a site stand among the sources."""
        return _runs(self.sources)

    @cached_property
    def reader_at(self) -> dict[Site, slice]:
        """Where the units of a site stand among the readers."""
        return _runs(self.readers)

    # What they write.

    def writes(self, trace: Trace) -> Float[Tensor, "batch source seq d_model"]:
        """What each source adds to the stream, in a run that read `source_sites`.

        With the biases of the output projections, which belong to no head, they add up to the stream.
        """
        batch, seq, d = trace[EMBED].shape
        out = trace[EMBED].new_empty(batch, len(self.sources), seq, d)
        for site, at in self.source_at.items():
            out[:, at] = self.write(site, trace[site].detach())
        return out

    def write(self, site: Site, value: Tensor) -> Float[Tensor, "batch unit seq d_model"]:
        """What the units of one source site add to the stream, from what flows there.

        Where a norm follows the heads (Gemma 2 and 3), each head's share is scaled as that norm scales their sum.
        """
        if site.part != "head":
            return value.unsqueeze(1)
        heads = value.unflatten(-1, (self.n_heads, -1))
        matrix, bias = self._output[site.layer or 0]
        shares = torch.einsum("bphe,hed->bhpd", heads, matrix)
        norm, factor = self.body.after("out", site.layer or 0)
        if norm is None:
            return shares * factor if factor != 1 else shares
        mixed = shares.sum(1) if bias is None else shares.sum(1) + bias
        gain = norm.forward(torch.ones_like(mixed[:1, :1]))
        scaled = gain * mixed
        scale = (norm.forward(mixed) * scaled).sum(-1, keepdim=True) / (scaled**2).sum(-1, keepdim=True)
        return shares * (factor * gain * scale).unsqueeze(1)

    @cached_property
    def _output(self) -> dict[int, tuple[Tensor, Tensor | None]]:
        """Of each layer with heads: the output projection by head, [head, d_head, d_model], and its bias."""
        found: dict[int, tuple[Tensor, Tensor | None]] = {}
        for site in self.source_at:
            if site.part != "head":
                continue
            self.body.require("weights", f"out.{site.layer}")
            with lock_of(self.body.module):
                matrix, bias = matrix_of(self.body.taps[site].module)
            found[site.layer or 0] = matrix.T.unflatten(0, (self.n_heads, -1)), bias
        return found

    # How they read.

    def norm(self, site: Site) -> Map:
        """The norm between the stream and a reader's site, as a function that no hook sees."""
        return self.body.norm_before(self.part(site).kind, site.layer or 0).forward

    def part(self, site: Site) -> Part:
        """The part of a block that reads or writes at a site of this graph."""
        layer = site.layer or 0
        parts = zip(self.body.layout.parts[layer], self.blocks[layer], strict=True)
        return next(part for part, (writes, reads) in parts if site == writes or site in reads)

    def stream_sites(self, site: Site) -> tuple[Site, ...]:
        """Sites whose values add up to the stream that the norm before a reader gets."""
        layer = site.layer or 0
        before = Site("resid", layer - 1) if layer else EMBED
        written = self.body.layout.parts[layer][: self.part(site).after]
        return (before, *(Site(part.kind, layer) for part in written))

    def projection(self, site: Site) -> tuple[Float[Tensor, "head d_model d_head"], Float[Tensor, "head d_head"]]:
        """The matrix and bias with which each head of the model makes its queries, keys or values."""
        return self._projections[site]

    @cached_property
    def _projections(self) -> dict[Site, tuple[Tensor, Tensor]]:
        found = {}
        for site in self.reader_at:
            if site.part not in "qkv":
                continue
            self.body.require("weights", site)
            tap = self.body.taps[site]
            with lock_of(self.body.module):
                matrix, bias = matrix_of(tap.module)
            bias = matrix.new_zeros(len(matrix)) if bias is None else bias
            if tap.columns is not None:
                matrix, bias = matrix[tap.columns.to(matrix.device)], bias[tap.columns.to(matrix.device)]
            heads = self.n_heads if site.part == "q" else self.body.n_kv_heads
            found[site] = matrix.T.unflatten(1, (heads, -1)).permute(1, 0, 2), bias.unflatten(0, (heads, -1))
        return found

    # Circuits.

    def circuit(
        self, weight: Float[Tensor, "source reader"], error: Float[Tensor, "source reader"] | None = None
    ) -> Circuit:
        """All legal edges with these weights; a source's score is the sum over its edges, and a reader's likewise.

        To first order the sum over a source's edges is the effect of patching the source.
        """
        sites = sorted({site for site, _ in (*self.sources, *self.readers[:-1])})
        place = {site: i for i, site in enumerate(sites)}
        nodes = (*self.sources, *self.readers[:-1])
        weight = (weight.detach().cpu() * self.legal).double()
        source, reader = (index.numpy() for index in self.legal.nonzero(as_tuple=True))
        spread = np.zeros(0) if error is None else error.detach().cpu().double().numpy()[source, reader]
        return Circuit(
            tuple(sites),
            {site: self.width(site.part) for site in sites},
            site=np.array([place[site] for site, _ in nodes]),
            unit=np.array([unit for _, unit in nodes]),
            position=np.full(len(nodes), ANYWHERE),
            score=torch.cat([weight.sum(1), weight.sum(0)[:-1]]).numpy(),
            patch_mean=np.full(len(nodes), np.nan),
            source=source,
            target=np.where(reader == len(self.readers) - 1, OUTPUT, len(self.sources) + reader),
            weight=weight.numpy()[source, reader],
            weight_error=spread,
            kind=Kind("components", components=self.card),
        )

    def source_circuit(self, score: Float[Tensor, " source"], error: Float[Tensor, " source"]) -> Circuit:
        """The sources alone as nodes, as `model.components()` sees them."""
        sites = tuple(self.source_sites)
        return Circuit(
            sites,
            {site: self.width(site.part) for site in sites},
            site=np.array([sites.index(site) for site, _ in self.sources]),
            unit=np.array([unit for _, unit in self.sources]),
            position=np.full(len(self.sources), ANYWHERE),
            score=score.detach().cpu().double().numpy(),
            patch_mean=np.full(len(self.sources), np.nan),
            score_error=error.detach().cpu().double().numpy(),
            kind=Kind(components=self.card),
        )

    @property
    def card(self) -> Card:
        """What identifies the graph."""
        named = tuple(" ".join(writes.part for writes, _ in block) for block in self.blocks)
        blocks = () if set(named) == {"head mlp"} else named
        return Card(self.n_layers, self.n_heads, self.n_kv_heads, self.body.widths[EMBED], self.body.parallel, blocks)

    def table(self, circuit: Circuit, values: np.ndarray | None = None) -> Float[Tensor, "source reader"]:
        """Edge weights of a circuit (or `values`, one for each of its edges) as a table; 0 where it has no edge.

        Raises: ValueError for a circuit whose edges are not those of this graph.
        """
        for site, units in circuit.units.items():
            if site.part in "kv" and units != self.width(site.part):
                raise ValueError(
                    f"the circuit has {units} units at {site}, and {self!r} has {self.width(site.part)} there: "
                    "it was found in the other view of shared key-value heads; search with or without ungrouped=True as here"
                )
        known: list[dict[tuple[str, int], int]] = [
            {(str(site), unit): i for i, (site, unit) in enumerate(some)} for some in (self.sources, self.readers)
        ]
        names = [(str(circuit.sites[s]), int(u)) for s, u in zip(circuit.site, circuit.unit, strict=True)]
        row = np.array([known[0].get(name, -1) for name in names] or [0])
        column = np.array([*(known[1].get(name, -1) for name in names), len(self.readers) - 1])
        source, reader = row[circuit.source], column[np.where(circuit.target == OUTPUT, -1, circuit.target)]
        out = torch.zeros(len(self.sources), len(self.readers), dtype=torch.float64)
        wrong = (source < 0) | (reader < 0)
        if not wrong.any():
            wrong = ~self.legal.numpy()[source, reader]
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            ends = [
                names[circuit.source[i]],
                names[circuit.target[i]] if circuit.target[i] != OUTPUT else ("logits", 0),
            ]
            raise ValueError(
                f"the edge {ends[0][0]}/{ends[0][1]} -> {ends[1][0]}/{ends[1][1]} is none of {self.body.name}'s component "
                f"graph ({self!r}); was the circuit found on another model, or in the ungrouped view?"
            )
        out[source, reader] = torch.from_numpy(np.asarray(circuit.weight if values is None else values, np.float64))
        return out

    def keep(self, circuit: Circuit) -> Bool[Tensor, "source reader"]:
        """Which edges a circuit holds."""
        return self.table(circuit, np.ones(len(circuit.weight))) > 0


def _runs(units: tuple[Unit, ...]) -> dict[Site, slice]:
    runs: dict[Site, slice] = {}
    for i, (site, _) in enumerate(units):
        runs[site] = slice(runs[site].start if site in runs else i, i + 1)
    return runs
