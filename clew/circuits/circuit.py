"""A circuit: scored units, the edges between them, their labels, and where all of it came from.

Columns, not objects: a circuit of a million nodes is six arrays. `circuit.nodes` gives records
for people; `circuit["resid.3/17"]` selects; a selection makes edits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, cast, overload

import numpy as np
import torch

from clew import finder
from clew.changes import ActivationEdit, Scale, Set
from clew.circuits import _earlier
from clew.circuits._columns import (
    ANYWHERE,
    EDGE_COLUMNS,
    ERROR,
    NODE_COLUMNS,
    OPTIONAL,
    OUTPUT,
    check_columns,
    plain,
    read_columns,
    read_sites,
)
from clew.circuits._drawn import drawn, words_of
from clew.circuits.difference import Difference, EdgeKey, NodeKey, compare
from clew.circuits.kind import Kind
from clew.circuits.supernode import Supernode, check_supernodes, read_supernodes
from clew.evidence import digest
from clew.files import check_whole, entries, entry, entry_or, jsonable, read_any_json, whole, write_json
from clew.labels import Labels, Said
from clew.near import near
from clew.sites import EVERY, Site, Where
from clew.tables import SHOWN, as_html, frame, more

FORMAT, VERSION = "clew circuit", 3
MADE = ("model", "behaviour", "evidence", "method")
"""What a notebook says of how a circuit was made."""
FORMATS = "circuits.formats"
NODES, EDGES = 60, 100
"""So many of each a plot shows, the strongest."""
NAMES = ("format", "version", "sites", "kind", "nodes", "edges", "labels", "details", "provenance")
"""What a file holds, and `supernodes` if any; in version 1 there was no kind, and the last three might be missing."""


@dataclass(frozen=True)
class Node:
    """One unit of one dictionary, at one position or at all of them."""

    site: Site
    unit: int
    position: int
    score: float
    """Drop of the behaviour's metric when the unit takes its patch value; positive = it supports the behaviour."""
    label: str = ""
    """The unit's name: the text of its first label."""

    @property
    def address(self) -> str:
        """`resid.3/17`, `resid.3/17@4` at position 4, `resid.3/error` for the error node."""
        unit = "error" if self.unit == ERROR else str(self.unit)
        return f"{self.site}/{unit}" + ("" if self.position == ANYWHERE else f"@{self.position}")


