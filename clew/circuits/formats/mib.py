"""Circuits in the JSON of the Mechanistic Interpretability Benchmark (MIB, arXiv:2504.13151) and of EAP-IG.

A file lists all nodes and edges of a model's component graph, with their scores and whether they are in the circuit:
`input`, `a0.h1`, `m0`, `logits`; `a0.h1->m3`, `m0->a3.h2<q>`. Every query head has keys and values of its own there. An
edge into a key-value head of ours is therefore written out in equal parts to the query heads that share it, and an
entry `n_kv_heads` of the cfg says so, by which it is put together again (to rounding; all other scores keep every bit).
A file without that entry is read in the ungrouped view, that of `Components(model.body, ungrouped=True)`. What clew writes
says so (`"generator": "clew"`): such a file has that entry always, and names every node and edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from clew.circuits.circuit import ANYWHERE, OUTPUT, Circuit
from clew.circuits.kind import Card, Kind
from clew.files import check_names, check_spelling, check_whole, entry, entry_or, typed, whole, write_json
from clew.sites import Site

KEYS = ("cfg", "nodes", "edges")
"""What such a file has, and by which it is known."""
CFG = ("n_heads", "n_layers", "n_kv_heads", "parallel_attn_mlp", "d_model")
NODE = ("in_graph", "score", "neurons", "neurons_scores")
GENERATOR = {"generator": "clew"}
MOST = 10**9
"""Places in the table of edges; a model of 126 layers and 128 heads takes 0.8 of them."""


def matches(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() >= set(KEYS) and "format" not in value


def read(value: Mapping[str, Any], origin: str) -> Circuit:
    """`from_mib` as `Circuit.load` calls it."""
    return from_mib(value, origin=origin)


def write(circuit: Circuit, path: str | Path, **options: Any) -> Path:
    """Write `to_mib(circuit, **options)` as JSON; `Circuit.load` reads it."""
    return write_json(path, to_mib(circuit, **options))


def to_mib(circuit: Circuit, *, components: Card | None = None) -> dict[str, Any]:
    """A circuit of components as MIB's JSON, ready for `json.dump`.

    With edges, the file is about edges: those of the circuit are in the graph with their weights, all others are not and
    have score 0. Without edges it is about nodes, and an edge is in the graph if both its ends are. Units of the width
    of the stream, as `from_mib` makes them, become neurons.

    Args: components: the `card` of the component graph; that of the circuit's kind by default, which circuits of
        edges have. Another circuit of nodes needs `clew.models.graph.components.Components(model.body).card`.
    Raises: ValueError for a circuit that is not one of components.
    """
    card = components or circuit.kind.components
    if card is None or (circuit.position != ANYWHERE).any():
        raise ValueError(
            "MIB's files hold circuits of components without positions; find one with an edge method, or with a node "
            "method on model.components() and give components=Components(model.body).card (clew.models.graph.components)"
        )
    if card.blocks:
        raise ValueError(
            f"MIB's files hold models whose blocks are heads and an MLP each; this one has {card.blocks[0]} in block 0"
        )
    layout = Layout(card)
    nodes, score, held = (_edges_out if len(circuit.weight) else _nodes_out)(circuit, layout)
    cfg = {
        "n_layers": card.n_layers,
        "n_heads": card.n_heads,
        "n_kv_heads": card.n_kv_heads,
        "parallel_attn_mlp": card.parallel,
        "d_model": card.d_model,
    }
    row, column = np.nonzero(layout.legal)
    names = (f"{layout.sources[i]}->{layout.readers[j]}" for i, j in zip(row.tolist(), column.tolist(), strict=True))
    entries = zip(names, score[row, column].tolist(), held[row, column].tolist(), strict=True)
    return {
        **GENERATOR,
        "cfg": cfg,
        "nodes": {**nodes, "logits": {"in_graph": True}},
        "edges": {name: {"score": value, "in_graph": on} for name, value, on in entries},
    }


def from_mib(
    value: Mapping[str, Any], *, only_in_graph: bool = False, n_kv_heads: int | None = None, origin: str = "this JSON"
) -> Circuit:
    """Read MIB's JSON.

    Files that score edges become circuits with edges, whose nodes have the sums of their edges as scores. Files that
    score nodes (and no edge) become circuits of nodes at embed, head.L and mlp.L; neurons, which are coordinates of what
    a node adds to the stream, become units there: coordinate i of head h is unit h * d_model + i.

    Args:
        only_in_graph: leave out what is scored but not in the graph. What is neither is left out always.
        n_kv_heads: put the edges into keys and values together for so many heads, adding up their scores; what the
            cfg says by default, and as many as query heads if it says nothing.
    Raises: ValueError naming the file and what is wrong with it.
    """
    with whole(origin, "circuit of MIB"):
        cfg, nodes, edges = (entry(value, key, dict, origin=origin) for key in KEYS)
        card = _card(cfg, n_kv_heads, f"{origin}: cfg")
        layout = Layout(card)
        if value.get("generator") == GENERATOR["generator"]:
            _check_complete(value, layout, origin)
        score, held = _edges_in(edges, layout, f"{origin}: edges")
        scored = _check_nodes(nodes, layout, f"{origin}: nodes")
        if score.any() or not scored:
            return _edge_circuit(score, held, layout, only_in_graph)
        return _node_circuit(nodes, layout, only_in_graph)


def _card(cfg: Mapping[str, Any], n_kv_heads: int | None, place: str) -> Card:
    """Raises: ValueError for a setting that is missing or none, or a graph beyond all models."""
    check_spelling(cfg, CFG, place)
    heads, layers = (entry(cfg, name, int, origin=place, at_least=1) for name in CFG[:2])
    if (layers * (heads + 1)) * (layers * (3 * heads + 1)) > MOST:
        raise ValueError(f"{place}: a model of {layers} layers and {heads} heads is larger than any")
    groups, d_model = (entry_or(cfg, name, int, None, origin=place, at_least=1) for name in ("n_kv_heads", "d_model"))
    parallel = entry(cfg, "parallel_attn_mlp", bool, origin=place)
    return Card(layers, heads, n_kv_heads or groups or heads, d_model, parallel)


def _check_complete(value: Mapping[str, Any], layout: Layout, origin: str) -> None:
    """Raises: ValueError for a file that clew wrote and that has lost something since."""
    check_whole(value, [*GENERATOR, *KEYS], origin)
    check_whole(value["cfg"], CFG, f"{origin}: cfg")
    check_whole(value["nodes"], dict.fromkeys([*layout.sources, "logits"]), f"{origin}: nodes")
    if len(value["edges"]) != layout.legal.sum():
        raise ValueError(f"{origin} names {len(value['edges'])} edges; {layout.card} has {layout.legal.sum()}")


def _check_nodes(nodes: Mapping[str, Any], layout: Layout, place: str) -> bool:
    """Whether nodes have scores. Raises: ValueError for a node that no such model has, and where some have none."""
    if unknown := sorted(set(nodes) - {*layout.sources, "logits"}):
        raise ValueError(f"{unknown[0]!r} is no node of {layout.card}")
    for name, held in nodes.items():
        check_names(typed(held, f"{place}.{name}", dict), NODE, f"{place}.{name}")
        entry(held, "in_graph", bool, origin=f"{place}.{name}")
    said = {name: set(held) - {"in_graph"} for name, held in nodes.items() if name != "logits"}
    if odd := next((name for name, names in said.items() if names != next(iter(said.values()))), None):
        raise ValueError(f"{place}: some nodes have scores, and {odd!r} has others or none")
    return any(said.values())


@dataclass(frozen=True)
class Layout:
    """Where the parts of a component graph stand in a table [source, reader], ungrouped as in the file."""

    card: Card

    @cached_property
    def sources(self) -> list[str]:
        """What writes into the stream, in forward order."""
        layers, heads = range(self.card.n_layers), range(self.card.n_heads)
        return ["input", *(name for i in layers for name in (*(f"a{i}.h{h}" for h in heads), f"m{i}"))]

    @cached_property
    def readers(self) -> list[str]:
        """What reads it, in forward order."""
        layers, heads = range(self.card.n_layers), range(self.card.n_heads)
        inner = (name for i in layers for name in (*(f"a{i}.h{h}<{p}>" for p in "qkv" for h in heads), f"m{i}"))
        return [*inner, "logits"]

    @cached_property
    def legal(self) -> Bool[np.ndarray, "source reader"]:
        """Which edges there are: from a source to what comes after it."""
        before = 1 + (self.card.n_heads + 1) * np.arange(self.card.n_layers)
        mlp = before if self.card.parallel else before + self.card.n_heads
        reach = np.column_stack([np.repeat(before[:, None], 3 * self.card.n_heads, axis=1), mlp]).ravel()
        return np.arange(len(self.sources))[:, None] < np.append(reach, len(self.sources))

    @cached_property
    def of_source(self) -> list[tuple[Site, int]]:
        """Site and unit of every source."""
        layers, heads = range(self.card.n_layers), range(self.card.n_heads)
        inner = (at for i in layers for at in (*((Site("head", i), h) for h in heads), (Site("mlp", i), 0)))
        return [(Site("embed"), 0), *inner]

    @cached_property
    def of_reader(self) -> list[tuple[Site, int]]:
        """Site and unit of every reader but the logits; query heads that share a key-value head have one."""
        found: list[tuple[Site, int]] = []
        for layer in range(self.card.n_layers):
            for part, by in (("q", 1), ("k", self.card.shared_by), ("v", self.card.shared_by)):
                found += [(Site(part, layer), h // by) for h in range(self.card.n_heads)]
            found.append((Site("mlp_in", layer), 0))
        return found

    @cached_property
    def writer(self) -> Int[np.ndarray, " reader"]:
        """Of every reader but the logits, the source of the same head or MLP."""
        place = {name: i for i, name in enumerate(self.sources)}
        return np.array([place[name.partition("<")[0]] for name in self.readers[:-1]])

    def width(self, site: Site) -> int:
        """How many units a site has."""
        heads, shared = self.card.n_heads, self.card.n_kv_heads
        return {"q": heads, "head": heads, "k": shared, "v": shared}.get(site.part, 1)


Table = tuple[dict[str, Any], Float[np.ndarray, "source reader"], Bool[np.ndarray, "source reader"]]
"""The nodes as they are written, the scores of the edges, and which are in the graph."""


def _edges_out(circuit: Circuit, layout: Layout) -> Table:
    row, column = _node_numbers(circuit, layout.of_source), _node_numbers(circuit, layout.of_reader)
    column = np.append(column, len(layout.readers) - 1)  # for OUTPUT, which is the last index
    at, into = row[circuit.source], column[circuit.target]
    parts = [*(circuit.sites[int(s)].part for s in circuit.site), ""]
    shared = np.array([part in ("k", "v") for part in parts])[circuit.target]
    copies = np.where(shared, layout.card.shared_by, 1)
    if (at < 0).any() or (into < 0).any() or not layout.legal[at, into].all():
        raise ValueError(
            "the circuit has edges that are none of MIB's graph: there the embedding, heads and MLPs write, "
            "and q, k, v, mlp_in and the metric after them read"
        )
    score, held = np.zeros(layout.legal.shape), np.zeros(layout.legal.shape, bool)
    edge = np.repeat(np.arange(len(at)), copies)
    nth = np.arange(len(edge)) - np.repeat(np.cumsum(copies) - copies, copies)
    score[at[edge], into[edge] + nth], held[at[edge], into[edge] + nth] = (circuit.weight / copies)[edge], True
    fed = np.zeros(len(layout.sources), bool)
    fed[0] = True
    fed[layout.writer[held[:, :-1].any(0)]] = True
    on = fed & np.any(held, axis=1)
    return {name: {"in_graph": is_on} for name, is_on in zip(layout.sources, on.tolist(), strict=True)}, score, held


def _nodes_out(circuit: Circuit, layout: Layout) -> Table:
    neurons = layout.card.d_model if circuit.units.get(Site("mlp", 0)) == layout.card.d_model else None
    unit = circuit.unit // (neurons or 1)
    number = _node_numbers(circuit, layout.of_source, unit)
    if (number < 0).any():
        raise ValueError(
            "the circuit has nodes that are none of MIB's graph, which has them at embed, head.L and mlp.L"
        )
    score = np.zeros((len(layout.sources), neurons or 1))
    held = np.zeros(score.shape, bool)
    at = number, circuit.unit % (neurons or 1)
    score[at], held[at] = circuit.score, True
    on = np.any(held, axis=1)
    told = [{"in_graph": is_on} for is_on in on.tolist()]
    for one, values, flags in zip(told, score.tolist(), held.tolist(), strict=True):
        one |= {"neurons": flags, "neurons_scores": values} if neurons else {"score": values[0]}
    both = layout.legal & on[:, None] & np.append(on[layout.writer], True)
    return dict(zip(layout.sources, told, strict=True)), np.zeros(layout.legal.shape), both


def _node_numbers(
    circuit: Circuit, places: list[tuple[Site, int]], unit: np.ndarray | None = None
) -> Int[np.ndarray, " node"]:
    """Of every node of the circuit, the first of the places that is its own; -1 if none is."""
    first: dict[tuple[Site, int], int] = {}
    for i, place in enumerate(places):
        first.setdefault(place, i)
    units = circuit.unit if unit is None else unit
    at = ((circuit.sites[int(s)], int(u)) for s, u in zip(circuit.site, units, strict=True))
    return np.array([first.get(place, -1) for place in at], np.int64)


def _edges_in(
    edges: Mapping[str, Any], layout: Layout, place: str
) -> tuple[Float[np.ndarray, "source reader"], Bool[np.ndarray, "source reader"]]:
    """Scores of the edges, and which are in the graph. Raises: ValueError for an edge that no such model has."""
    rows = {name: i for i, name in enumerate(layout.sources)}
    columns = {name: i for i, name in enumerate(layout.readers)}
    score, held = np.zeros(layout.legal.shape), np.zeros(layout.legal.shape, bool)
    scored = any("score" in told for told in edges.values())
    for name, told in edges.items():
        source, _, reader = name.partition("->")
        at = rows.get(source, -1), columns.get(reader, -1)
        if min(at) < 0 or not layout.legal[at]:
            raise ValueError(f"{name!r} is no edge of {layout.card}")
        check_spelling(typed(told, f"{place}.{name}", dict), NODE[:2], f"{place}.{name}")
        score[at] = entry(told, "score", float, origin=f"{place}.{name}") if scored else 0.0
        held[at] = entry(told, "in_graph", bool, origin=f"{place}.{name}")
    return score, held


def _edge_circuit(score: np.ndarray, held: np.ndarray, layout: Layout, only_in_graph: bool) -> Circuit:
    """The circuit of a table of edges, its shared key-value heads put together; nodes without edges left out."""
    readers = list(dict.fromkeys(layout.of_reader))
    place = {at: i for i, at in enumerate(readers)}
    group = np.array([*(place[at] for at in layout.of_reader), len(readers)])
    shape = len(layout.sources), len(readers) + 1
    weight, kept = np.zeros(shape), np.zeros(shape, bool)
    row, column = np.nonzero(held if only_in_graph else held | (score != 0))
    np.add.at(weight, (row, group[column]), score[row, column])
    kept[row, group[column]] = True
    source, reader = np.nonzero(kept)
    target = np.where(reader == len(readers), OUTPUT, len(layout.sources) + reader)
    whole = _circuit([*layout.of_source, *readers], np.concatenate([weight.sum(1), weight.sum(0)[:-1]]), layout)
    wired = replace(whole, source=source, target=target, weight=weight[source, reader], weight_error=np.zeros(0))
    found = wired.keep(np.concatenate([np.any(kept, axis=1), np.any(kept, axis=0)[:-1]]))
    return found.with_kind(of="components")


def _node_circuit(nodes: Mapping[str, Any], layout: Layout, only_in_graph: bool) -> Circuit:
    """The circuit of scored nodes or neurons. What has no score, or nan, MIB always keeps: it is no node here."""
    wide = any("neurons" in told for told in nodes.values())
    width = int(layout.card.d_model or 0) if wide else 1
    places: list[tuple[Site, int]] = []
    scores = [np.zeros(0)]
    for name, (site, unit) in zip(layout.sources, layout.of_source, strict=True):
        told = nodes.get(name, {})
        flags = told.get("neurons", [False] * width) if wide else [told.get("in_graph", False)]
        values = told.get("neurons_scores", [0.0] * width) if wide else [told.get("score", np.nan)]
        held = np.array([typed(flag, f"{name}: neurons", bool) for flag in typed(flags, f"{name}: neurons", list)])
        score = np.array([_number(one, name) for one in typed(values, f"{name}: neurons_scores", list)], np.float64)
        if len(score) != width or len(held) != width:
            raise ValueError(
                f"{name!r} has {len(score)} scores for {len(held)} neurons where d_model is {layout.card.d_model}"
            )
        kept = np.flatnonzero(np.isfinite(score) & (held if only_in_graph else held | (score != 0)))
        places += [(site, unit * width + i) for i in kept.tolist()]
        scores.append(score[kept])
    return _circuit(places, np.concatenate(scores), layout, width)


def _number(value: Any, name: str) -> float:
    """A score; one that is not known is NaN, which a file of JSON cannot hold."""
    return value if value != value else float(typed(value, f"{name}: score", float))


def _circuit(places: list[tuple[Site, int]], score: np.ndarray, layout: Layout, width: int = 1) -> Circuit:
    """A circuit of these nodes, without edges; all sites that write are listed."""
    sites = sorted({*(site for site, _ in layout.of_source), *(site for site, _ in places)})
    number = {site: i for i, site in enumerate(sites)}
    return Circuit(
        tuple(sites),
        {site: layout.width(site) * width for site in sites},
        site=np.array([number[site] for site, _ in places], np.int64),
        unit=np.array([unit for _, unit in places], np.int64),
        position=np.full(len(places), ANYWHERE),
        score=score,
        patch_mean=np.full(len(places), np.nan),
        kind=Kind(components=layout.card),
    )
