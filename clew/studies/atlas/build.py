"""An atlas, from a text and a model to circuits with names: stages, each of which goes on where it was stopped.

Contexts, vectors and circuits are each one function of many items (`clew.scale.map`), so they can be made wherever there is
room; what lies between needs no model.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from clew.circuits.circuit import Circuit
from clew.data.text.windows import cut
from clew.doors import door
from clew.evidence import digest
from clew.files import jsonable, parse_json, whole
from clew.finder import load
from clew.labels import Labels
from clew.models import Model
from clew.progress import Tell
from clew.scale.map import Mapped, map
from clew.scale.workers import Workers
from clew.studies.atlas._vectors import centred
from clew.studies.atlas.atlas import CIRCUITS, Atlas
from clew.studies.atlas.circuits import circuit_of, items
from clew.studies.atlas.clustering import Clustering, clustered
from clew.studies.atlas.contexts import Contexts, joined
from clew.studies.atlas.corpus import Corpus
from clew.studies.atlas.entries import assembled
from clew.studies.atlas.finding import contexts_in
from clew.studies.atlas.options import Finding, Grouping, Wiring
from clew.tensors import check_floats, check_held, read_header, read_tensors, write_tensors
from clew.version import VERSION

AT_ONCE = 64
"""Windows, or contexts, that are one item of work."""
Start = Callable[[], Model]
Telling = Callable[[str], AbstractContextManager[Tell | None]]
"""Given what begins, what is told how far that is."""


@dataclass(frozen=True, eq=False)
class Builder:
    """Builds an atlas in a folder; what is there already is not made again.

    Args:
        model: the view; in other processes it is what `start` opens.
        start: opens the same view in a worker; needed wherever but here.
        labels: names of units.
    """

    model: Model
    corpus: Corpus
    to: Path
    finding: Finding = Finding()
    grouping: Grouping = Grouping()
    wiring: Wiring = Wiring()
    workers: Workers = Workers()
    start: Start | None = None
    labels: Labels = field(default_factory=Labels)
    telling: Telling = lambda what: nullcontext()
    seed: int = 0

    def __post_init__(self) -> None:
        for room, name in (
            ("studies.atlas.vectors", self.grouping.vectors),
            ("studies.atlas.clusters", self.grouping.clusters),
            ("methods", self.wiring.by),
        ):
            load(room, name)  # what is misspelt is said before anything takes long
        if self.workers.on != "here" and self.start is None:
            raise ValueError(
                f"on={self.workers.on!r}: workers in other processes need start=, which opens the model there"
            )

    # The stages.

    def build(self) -> Atlas:
        """All stages, and the atlas of them, written into the folder."""
        given, vectors, clustering = self.contexts, self.vectors, self.clustering
        do = partial(circuit_of, wiring=self.wiring, seed=self.seed)
        made = self._mapped("circuits", items(given, clustering, self.wiring.members, self.seed), do)
        circuits = {one["cluster"]: (Circuit.from_json(one["circuit"]), one) for one in made}
        for k, (circuit, _) in circuits.items():
            circuit.save(self.to / CIRCUITS / f"{k}.json")
        entries = assembled(given, self.corpus.source, clustering, vectors, circuits, self.model.tokenizer)
        units = {address for one in entries if one.circuit for address, _ in one.circuit.nodes}
        atlas = Atlas(
            self.model.name,
            self.corpus.names,
            self._decides["circuits"],
            given.counts,
            clustering.stability,
            entries,
            {unit: name for unit in sorted(units) if (name := self.labels.name(unit))},
            tuple(f"cluster {one.item['cluster']}: {_last_line(one.error)}" for one in made.aside),
        )
        atlas.save(self.to)
        for stage in ("contexts", "vectors"):  # whole in files of their own
            shutil.rmtree(self._work(stage), ignore_errors=True)
        return replace(atlas, folder=self.to)

    @cached_property
    def contexts(self) -> Contexts:
        """The places of the text that the rules leave."""
        path = self.to / "contexts.safetensors"
        if not self._is_made(path, "contexts"):
            rules = {name: getattr(self.finding, name) for name in ("loss", "right", "repeated", "each", "length")}
            made = self._mapped("contexts", self._shards(), partial(found_in, seed=self.seed, **rules))
            joined([Contexts.from_json(one) for one in made]).save(path, self._said("contexts"))
        return Contexts.load(path)

    @cached_property
    def vectors(self) -> Float[np.ndarray, "context dim"]:
        """A vector for each context."""
        path = self.to / "vectors.safetensors"
        if not self._is_made(path, "vectors"):
            g = self.grouping
            do = partial(vectors_in, kind=g.vectors, dims=g.dims, seed=self.seed)
            made = self._mapped("vectors", self.contexts.shards(AT_ONCE), do)
            write_tensors(
                path, {"vectors": torch.from_numpy(np.concatenate(list(_arrays(made))))}, self._said("vectors")
            )
        return centred(self.grouping.vectors, read_vectors(path))

    @cached_property
    def clustering(self) -> Clustering:
        """The contexts in clusters."""
        path, g = self.to / "clusters.safetensors", self.grouping
        if not self._is_made(path, "clusters"):
            with self.telling("clusters") as tell:
                made = clustered(self.vectors, g.k, by=g.clusters, seed=self.seed, progress=tell)
            made.save(path, self._said("clusters"))
        return Clustering.load(path)

    # What a stage is made of, and its work.

    @cached_property
    def _decides(self) -> dict[str, dict[str, Any]]:
        """All that decides each stage: a folder of other work is refused."""
        body = self.model.body
        run = {"clew": VERSION, "model": self.model.name, "weights": body.fingerprint, "dtype": str(body.dtype)}
        finding = {**run, "text": self.corpus.hash, "seed": self.seed, "finding": self.finding.plain()}
        grouping = {**finding, "dictionaries": dict(self.model.fingerprints), "grouping": self.grouping.plain()}
        of_vectors = {name: value for name, value in self.grouping.plain().items() if name in ("vectors", "dims")}
        return {
            "contexts": finding,
            "vectors": {**grouping, "grouping": of_vectors},
            "clusters": grouping,
            "circuits": {**grouping, "wiring": self.wiring.plain()},
        }

    def _said(self, stage: str) -> dict[str, str]:
        """The same as a header holds it."""
        held = jsonable(self._decides[stage])
        return {"made_of": digest(held), "made": json.dumps(held)}

    def _mapped(self, stage: str, given: Iterator[Any], do: Callable[..., Any]) -> Mapped:
        workers, start = self.workers, self.start if self.workers.on != "here" else lambda: self.model
        about = {"stage": stage, **_flat(self._decides[stage])}
        with self.telling(stage) as tell:
            made = map(do, given, start=start, folder=self._work(stage), about=about, progress=tell, **workers.plain())
        if stage == "circuits":  # an atlas can do without some
            return made
        return made.whole(stage, "what is done is kept; the same call with retry=True tries them again")

    def _work(self, stage: str) -> Path:
        return self.to / "work" / stage

    def _is_made(self, path: Path, stage: str) -> bool:
        """Whether a stage is there. Raises: ValueError where it is that of other work."""
        if not path.is_file():
            return False
        about = read_header(path)
        if about.get("made_of") != self._said(stage)["made_of"]:
            here, there = _flat(self._decides[stage]), _flat(parse_json(about.get("made", "{}"), str(path)))
            other = [name for name in here if there.get(name) != here[name]]
            said = ", ".join(f"{name} {there.get(name)} (here {here[name]})" for name in other[:3])
            raise ValueError(f"{path} was made with {said}; give another folder, or the same")
        return True

    def _shards(self) -> Iterator[dict[str, Any]]:
        """The windows of the text, some dozens at a time, those of one document together."""
        windows = cut(
            self.corpus.texts,
            self.model.tokenizer,
            context=self.finding.window,
            packing="documents",
            limit=self.finding.positions,
        )
        windows = windows.take((windows.lengths >= self.finding.length).nonzero()[:, 0])
        first = 0
        while first < len(windows):
            last = min(first + AT_ONCE, len(windows))
            while last < len(windows) and windows.document[last] == windows.document[last - 1]:
                last += 1
            some = range(first, last)
            yield {
                "windows": [windows.ids[i].tolist() for i in some],
                "documents": windows.document[first:last].tolist(),
                "bos": bool(windows.policy["bos"]),
            }
            first = last


@door()
def build(model: Model, corpus: Corpus, to: str | Path, **how: Any) -> Atlas:
    """Build an atlas in a folder, or go on with one: see `Builder`, whose options these are.

    Raises: ValueError for a folder of other work, or a text without a place that is left by the rules.
    """
    return Builder(model, corpus, Path(to), **how).build()


def found_in(view: Model, item: Mapping[str, Any], **rules: Any) -> dict[str, Any]:
    """The contexts of some windows, as plain JSON."""
    return contexts_in(view, item["windows"], item["documents"], bos=item["bos"], **rules).to_json()


def vectors_in(view: Model, item: Mapping[str, Any], *, kind: str, dims: int, seed: int) -> dict[str, Any]:
    """The vectors of some contexts, in base 64 of float32."""
    made = load("studies.atlas.vectors", kind)(
        view, Contexts.of(item["contexts"], item["answers"]), dims=dims, seed=seed
    )
    return {"n": len(made), "rows": base64.b64encode(np.ascontiguousarray(made, "<f4").tobytes()).decode()}


def _flat(decides: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a stage, each option by its own name, as plain JSON."""
    held = jsonable(decides)
    inner = [held.pop(name) for name in ("finding", "grouping", "wiring") if name in held]
    return {name: value for part in (held, *inner) for name, value in part.items()}


def _last_line(error: str) -> str:
    return error.strip().rpartition("\n")[2]


def read_vectors(path: Path) -> Float[np.ndarray, "context dim"]:
    """The vectors of a file. Raises: ValueError naming the file and what is wrong with it."""
    with whole(path, "vectors"):
        held, _ = read_tensors(path)
        check_held(held, ("vectors",), str(path))
        check_floats(held, str(path))
        if held["vectors"].ndim != 2:
            raise ValueError(f"its vectors have the shape {list(held['vectors'].shape)}; a row for each context is due")
        return held["vectors"].float().numpy()


def _arrays(made: Mapped) -> Iterator[Float[np.ndarray, "context dim"]]:
    for one in made:
        yield np.frombuffer(base64.b64decode(one["rows"], validate=True), "<f4").reshape(one["n"], -1)
