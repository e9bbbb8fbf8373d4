"""A circuit: scored units, the edges between them, their labels, and where all of it came from.

Columns, not objects: a circuit of a million nodes is six arrays. `circuit.nodes` gives records
for people; `circuit["resid.3/17"]` selects; a selection makes edits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clew import finder
from clew.changes import Scale, Set, SiteEdit
from clew.files import read_any_json, write_json
from clew.sites import EVERY, READERS, Site, Where, near

FORMAT, VERSION = "clew circuit", 1
FORMATS = "circuits.formats"
ERROR = -1
"""The unit of an error node: all that the dictionary at its site leaves unexplained."""
ANYWHERE = -1
"""The position of a node that stands for its unit at every position."""
OUTPUT = -1
"""The target of an edge that ends in the metric."""
NODE_COLUMNS = ("site", "unit", "position", "score", "patch_mean", "score_error")
EDGE_COLUMNS = ("source", "target", "weight", "weight_error")
OPTIONAL = ("score_error", "weight_error")
"""Columns that older files do not have; nan then."""


@dataclass(frozen=True)
class Node:
    """One unit of one dictionary, at one position or at all of them."""

    site: Site
    unit: int
    position: int
    score: float
    """Drop of the behaviour's metric when the unit takes its patch value; positive = it supports the behaviour."""
    label: str = ""

    @property
    def address(self) -> str:
        """`resid.3/17`, `resid.3/17@4` at position 4, `resid.3/error` for the error node."""
        unit = "error" if self.unit == ERROR else str(self.unit)
        return f"{self.site}/{unit}" + ("" if self.position == ANYWHERE else f"@{self.position}")


