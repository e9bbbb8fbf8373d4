"""What the front end is given of an atlas: one dict of plain JSON, for the one-file page and the studio alike."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from clew.apps._facts import facts
from clew.report import Row
from clew.studies.atlas.atlas import Atlas, packed
from clew.studies.atlas.entry import Entry, Example, Found
from clew.tables import many

NODES, EXAMPLES = 30, 5
"""So many of the strongest nodes of a circuit, and contexts of a behaviour, are shown."""
LETTERS = 300
"""Of a context, the last."""
MEASURES = ("faithfulness", "completeness")
FIGURES = 4


def browsed(atlas: Atlas, *, shown: Collection[str] | None = None) -> dict[str, Any]:
    """The atlas with what is said of it: its words, how it was made, and of each behaviour what a card shows.

    Args: shown: the sources whose contexts may be shown; all by default.
    Raises: ValueError for a source that it has not.
    """
    small = packed(atlas, shown=shown, nodes=NODES, examples=EXAMPLES)
    return {
        "title": title(atlas),
        "words": words(atlas),
        "made": [list(fact) for fact in facts(_made(atlas))],
        "sources": list(atlas.sources),
        "hidden": [source for source in atlas.sources if shown is not None and source not in shown],
        "nodes": NODES,
        "entries": [_entry(one) for one in small],
        "units": dict(small.units),
    }


def title(atlas: Atlas) -> str:
    """What it is called."""
    return f"Behaviours of {atlas.model}"


def words(atlas: Atlas) -> str:
    """How many there are of what, in a sentence."""
    wired = sum(one.circuit is not None for one in atlas)
    trivial, joined = sum(one.trivial for one in atlas), sum(one.same_as is not None for one in atlas)
    said = f"{many(len(atlas), 'behaviour')} found in {_listed(atlas.sources)}, {wired:,} with a circuit"
    return f"{said}; {trivial:,} trivial, {joined:,} joined with another."


def _listed(names: Sequence[str]) -> str:
    *first, last = names or ("no text",)
    return f"{', '.join(first)} and {last}" if first else last


def _made(atlas: Atlas) -> dict[str, Any]:
    agree = {f"{k} clusters": f"{value:.2f}" for k, value in atlas.stability.items()}
    return {
        **atlas.provenance,
        "places left by each rule": atlas.counts,
        "two samples agree at": agree,
        "set aside": atlas.aside,
    }


def _entry(one: Entry) -> dict[str, Any]:
    """An entry in few bytes."""
    held = one.to_json()
    held["fit"] = [_rounded(value) for value in one.fit]
    held["like"] |= {name: _rounded(held["like"][name]) for name in ("silhouette", "entropy")}
    held["like"]["ngrams"] = [_rounded(value) for value in one.ngrams]
    held["examples"] = [_example(example) for example in one.examples]
    held["circuit"] = None if one.circuit is None else _found(one.circuit)
    return held


def _example(example: Example) -> dict[str, Any]:
    cut = f"…{example.text[-LETTERS:]}" if len(example.text) > LETTERS else example.text
    return {"text": cut, "answer": example.answer, "source": example.source}


def _found(circuit: Found) -> dict[str, Any]:
    checks = {
        name: {"n": check.n, "kept": _rounded(check.kept), "drop": _rounded(check.drop)}
        for name, check in circuit.checks.items()
    }
    return {
        "nodes": [list(node) for node in circuit.nodes],
        "scored": circuit.scored,
        "edges": circuit.edges,
        "shares": list(_shares(circuit.rows)),
        "checks": checks,
    }


def _shares(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """What a circuit carries, by measure and ablation, each beside the random circuits of its size."""
    known = {(row.measure, row.of): row for row in rows}
    for (measure, of), row in known.items():
        if measure not in MEASURES or of.startswith("random"):
            continue
        chance, likely = known.get((measure, ", ".join(filter(None, ("random", of))))), known.get((f"{measure} p", of))
        yield {
            "measure": measure,
            "of": of,
            "size": row.nodes,
            "own": _interval(row),
            "random": None if chance is None else _interval(chance),
            "p": None if likely is None else _rounded(likely.value),
        }


def _interval(row: Row) -> list[float | None]:
    return [_rounded(value) for value in (row.value, row.low, row.high)]


def _rounded(value: float | None) -> float | None:
    """A number in four figures; None for one that is none."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{FIGURES}g}")
