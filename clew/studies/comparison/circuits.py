"""The runs: searches by units by behaviours by selections, found on one half of the prompts and judged on the other."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from clew.circuits.circuit import Circuit
from clew.circuits.ranked import EDGES
from clew.data.behaviours.behaviour import Behaviour
from clew.dictionaries import Dictionary
from clew.measures.circuits.areas import FLAT, SIZES, areas, check_sizes
from clew.measures.circuits.recovery import recovery
from clew.models import Model
from clew.models.costs import Cost, counted
from clew.report import Report
from clew.sites import READERS
from clew.studies.comparison.items import completed, everything, random_ranking
from clew.studies.comparison.results import RANDOM, Cell, Results
from clew.studies.comparison.searches import Search
from clew.studies.comparison.selections import selection
from clew.verbs import find
from clew.version import VERSION

Select = Callable[..., Circuit]


@dataclass(frozen=True)
class Job:
    """One search on one unit of one behaviour: it is run once, whatever is selected from its scores."""

    behaviour: str
    unit: str
    search: Search
    selects: tuple[Select, ...]

    def __str__(self) -> str:
        return f"{self.behaviour}, {self.unit}, {self.search.text}"


@dataclass(frozen=True, eq=False)
class Bench:
    """A model and what is to be tried on it.

    Args:
        behaviours: by name; in place of one that the model cannot be asked, the reason.
        dictionaries: of the features.
        truth: the circuit that is the cause of the behaviours, where it is known.
    """

    model: Model
    behaviours: Mapping[str, Behaviour | str]
    units: Sequence[str]
    searches: Sequence[Search]
    selects: Sequence[Select]
    dictionaries: Sequence[Dictionary] = ()
    truth: Circuit | None = None
    sizes: Sequence[float] = SIZES
    seed: int = 0
    _lenses: dict[str, Model] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_sizes(self.sizes)
        for unit in self.units:
            if not any(search.fits(unit) for search in self.searches):
                raise ValueError(
                    f"none of {_names(self.searches)} ranks {unit}; leave {unit} out or add a search of them"
                )
        for search in self.searches:
            if not any(search.fits(unit) for unit in self.units):
                raise ValueError(f"{search.text} ranks none of {', '.join(self.units)}; leave it out or add its unit")

    @cached_property
    def jobs(self) -> list[Job]:
        """What is to be done; first, for every unit of every behaviour, a random ranking."""
        found = []
        for behaviour in self.behaviours:
            for unit in self.units:
                found.append(Job(behaviour, unit, Search(RANDOM, random_ranking, {}), (selection("top"),)))
                found += [Job(behaviour, unit, s, tuple(self.selects)) for s in self.searches if s.fits(unit)]
        return found

    def run(self, results: Results, jobs: Sequence[Job] | None = None) -> Iterator[tuple[Job, list[Cell]]]:
        """Do every job, or these, and hand on the cells; what `results` has is not done again, what failed is."""
        for job in self.jobs if jobs is None else jobs:
            keys = {select: self._key(job, select) for select in job.selects}
            for cell in self._cells(job, {s: key for s, key in keys.items() if not results.finished(key)}):
                results.add(cell)
            yield job, [results.cells[key] for key in keys.values()]

    def cells(self, results: Results) -> list[Cell]:
        """The cells of all jobs, as far as `results` has them."""
        keys = (self._key(job, select) for job in self.jobs for select in job.selects)
        return [results.cells[key] for key in keys if key in results.cells]

    # One job.

    def _cells(self, job: Job, keys: Mapping[Select, str]) -> Iterator[Cell]:
        if not keys:
            return
        blank = Cell("", self.model.name, job.behaviour, job.unit, job.search.text, "")
        try:
            found, blank = self._searched(job, blank)
        except Exception as error:  # whatever it is, it becomes a row, and the other jobs go on
            for select, key in keys.items():
                yield replace(blank, key=key, select=select.__name__, failed=_reason(error))
            return
        for select, key in keys.items():
            try:
                cell = self._judged(job, blank, found, select)
            except Exception as error:
                cell = replace(blank, failed=_reason(error))
            yield replace(cell, key=key, select=select.__name__)

    def _searched(self, job: Job, blank: Cell) -> tuple[Circuit, Cell]:
        """The scores of the search on the training half, 0 where it gave none, and what it cost."""
        task, view = self._task(job), self._lens(job.unit)
        tokens = sum(batch.clean.numel() for batch in task.train.batches(view))
        _ = self.model.body.fingerprint, view.fingerprints  # hashed once, for the provenance; no part of a search
        with counted(view) as cost:
            found = find(view, task, by=job.search.method, **job.search.options(job.unit, self.seed))
        spent = {} if job.search.text == RANDOM else _spent(cost, tokens)
        blank = replace(blank, cost=spent, provenance={**found.provenance, **self._machine})
        return completed(view, found, everything(view, task.train, job.unit)), blank

    def _judged(self, job: Job, blank: Cell, found: Circuit, select: Select) -> Cell:
        """The areas of what is selected, on the other half."""
        task, view, started = self._task(job), self._lens(job.unit), time.perf_counter()
        report = areas(view, task, found, sizes=self.sizes, select=select, seed=self.seed)
        judged = {"forwards": report.provenance["forwards"], "seconds": time.perf_counter() - started}
        return replace(
            blank,
            report=report.to_json(),
            sizes=tuple(self.sizes),
            flags=tuple(_flags(report)),
            judged=judged,
            recovered=self._recovered(job, found, select),
        )

    def _recovered(self, job: Job, found: Circuit, select: Select) -> dict[str, float | None]:
        """How much of the true circuit is among as many as it has, and how well all are ranked."""
        if self.truth is None or job.unit not in (EDGES, "components"):
            return {}
        task, view = self._task(job), self._lens(job.unit)
        size, of = (len(self.truth.weight), "edges") if job.unit == EDGES else (_writers(self.truth), "nodes")
        ranking, chosen = (recovery(view, task, c, truth=self.truth).rows for c in (found, select(found, size)))
        rows = {r.measure: r.value for r in ranking if r.of == of} | {
            r.measure: r.value for r in chosen if r.of == of and r.measure in ("precision", "recall")
        }
        return {measure: value if np.isfinite(value) else None for measure, value in rows.items()}

    # What it is about.

    def _task(self, job: Job) -> Behaviour:
        task = self.behaviours[job.behaviour]
        if isinstance(task, str):
            raise ValueError(task)
        return task

    def _lens(self, unit: str) -> Model:
        if unit not in self._lenses:
            features = self.model.through(*self.dictionaries) if unit == "features" else None
            self._lenses[unit] = features or (self.model if unit == EDGES else getattr(self.model, unit)())
        return self._lenses[unit]

    @cached_property
    def _machine(self) -> dict[str, Any]:
        device = self.model.device
        gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
        return {"machine": {"system": platform.platform(), "threads": torch.get_num_threads(), **gpu}}

    def _key(self, job: Job, select: Select) -> str:
        task, body = self.behaviours[job.behaviour], self.model.body
        decides = {
            "version": VERSION,
            "weights": [body.fingerprint, str(body.dtype), body.device.type],
            "dictionaries": self._lens(job.unit).fingerprints if job.unit == "features" else {},
            "prompts": [job.behaviour, *([task] if isinstance(task, str) else [task.hash, task.split])],
            "search": [job.unit, job.search.method.__name__, job.search.options(job.unit, self.seed)],
            "select": select.__name__,
            "judge": [list(self.sizes), self.seed],
        }
        return hashlib.sha256(json.dumps(decides, default=repr, sort_keys=True).encode()).hexdigest()[:16]


def _names(searches: Sequence[Search]) -> str:
    return ", ".join(search.text for search in searches) or "no search"


def _spent(cost: Cost, tokens: int) -> dict[str, int | float | None]:
    return {
        "forwards": cost.forwards(tokens),
        "backwards": cost.backwards(tokens),
        "seconds": cost.seconds,
        "cpu_seconds": cost.cpu_seconds,
        "memory": cost.memory,
    }


def _writers(truth: Circuit) -> int:
    """How many components a true circuit has."""
    return sum(node.site.part not in READERS for node in truth)


def _reason(error: Exception) -> str:
    """Why a cell has no numbers. With CLEW_DEBUG set, the error itself."""
    if os.environ.get("CLEW_DEBUG"):
        raise error
    return str(error) if isinstance(error, ValueError | ImportError) else f"{type(error).__name__}: {error}"


def _flags(report: Report) -> Iterator[str]:
    """What a reader of the areas must be warned of."""
    below = {
        of: [r.value for r in report.rows if r.measure == "f" and r.of == of][:-1] for of in ("signed", "absolute")
    }
    if all(value < FLAT for values in below.values() for value in values):
        yield f"no signal: f stays under {FLAT} at every size but the whole, whether signs rank or sizes"
    yield from (note for note in report.notes if note.startswith("overshoot"))
    if dropped := [f"{r.of} (score {r.value:.3g})" for r in report.rows if r.measure == "dropped trunk"]:
        yield f"dropped trunk: nothing gets through in the signed ranking, which leaves out {', '.join(dropped)}"