@dataclass(frozen=True, eq=False)
class Circuit:
    """Nodes as columns, edges as columns; every way of finding one returns this, every measure reads it."""

    sites: tuple[Site, ...]
    """Sites of the lens, in forward order, including those without a node."""
    units: Mapping[Site, int]
    """How many units the dictionary at each site offers."""
    site: np.ndarray
    """[node] index into `sites`."""
    unit: np.ndarray
    """[node] unit of the dictionary there; ERROR for its error node."""
    position: np.ndarray
    """[node] token position; ANYWHERE when effects were summed over positions."""
    score: np.ndarray
    """[node] effect on the metric, see `Node.score`."""
    patch_mean: np.ndarray
    """[node] mean of the unit over the patch prompts; nan for error nodes."""
    source: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """[edge] index of the upstream node."""
    target: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """[edge] index of the downstream node; OUTPUT for the metric itself."""
    weight: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """[edge] part of the target's effect that comes through the source."""
    score_error: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """[node] standard error of `score` over examples; nan where it is not known."""
    weight_error: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """[edge] standard error of `weight` over examples; nan where it is not known."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Names of units, by address without position."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What a page can show: top tokens of units, the words of the template, a faithfulness curve. Plain JSON."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Model, dictionary and behaviour hashes, method and arguments, seed, versions, device, dtype, seconds."""

    def __post_init__(self) -> None:
        for error, column in zip(OPTIONAL, (self.score, self.weight), strict=True):
            if len(getattr(self, error)) != len(column):
                assert len(getattr(self, error)) == 0, f"{error} has another length than its column"
                object.__setattr__(self, error, np.full(len(column), np.nan))

    def __len__(self) -> int:
        return len(self.score)

    def __iter__(self) -> Iterator[Node]:
        for i in range(len(self)):
            node = Node(self.sites[self.site[i]], int(self.unit[i]), int(self.position[i]), float(self.score[i]))
            yield replace(node, label=self.labels.get(node.address.partition("@")[0], ""))

    @property
    def nodes(self) -> list[Node]:
        """All nodes as records, in the order of the columns."""
        return list(self)

    @property
    def edges(self) -> list[tuple[int, int, float]]:
        """(source, target, weight) of all edges; a target OUTPUT (-1) is the metric."""
        return list(zip(self.source.tolist(), self.target.tolist(), self.weight.tolist(), strict=True))

    def __repr__(self) -> str:
        return f"Circuit({len(self)} node{'s' * (len(self) != 1)}, {len(self.weight)} edges, lens of {len(self.sites)} sites)"

    # Choosing.

    def keep(self, chosen: np.ndarray) -> Circuit:
        """The circuit of the chosen nodes (a mask or indices, [node]) and of the edges between them."""
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        new = np.full(len(self) + 1, -2, np.int64)  # the last entry is OUTPUT seen as index -1
        new[index] = np.arange(len(index))
        new[-1] = OUTPUT
        edge = (new[self.source] >= 0) & (new[self.target] != -2)
        columns = {name: getattr(self, name)[index] for name in NODE_COLUMNS}
        edges = {name: getattr(self, name)[edge] for name in EDGE_COLUMNS}
        return replace(self, **columns, **edges | {end: new[edges[end]] for end in ("source", "target")})

    def top(self, n: int) -> Circuit:
        """The n nodes of largest |score|, largest first; ties keep forward order. All of them where there are fewer.

        Raises: ValueError unless n is a whole number from 0 on.
        """
        _check_count(n, "nodes")
        return self.keep(np.argsort(-np.abs(self.score), kind="stable")[:n])

    def above(self, threshold: float) -> Circuit:
        """The nodes with |score| > threshold."""
        return self.keep(np.abs(self.score) > threshold)

    def strongest_edges(self, n: int) -> Circuit:
        """The same nodes with only the n edges of largest |weight|. Raises: as `top`."""
        _check_count(n, "edges")
        return self.keep_edges(np.argsort(-np.abs(self.weight), kind="stable")[:n])

    def keep_edges(self, chosen: np.ndarray) -> Circuit:
        """The same nodes with only the chosen edges (a mask or indices, [edge])."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in EDGE_COLUMNS})

    def labelled(self, labels: Mapping[str, str]) -> Circuit:
        """The same circuit with these labels added; keys are addresses such as `resid.3/17`, a position is left off.

        Raises: KeyError for an address that no node has.
        """
        given = {address.partition("@")[0]: label for address, label in labels.items()}
        known = {n.address.partition("@")[0] for n in self}
        for address in given:
            if address not in known:
                raise KeyError(f"no node of this circuit has the address {address!r}; {near(address, sorted(known))}")
        return replace(self, labels={**self.labels, **given})

    def everywhere(self) -> Circuit:
        """Its units without their positions, scores summed, so that edits made of it act at every position."""
        sums: dict[tuple[int, int], list[float]] = {}
        for s, u, score, mean in zip(self.site, self.unit, self.score, self.patch_mean, strict=True):
            sums.setdefault((int(s), int(u)), []).append(float(score))
            sums[int(s), int(u)].append(float(mean))
        keys, values = np.array(list(sums), np.int64).reshape(-1, 2), list(sums.values())
        return replace(
            self,
            site=keys[:, 0],
            unit=keys[:, 1],
            position=np.full(len(keys), ANYWHERE),
            score=np.array([sum(v[::2]) for v in values]),
            patch_mean=np.array([np.mean(v[1::2]) for v in values]),
            source=np.zeros(0, np.int64),
            target=np.zeros(0, np.int64),
            weight=np.zeros(0),
            score_error=np.zeros(0),
            weight_error=np.zeros(0),
        )

    def with_details(self, **details: Any) -> Circuit:
        """The same circuit with more for a page to show."""
        return replace(self, details={**self.details, **details})

    def __getitem__(self, name: str) -> Circuit:
        """Nodes by label, by address (`resid.3/17`, `resid.3/17@4`, `resid.3/error`) or by site (`resid.3`).

        Raises: KeyError that lists the near labels and addresses.
        """
        hit = np.array([name in (n.label, n.address, n.address.partition("@")[0], str(n.site)) for n in self], bool)
        if not name or not hit.any():
            known = {w for n in self for w in (n.label, n.address.partition("@")[0]) if w}
            raise KeyError(f"no node of this circuit has the label or address {name!r}; {near(name, sorted(known))}")
        return self.keep(hit)

    def wired(self) -> Circuit:
        """The same edges, without the nodes at which none of them ends."""
        return self.keep(np.unique(np.concatenate([self.source, self.target[self.target != OUTPUT]])))

    # Edits.

    def zero(self) -> tuple[SiteEdit, ...]:
        """Edits that hold these units at 0 (an error node: leave its error out)."""
        return self.scale(0.0)

    def scale(self, factor: float) -> tuple[SiteEdit, ...]:
        """Edits that multiply these units by `factor`, where they stand."""
        return tuple(
            Scale(site, factor=factor, where=where, basis=basis, units=units)
            for site, where, basis, units, _ in self._groups()
        )

    def mean(self) -> tuple[SiteEdit, ...]:
        """Edits that hold these units at their mean over the patch prompts."""
        if (self.unit == ERROR).any():
            raise ValueError(
                "an error node has no mean of one number; keep units only with circuit.keep(circuit.unit >= 0), or "
                "use .zero()"
            )
        return tuple(
            Set(site, value=torch.from_numpy(self.patch_mean[index]), where=where, basis=basis, units=units)
            for site, where, basis, units, index in self._groups()
        )

    def _groups(self) -> Iterator[tuple[Site, Where, Any, tuple[int, ...] | None, np.ndarray]]:
        """Nodes that one edit can serve: same site, same position, unit or error."""
        is_error = self.unit == ERROR
        for s, p, e in sorted(set(zip(self.site.tolist(), self.position.tolist(), is_error.tolist(), strict=True))):
            index = np.flatnonzero((self.site == s) & (self.position == p) & (is_error == e))
            units = None if e else tuple(int(u) for u in self.unit[index])
            where = EVERY if p == ANYWHERE else Where.at(p)
            yield self.sites[s], where, "error" if e else "code", units, index

    # Comparing.

    def keys(self) -> list[tuple[str, int, int]]:
        """(site, unit, position) of every node: what makes two nodes of two circuits the same."""
        names = [str(s) for s in self.sites]
        columns = (self.site.tolist(), self.unit.tolist(), self.position.tolist())
        return [(names[s], u, p) for s, u, p in zip(*columns, strict=True)]

    def diff(self, other: Circuit) -> Difference:
        """What two circuits share and what each has alone: nodes and edges."""
        mine, theirs = self.keys(), other.keys()
        nodes = _compare(dict(zip(mine, self.score, strict=True)), dict(zip(theirs, other.score, strict=True)))
        edges = _compare(_edges(self, mine), _edges(other, theirs))
        return Difference(*nodes, *edges)

    # On disk.

    def save(self, path: str | Path, *, format: str = "clew", **options: Any) -> Path:
        """Write one JSON file, of which `Circuit.load` gives back the same bits; or another format.

        Args: format: `clew`, or a file of clew/circuits/formats: `mib`, `graphml`, `attribution_graph` (for graph viewers).
            options: those of its `write`.
        """
        if format != "clew":
            return finder.writing(FORMATS, format).write(self, path, **options)
        return write_json(path, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The circuit as plain JSON, with the version of its schema."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "sites": [{"site": str(s), "units": self.units[s]} for s in self.sites],
            "nodes": {name: _plain(getattr(self, name)) for name in NODE_COLUMNS},
            "edges": {name: _plain(getattr(self, name)) for name in EDGE_COLUMNS},
            "labels": dict(self.labels),
            "details": _jsonable(self.details),
            "provenance": _jsonable(self.provenance),
        }

    @classmethod
    def load(cls, path: str | Path) -> Circuit:
        """Read what `save` wrote, or a format of others (clew/circuits/formats, and entry points).

        Raises: ValueError naming the file and what is wrong with it.
        """
        value = read_any_json(path, f"; a {FORMAT!r} file was expected")
        ours = isinstance(value, Mapping) and value.get("format") == FORMAT
        known = None if ours else finder.reading(FORMATS, value)
        return known[1].read(value, str(path)) if known else cls.from_json(value, str(path))

    @classmethod
    def from_json(cls, value: Mapping[str, Any], origin: str = "this JSON") -> Circuit:
        """Build from plain JSON. Raises: ValueError on another schema version or columns that do not fit."""
        found = value.get("format") if isinstance(value, Mapping) else type(value).__name__
        if found != FORMAT:
            raise ValueError(f'{origin} is not a {FORMAT!r} file: its "format" is {found!r}')
        if value.get("version") != VERSION:
            raise ValueError(f"{origin} has circuit schema version {value.get('version')}; this clew reads {VERSION}")
        try:
            sites = tuple(Site.parse(s["site"]) for s in value["sites"])
            units = {site: int(s["units"]) for site, s in zip(sites, value["sites"], strict=True)}
            columns = {name: _integers(value["nodes"][name]) for name in ("site", "unit", "position")}
            columns |= {name: _floats(value["nodes"][name]) for name in ("score", "patch_mean")}
            columns |= {name: _integers(value["edges"][name]) for name in ("source", "target")}
            columns |= {"weight": _floats(value["edges"]["weight"])}
            tables = {"score_error": value["nodes"], "weight_error": value["edges"]}
            columns |= {name: _floats(table[name]) for name, table in tables.items() if name in table}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{origin} is not a whole circuit: {error!r} is missing or malformed") from error
        for names in (NODE_COLUMNS, EDGE_COLUMNS):
            sizes = {name: len(columns[name]) for name in names if name in columns}
            if len(set(sizes.values())) != 1:
                raise ValueError(f"{origin} has columns of different lengths: {sizes}")
        n, ends = len(columns["score"]), np.concatenate([columns["source"], columns["target"]])
        if n and not (columns["site"].min() >= 0 and columns["site"].max() < len(sites)):
            raise ValueError(f"{origin} has nodes at a site that it does not list ({len(sites)} are listed)")
        if len(ends) and not (columns["source"].min() >= 0 and ends.min() >= OUTPUT and ends.max() < n):
            raise ValueError(f"{origin} has edges to nodes that do not exist (there are {n} nodes)")
        rest = {name: value.get(name, {}) for name in ("labels", "details", "provenance")}
        return cls(sites, units, **columns, **rest)


NodeKey = tuple[str, int, int]
"""(site, unit, position) of a node; of the metric, ("metric", OUTPUT, ANYWHERE)."""
EdgeKey = tuple[NodeKey, NodeKey]
"""Both ends of an edge."""


@dataclass(frozen=True)
class Difference:
    """Two circuits held side by side: what they share and what each has alone, in the order of its columns."""

    shared: tuple[NodeKey, ...]
    only_first: tuple[NodeKey, ...]
    only_second: tuple[NodeKey, ...]
    correlation: float
    """Pearson correlation of the scores of shared nodes; nan when fewer than two vary."""
    shared_edges: tuple[EdgeKey, ...]
    only_first_edges: tuple[EdgeKey, ...]
    only_second_edges: tuple[EdgeKey, ...]
    edge_correlation: float
    """Pearson correlation of the weights of shared edges; nan when fewer than two vary."""

    @property
    def overlap(self) -> float:
        """Shared nodes over all nodes (Jaccard); 1 for equal circuits, also for two empty ones."""
        return _overlap(self.shared, self.only_first, self.only_second)

    @property
    def edge_overlap(self) -> float:
        """Shared edges over all edges (Jaccard); 1 for two circuits without edges."""
        return _overlap(self.shared_edges, self.only_first_edges, self.only_second_edges)

    def __str__(self) -> str:
        nodes = (
            f"{len(self.shared)} nodes shared, {len(self.only_first)} only in the first, "
            f"{len(self.only_second)} only in the second; overlap {self.overlap:.2f}, "
            f"Pearson correlation of shared scores {self.correlation:.2f}"
        )
        if not (self.shared_edges or self.only_first_edges or self.only_second_edges):
            return nodes
        return (
            f"{nodes}\n{len(self.shared_edges)} edges shared, {len(self.only_first_edges)} only in the first, "
            f"{len(self.only_second_edges)} only in the second; overlap {self.edge_overlap:.2f}, "
            f"Pearson correlation of shared weights {self.edge_correlation:.2f}"
        )


def _edges(circuit: Circuit, keys: list[NodeKey]) -> dict[EdgeKey, float]:
    """Weights of a circuit's edges by their ends."""
    ends = [*keys, ("metric", OUTPUT, ANYWHERE)]  # OUTPUT is the last index
    columns = (circuit.source.tolist(), circuit.target.tolist(), circuit.weight.tolist())
    return {(ends[source], ends[target]): weight for source, target, weight in zip(*columns, strict=True)}