@dataclass(frozen=True, eq=False)
class Circuit:
    """Nodes as columns, edges as columns; every way of finding one returns this, every measure reads it."""

    measured_in: ClassVar[str] = "measures.circuits"
    usual_measure: ClassVar[str] = "faithfulness"

    sites: tuple[Site, ...]
    """Sites of the view, in forward order, including those without a node."""
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
    labels: Labels = field(default_factory=Labels)
    """What is said of units, by address without position; the first label of a unit is its name."""
    kind: Kind = field(default_factory=Kind)
    """What the nodes are parts of, and what their scores and positions are bound to."""
    supernodes: tuple[Supernode, ...] = ()
    """Groups of nodes that do one thing together; a node is in one at most."""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What a page can show: top tokens of units, the words of the template, a faithfulness curve. Plain JSON; nothing
    is decided by it."""
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Model, dictionary and behaviour hashes, method and arguments, seed, versions, device, dtype, seconds."""

    def __post_init__(self) -> None:
        for error, column in zip(OPTIONAL, (self.score, self.weight), strict=True):
            if len(getattr(self, error)) != len(column):
                assert len(getattr(self, error)) == 0, f"{error} has another length than its column"
                object.__setattr__(self, error, np.full(len(column), np.nan))

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same, down to the record of how they were made; nan is nan."""
        if not isinstance(other, Circuit):
            return NotImplemented
        columns = ((getattr(self, name), getattr(other, name)) for name in (*NODE_COLUMNS, *EDGE_COLUMNS))
        return all(np.array_equal(*both, equal_nan=True) for both in columns) and self._told() == other._told()

    def __hash__(self) -> int:
        return hash((self.sites, len(self), len(self.weight)))

    def __len__(self) -> int:
        return len(self.score)

    def __iter__(self) -> Iterator[Node]:
        for i in range(len(self)):
            node = Node(self.sites[int(self.site[i])], int(self.unit[i]), int(self.position[i]), float(self.score[i]))
            yield replace(node, label=self.labels.name(node.address.partition("@")[0]))

    @property
    def nodes(self) -> list[Node]:
        """All nodes as records, in the order of the columns."""
        return list(self)

    @property
    def edges(self) -> list[tuple[int, int, float]]:
        """(source, target, weight) of all edges; a target OUTPUT (-1) is the metric."""
        return list(zip(self.source.tolist(), self.target.tolist(), self.weight.tolist(), strict=True))

    def __repr__(self) -> str:
        view = f"view of {len(self.sites)} site{'s' * (len(self.sites) != 1)}"
        return f"Circuit({len(self)} node{'s' * (len(self) != 1)}, {len(self.weight)} edges, {view})"

    def _repr_html_(self) -> str:
        """The strongest nodes, or edges where these are judged, as a table for a notebook; what it was found in and how."""
        made = [f"{name}: {_named(self.provenance[name])}" for name in MADE if self.provenance.get(name)]
        notes = [", ".join(made)] if made else []
        if self.kind.by_edges:
            ends = [*(node.address for node in self), "metric"]  # OUTPUT is the last index
            edges = self.shown_edges(SHOWN).edges
            rows = [[ends[source], ends[target], f"{weight:+.4g}"] for source, target, weight in edges]
            notes = [*more(len(self.weight), "edges"), *notes]
            return as_html(repr(self), ["from", "to", "weight"] if rows else [], rows, notes)
        rows = [[node.address, node.label, f"{node.score:+.4g}"] for node in self.shown(SHOWN)]
        return as_html(
            repr(self), ["node", "label", "score"] if rows else [], rows, [*more(len(self), "nodes"), *notes]
        )

    def plot(self, *, nodes: int = NODES, edges: int = EDGES, axes: Any = None) -> Any:
        """Its strongest nodes and edges, sites from below upwards and positions from left to right, drawn by matplotlib.

        Dots are as large as the effect and lines as thick as the edge, blue where they support the behaviour and orange
        where they act against it; error nodes are squares. A node with the largest effect of its place has its name.

        Args: axes: of matplotlib, to draw on; None makes a figure, which is `axes.figure` of what comes back.
        Returns: the axes.
        Raises: ImportError naming the extra where matplotlib is not installed.

        >>> circuit.plot().figure.savefig("circuit.svg")
        """
        _check_count(nodes, "nodes")
        _check_count(edges, "edges")
        by_edges = self.kind.by_edges
        shown = self.shown_edges(edges).wired() if by_edges else self.shown(nodes).shown_edges(edges)
        return drawn(shown, words_of(self.details, self.kind.prompt), axes)

    def to_frame(self) -> Any:
        """The nodes as a pandas DataFrame, in the order of the columns. Raises: ImportError without pandas."""
        columns = ("address", "label", *NODE_COLUMNS)
        values = zip(*(getattr(self, name).tolist() for name in NODE_COLUMNS), strict=True)
        rows = [
            dict(zip(columns, (n.address, n.label, *row), strict=True)) | {"site": str(n.site)}
            for n, row in zip(self, values, strict=True)
        ]
        return frame(rows, columns)

    # Where it comes from.

    def card(self) -> dict[str, Any]:
        """What the provenance of something that is made with it holds of it: its own, and what was kept of what was found."""
        kept = {"nodes": len(self), "edges": len(self.weight), "hash": self.hash}
        return {"circuit": {**self.provenance, "kept": kept}}

    @property
    def hash(self) -> str:
        """Of which nodes and edges it has, in any order, whatever their scores."""
        return digest([sorted(self.keys()), sorted(self._weights())])

    def recorded(self, record: Mapping[str, Any]) -> Circuit:
        """The circuit with the record of how it was made, beside what its method said itself.

        A method that adds edges to a circuit of another keeps that one's record; its own goes under "wired".
        """
        said = {**self.provenance, "wired": record} if "wired" in self.provenance else {**record, **self.provenance}
        return replace(self, provenance=said)

    def scored_on(self, given: Circuit | None, weights: str) -> Circuit:
        """The circuit as one whose nodes come from `given`, if it is: that one's record, and its labels of these weights."""
        if given is None:
            return self
        known = given.labels if given.provenance.get("weights", weights) == weights else Labels()
        said = {**self.provenance, "nodes_of": dict(given.provenance)}
        return replace(self, labels=known | self.labels, provenance=said)

    def doubts(self, weights: str, dictionaries: Mapping[str, str]) -> list[str]:
        """What to know before a number about it is believed: that it is empty, or of another model or view than this one.

        Args: weights, dictionaries: the fingerprint of a model's weights, and of each dictionary of its view by site.
        """
        made = self.provenance
        said: list[str] = []
        if not len(self.weight if self.kind.by_edges else self.score):
            said.append("the circuit is empty: what is measured is the model with everything ablated")
        if made.get("weights", weights) != weights:
            said.append(
                f"the circuit was found in {made.get('model', 'another model')} with the weights {made['weights']}; these "
                f"are {weights}, so its units may mean something else here"
            )
        found: Mapping[str, str] = {} if self.kind.by_edges else made.get("dictionaries", {})
        if odd := sorted(site for site in found if dictionaries.get(site) != found[site]):
            more = f" and {len(odd) - 5} more" if len(odd) > 5 else ""
            said.append(f"the circuit was found in other dictionaries, or in more, at {', '.join(odd[:5])}{more}")
        return said

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
        kept = replace(self, **columns, **edges | {end: new[edges[end]] for end in ("source", "target")})
        return kept if not self.supernodes else replace(kept, supernodes=tuple(_left(self.supernodes, kept)))

    def top(self, n: int) -> Circuit:
        """The n nodes of largest |score|, largest first; ties keep forward order. All of them where there are fewer.

        Raises: ValueError unless n is a whole number from 0 on, and every score a number.
        """
        _check_count(n, "nodes")
        _check_numbers(self.score, "nodes")
        return self.keep(np.argsort(-np.abs(self.score), kind="stable")[:n])

    def shown(self, n: int) -> Circuit:
        """The n nodes to show a person: those of `top`, then those that have no score (nan)."""
        return self.keep(np.argsort(-np.abs(np.nan_to_num(self.score)), kind="stable")[:n])

    def shown_edges(self, n: int) -> Circuit:
        """The same nodes with the n edges to show a person: those of `strongest_edges`, then those without a score (nan)."""
        return self.keep_edges(np.argsort(-np.abs(np.nan_to_num(self.weight)), kind="stable")[:n])

    def above(self, threshold: float) -> Circuit:
        """The nodes with |score| > threshold. Raises: ValueError unless every score is a number."""
        _check_numbers(self.score, "nodes")
        return self.keep(np.abs(self.score) > threshold)

    def strongest_edges(self, n: int) -> Circuit:
        """The same nodes with only the n edges of largest |weight|. Raises: as `top`."""
        _check_count(n, "edges")
        _check_numbers(self.weight, "edges")
        return self.keep_edges(np.argsort(-np.abs(self.weight), kind="stable")[:n])

    def keep_edges(self, chosen: np.ndarray) -> Circuit:
        """The same nodes with only the chosen edges (a mask or indices, [edge])."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in EDGE_COLUMNS})

    def labelled(self, labels: Mapping[str, Said]) -> Circuit:
        """The same circuit with these labels, before those that it has; of a unit the first is its name.

        Args: labels: by address such as `resid.3/17`, a position is left off; a bare text is a person's words.
        Raises: KeyError for an address that no node has.
        """
        given = Labels.of({address.partition("@")[0]: said for address, said in labels.items()})
        known = {n.address.partition("@")[0] for n in self}
        for address in given:
            if address not in known:
                raise KeyError(f"no node of this circuit has the address {address!r}; {near(address, sorted(known))}")
        return replace(self, labels=self.labels | given)

    def explained(self, labels: Labels) -> Circuit:
        """The same circuit with what these labels say of its units; what they say of others is passed over.

        What is better tested comes first (`Labels.best_first`), whichever was there before. Of which dictionaries the units
        are, the circuit's provenance says; what the labels say of that is not kept.

        Raises: TypeError for what are no Labels (`labelled` takes a dict); ValueError where they are of other dictionaries
            than the circuit was found in.
        """
        if not isinstance(labels, Labels):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"explained takes Labels, as pack_labels and Labels.load give them, and not {type(labels).__name__}"
            )
        found: Mapping[str, str] = self.provenance.get("dictionaries", {})
        mine = labels.about(n.address.partition("@")[0] for n in self)
        for site, made in mine.dictionaries.items():
            if found.get(site, made) != made:
                raise ValueError(
                    f"the labels are of the dictionary {made} at {site}, and the circuit was found in {found[site]}; "
                    "units of another dictionary mean something else, so explain those that it was found in"
                )
        return replace(self, labels=(self.labels | Labels(mine.units)).best_first())

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
            kind=replace(self.kind, length=None),
            supernodes=(),
        )

    def with_kind(self, **changes: Any) -> Circuit:
        """The same circuit, of a kind that differs in these fields."""
        return replace(self, kind=replace(self.kind, **changes))

    def with_supernodes(self, supernodes: Iterable[Supernode]) -> Circuit:
        """The same circuit with these supernodes and no others.

        Raises: ValueError for two of one name, a node in two, or an address that no node has.
        """
        given = tuple(supernodes)
        check_supernodes(given, {node.address for node in self})
        return replace(self, supernodes=given)

    def with_details(self, **details: Any) -> Circuit:
        """The same circuit with more for a page to show."""
        return replace(self, details={**self.details, **details})

    @overload
    def __getitem__(self, name: int) -> Node: ...
    @overload
    def __getitem__(self, name: str | slice) -> Circuit: ...
    def __getitem__(self, name: str | int | slice) -> Circuit | Node:
        """Nodes by label, by address (`resid.3/17`, `resid.3/17@4`, `resid.3/error`), by site (`resid.3`) or by supernode.

        Also by place in the columns: one node (`circuit[0]`), or some as a circuit (`circuit[:10]`).
        Raises: KeyError that lists the near labels and addresses; IndexError for a place that there is not.
        """
        if isinstance(name, slice):
            return self.keep(np.arange(len(self))[name])
        if isinstance(name, int):
            if not -len(self) <= name < len(self):
                raise IndexError(f"there is no node {name}; the circuit has {len(self)}")
            return next(iter(self.keep(np.array([name % len(self)]))))
        grouped = next((set(node.members) for node in self.supernodes if node.name == name), set[str]())
        hit = np.array(
            [
                name in (n.label, n.address, n.address.partition("@")[0], str(n.site)) or n.address in grouped
                for n in self
            ],
            bool,
        )
        if not name or not hit.any():
            known = {w for n in self for w in (n.label, n.address.partition("@")[0]) if w}
            known |= {node.name for node in self.supernodes}
            raise KeyError(f"no node of this circuit has the label or address {name!r}; {near(name, sorted(known))}")
        return self.keep(hit)

    def wired(self) -> Circuit:
        """The same edges, without the nodes at which none of them ends."""
        return self.keep(np.unique(np.concatenate([self.source, self.target[self.target != OUTPUT]])))

    # Edits.

    def zero(self) -> tuple[ActivationEdit, ...]:
        """Edits that hold these units at 0 (an error node: leave its error out)."""
        return self.scale(0.0)

    def scale(self, factor: float) -> tuple[ActivationEdit, ...]:
        """Edits that multiply these units by `factor`, where they stand."""
        return tuple(
            Scale(site, factor=factor, where=where, basis=basis, units=units)
            for site, where, basis, units, _ in self._groups()
        )

    def mean(self) -> tuple[ActivationEdit, ...]:
        """Edits that hold these units at their mean over the patch prompts."""
        if (self.unit == ERROR).any():
            raise ValueError(
                "an error node has no mean of one number; keep units only with circuit.keep(circuit.unit >= 0), or "
                "use .zero()"
            )
        return tuple(
            Set(site, value=torch.as_tensor(self.patch_mean[index]), where=where, basis=basis, units=units)
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

    def keys(self) -> list[NodeKey]:
        """(site, unit, position) of every node: what makes two nodes of two circuits the same."""
        names = [str(s) for s in self.sites]
        columns = (self.site.tolist(), self.unit.tolist(), self.position.tolist())
        return [(names[s], u, p) for s, u, p in zip(*columns, strict=True)]

    def diff(self, other: Circuit) -> Difference:
        """What two circuits share and what each has alone: nodes and edges."""
        nodes = compare(*(dict(zip(c.keys(), c.score, strict=True)) for c in (self, other)))
        return Difference(*nodes, *compare(self._weights(), other._weights()))

    def _weights(self) -> dict[EdgeKey, float]:
        """Weights of the edges by their ends."""
        ends = [*self.keys(), ("metric", OUTPUT, ANYWHERE)]  # OUTPUT is the last index
        return {(ends[source], ends[target]): weight for source, target, weight in self.edges}

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
        columns = {"nodes": NODE_COLUMNS, "edges": EDGE_COLUMNS}
        held = {part: {name: plain(getattr(self, name)) for name in names} for part, names in columns.items()}
        said = self._told() | held
        return {name: said[name] for name in (*NAMES[:-2], "supernodes", *NAMES[-2:]) if name in said}

    def _told(self) -> dict[str, Any]:
        """All but the columns, as plain JSON."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "sites": [{"site": str(s), "units": self.units[s]} for s in self.sites],
            "kind": jsonable(asdict(self.kind)),
            "labels": self.labels.to_json()["units"],
            **({"supernodes": [jsonable(asdict(node)) for node in self.supernodes]} if self.supernodes else {}),
            "details": jsonable(self.details),
            "provenance": jsonable(self.provenance),
        }

    @classmethod
    def load(cls, path: str | Path) -> Circuit:
        """Read what `save` wrote, or a format of others (clew/circuits/formats, and entry points).

        Raises: ValueError naming the file and what is wrong with it.
        """
        value = read_any_json(path, f"; a {FORMAT!r} file was expected")
        with whole(path, "circuit"):
            ours = _format(value) == FORMAT
            known = None if ours else finder.reading(FORMATS, value)
            return known[1].read(value, str(path)) if known else cls.from_json(value, str(path))

    @classmethod
    def from_json(cls, value: Mapping[str, Any], origin: str = "this JSON") -> Circuit:
        """Build from plain JSON, also of versions 1 and 2.

        Raises: ValueError naming the origin on another schema version, or columns that do not fit, and the row.
        """
        found = _format(value)
        if found != FORMAT:
            raise ValueError(f'{origin} is not a {FORMAT!r} file: its "format" is {found!r}')
        version = entry(value, "version", int, origin=origin)
        if version not in range(1, VERSION + 1):
            raise ValueError(f"{origin} has circuit schema version {version}; this clew reads 1 to {VERSION}")
        names = [name for name in NAMES if version > 1 or name != "kind"]
        names += ["supernodes"] * ("supernodes" in value and version > 1)
        check_whole({**dict.fromkeys(NAMES[-3:] if version == 1 else ()), **value}, names, origin)
        units = read_sites(entries(value, "sites", dict, origin=origin), origin)
        details, made = (entry_or(value, name, dict, {}, origin=origin) for name in ("details", "provenance"))
        if version == VERSION:
            labels = Labels.from_units(entry(value, "labels", dict, origin=origin), f"{origin}: labels")
        else:
            labels = _earlier.labels(value, origin)
        if version == 1:
            with whole(origin, "circuit of version 1"):
                kind, details = _earlier.kind_and_details(details, units)
        else:
            kind = Kind.from_json(value["kind"], f"{origin}: kind")
        columns = read_columns(value, origin, optional=version == 1)
        try:
            check_columns(columns, units, kind.length)
        except ValueError as error:
            raise ValueError(f"{origin} {error}") from error
        said: dict[str, Any] = {"labels": labels, "kind": kind, "details": details, "provenance": made}
        found = cls(tuple(units), units, **columns, **said)
        return replace(found, supernodes=read_supernodes(value, {node.address for node in found}, origin))


def _named(told: Any) -> str:
    """What a record, or a word, of the provenance is called."""
    return str(cast("Mapping[str, Any]", told).get("name", "")) if isinstance(told, Mapping) else str(told)


def _format(value: Any) -> Any:
    """The format that plain JSON says it is of; the type of what says none."""
    return cast("Mapping[str, Any]", value).get("format") if isinstance(value, Mapping) else type(value).__name__


def _left(supernodes: Iterable[Supernode], circuit: Circuit) -> Iterator[Supernode]:
    """The supernodes of which the circuit has members."""
    addresses = {node.address for node in circuit}
    yield from (left for node in supernodes if (left := node.among(addresses)))


def _check_numbers(values: np.ndarray, what: str) -> None:
    """NaN sorts behind every number, and would be passed over without a word."""
    if bad := int(np.isnan(values).sum()):
        raise ValueError(
            f"{bad} of {len(values)} {what} have no score (nan), so they cannot be ranked; leave them out with "
            f"circuit.{'keep(~np.isnan(circuit.score))' if what == 'nodes' else 'keep_edges(~np.isnan(circuit.weight))'}"
        )


def _check_count(n: Any, what: str) -> None:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise ValueError(f"n={n!r} {what}: give a whole number from 0 on, as in 100")
