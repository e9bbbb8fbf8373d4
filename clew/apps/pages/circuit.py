"""A circuit as one HTML file that needs nothing else: no network, no server, no build.

The circuit and the report lie in the file as JSON and the script draws them. Labels, tokens and
provenance are other people's text: the frame escapes them, and the script writes them as text only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clew.apps.pages.frame import framed
from clew.circuits.circuit import Circuit
from clew.report import Report

NODES, EDGES = 1000, 10000
"""The page holds this many nodes and edges at most, the strongest; more would be ink, not insight."""
LISTED = 20
"""So many of a list in the provenance are shown, such as hashes of pairs; the file holds them all."""


def page(circuit: Circuit, report: Report | None = None) -> str:
    """The circuit, and the curve of `report` beside it, as the text of one HTML file.

    Of a circuit with more than NODES nodes the page holds the strongest, and says so. It reads
    `circuit.details`: `tokens` (words, one per position; those of `circuit.kind.prompt` where it has one),
    `top_tokens` and `examples` (by address without position), `title` and `metric` (names).
    """
    shown = circuit if len(circuit) <= NODES else circuit.top(NODES)
    shown = shown if len(shown.weight) <= EDGES else shown.strongest_edges(EDGES)
    shown = _trimmed(shown)
    title = str(circuit.details.get("title") or _title(circuit.provenance))
    data = {
        "title": title,
        "words": _words(circuit, shown),
        "facts": list(_facts(circuit.provenance)),
        "circuit": shown.to_json(),
        "report": report and report.to_json(),
    }
    return framed("circuit", title, {}, data)


def _trimmed(circuit: Circuit) -> Circuit:
    """Without the labels, tokens and examples of nodes that are not there."""
    here = {node.address.partition("@")[0] for node in circuit}
    tables = {name: circuit.details[name] for name in ("top_tokens", "examples") if name in circuit.details}
    tables = {name: {key: value for key, value in table.items() if key in here} for name, table in tables.items()}
    labels = {key: value for key, value in circuit.labels.items() if key in here}
    return replace(circuit, labels=labels, details={**_metric(circuit.provenance), **circuit.details, **tables})


def _metric(provenance: Mapping[str, Any]) -> dict[str, str]:
    """What the metric is called, where the record of the prompts says so."""
    prompts = provenance.get("prompts")
    name = prompts.get("metric") if isinstance(prompts, Mapping) else None
    return {} if name is None else {"metric": str(name).replace("_", " ")}


def _title(provenance: Mapping[str, Any]) -> str:
    named = [_name(provenance[key]) for key in ("behaviour", "model") if provenance.get(key)]
    return " in ".join(named) or "A circuit"


def _words(whole: Circuit, shown: Circuit) -> str:
    """Where the circuit came from, in sentences."""
    said, made = [], whole.provenance
    method = made.get("by") or made.get("method")
    size = f"{len(whole):,} nodes and {len(whole.weight):,} edges over {len(whole.sites)} sites"
    said.append(f"{size}, found by {_name(method).replace('_', ' ')}" if method else size)
    if made.get("split"):
        said[-1] += f" on the {_name(made['split'])} split"
    if isinstance(made.get("seconds"), int | float):
        said[-1] += f" in {made['seconds']:.0f} seconds" if made["seconds"] >= 1 else " in under a second"
    tried = whole.details.get("predicted_effects") or {}
    if None not in (tried.get("r"), tried.get("slope")):
        of, many = next((name, n) for name, n in tried.items() if name in ("edges", "nodes"))
        said.append(
            f"Ablated one by one in the model, its {many} strongest {of} do what the graph predicts with r = "
            f"{tried['r']:.2f} and slope {tried['slope']:.2f}"
        )
    if len(shown) < len(whole) or len(shown.weight) < len(whole.weight):
        said.append(f"This page holds the strongest {len(shown):,} nodes and {len(shown.weight):,} edges")
    return ". ".join(said) + "."


def _name(value: Any) -> str:
    return str(value.get("name", "")) if isinstance(value, Mapping) else str(value)


def _facts(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Provenance as a flat list of (name, text)."""
    if isinstance(value, Mapping):
        return [fact for key, inner in value.items() for fact in _facts(inner, f"{name} {key}".strip())]
    if isinstance(value, list | tuple):
        more = [f"and {len(value) - LISTED} more"] * (len(value) > LISTED)
        return [(name, ", ".join([*map(_name, value[:LISTED]), *more]))] if value else []
    return [] if value is None else [(name, str(value))]