def _compare(mine: Mapping[Any, float], theirs: Mapping[Any, float]) -> tuple[Any, Any, Any, float]:
    """The keys that both have, that each has alone, and the correlation of what the shared ones hold."""
    shared = tuple(k for k in mine if k in theirs)
    one, two = np.array([mine[k] for k in shared]), np.array([theirs[k] for k in shared])
    varies = len(shared) > 1 and one.std() > 0 and two.std() > 0
    correlation = float(np.corrcoef(one, two)[0, 1]) if varies else float("nan")
    return shared, tuple(k for k in mine if k not in theirs), tuple(k for k in theirs if k not in mine), correlation


def _overlap(shared: tuple[Any, ...], *alone: tuple[Any, ...]) -> float:
    total = len(shared) + sum(map(len, alone))
    return len(shared) / total if total else 1.0


def is_component_graph(circuit: Circuit) -> bool:
    """Whether a circuit's nodes are sources and readers of a component graph (clew.models.graph.components)."""
    return "components" in circuit.details and any(site.part in READERS for site in circuit.sites)


def _check_count(n: Any, what: str) -> None:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise ValueError(f"n={n!r} {what}: give a whole number from 0 on, as in 100")


def _plain(column: np.ndarray) -> list[Any]:
    if column.dtype.kind == "f":
        return [None if np.isnan(v) else v for v in column.astype(np.float64).tolist()]
    return column.tolist()


def _jsonable(value: Any) -> Any:
    """Plain JSON: numbers of numpy as they are, what is not a number as null."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner) for inner in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _integers(values: list[Any]) -> np.ndarray:
    if any(type(v) is not int for v in values):
        raise TypeError("a column of whole numbers")
    return np.array(values, np.int64)


def _floats(values: list[Any]) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values], np.float64)
