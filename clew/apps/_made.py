"""How a circuit was made, in sentences: which model, which prompts, what was done to which parts, and what it took."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clew.apps._facts import name_of
from clew.circuits.circuit import ERROR, Circuit
from clew.finder import load

INSTEAD = {
    "patch": "its value on the pair's patch prompt",
    "zero": "zero",
    "mean": "its mean over the prompts",
    "resample": "its value on another prompt",
}
"""What a part becomes when it is taken away."""
SAID = ("baseline", "seed", "tokens", "positions", "held_out")
"""Options that are said otherwise, or change no number."""


def made(circuit: Circuit) -> list[str]:
    """Sentences for a reader; the circuit's file holds the whole record."""
    record = circuit.provenance
    if "method" not in record:
        return []
    of_nodes = record.get("nodes_of") or {}
    return [
        sentence
        for sentence in (
            _model(record),
            _view(circuit),
            _behaviour(record),
            *(
                [_method(of_nodes, "The nodes come from a circuit that was found"), _behaviour(of_nodes)]
                if of_nodes
                else []
            ),
            _method(record, "Scores are", found=circuit),
            _wired(record.get("wired") or {}),
            *_tried(circuit),
            _took(record),
        )
        if sentence
    ]


def _model(record: Mapping[str, Any]) -> str:
    edits = record.get("edits") or []
    upon = f", with {len(edits)} {'edits' if len(edits) > 1 else 'edit'} in force: {'; '.join(edits)}" if edits else ""
    return f"The model is {name_of(record.get('model', 'not named'))}{upon}."


def _view(circuit: Circuit) -> str:
    """What the nodes are parts of."""
    if circuit.kind.by_edges:
        return "The nodes are its embedding, heads and MLPs, and what reads the stream; edges join sources to later readers."
    units = str(circuit.provenance.get("units", "units"))
    sites = [str(site) for site in circuit.sites]
    where = sites[0] if len(sites) == 1 else f"{sites[0]} to {sites[-1]}" if sites else "no site"
    through = f" of {len(sites)} {'dictionaries' if len(sites) > 1 else 'dictionary'}" * (units == "features")
    errors = ", and what a dictionary leaves out there is an error" * bool((circuit.unit == ERROR).any())
    return f"The nodes are {units}{through} at {where}{errors}."


def _behaviour(record: Mapping[str, Any]) -> str:
    """Which prompts it was found on, and what was measured there."""
    prompts = record.get("prompts")
    if not isinstance(prompts, Mapping) or "behaviour" not in record:
        return f"It was found on {record['evidence']}." if isinstance(record.get("evidence"), str) else ""
    others = ", and the other half of the pairs is kept to verify it on" * (prompts.get("part") in ("train", "test"))
    metric = str(prompts.get("metric", "metric")).replace("_", " ")
    told = f" Before that: {prompts['note']}" if prompts.get("note") else ""
    return (
        f"The behaviour is {name_of(record['behaviour'])}, measured by the {metric}. The circuit was found on "
        f"{prompts.get('pairs')} prompt pair{'s' * (prompts.get('pairs') != 1)}{others}.{told}"
    )


def _method(record: Mapping[str, Any], start: str, *, found: Circuit | None = None) -> str:
    """How parts were scored, against which other state, and with which options."""
    name = str(record["method"])
    said = f"{start} by {name.replace('_', ' ')}" if found is None else f"{start} those of {name.replace('_', ' ')}"
    baseline = record.get("baseline") or record.get("options", {}).get("baseline")
    if found is not None and found.kind.in_metric_units:
        said += ": the drop of the metric when a part takes " + INSTEAD.get(str(baseline), "its other value")
    options = _options(name, record.get("options", {}))
    return f"{said}{f' ({options})' if options else ''}."


def _wired(record: Mapping[str, Any]) -> str:
    """How its edges were weighed."""
    if "method" not in record:
        return ""
    name, options = str(record["method"]), _options(str(record["method"]), record.get("options", {}))
    said = (
        "how much of a node's effect comes through each node that it reads"
        if name == "edges"
        else name.replace("_", " ")
    )
    return f"Its edges say {said}{f' ({options})' if options else ''}."


def _options(method: str, given: Mapping[str, Any]) -> str:
    """Those that are not as usual, and how many steps."""
    try:
        usual = {n: p.default for n, p in inspect.signature(load("methods", method)).parameters.items()}
    except ValueError:  # a method that is not installed here
        usual = dict[str, Any]()
    said = {
        name: value
        for name, value in given.items()
        if name not in SAID and value is not None and (name == "steps" or value != usual.get(name))
    }
    return ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in said.items())


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items())
    return " ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _tried(circuit: Circuit) -> Iterator[str]:
    """What is known of its predictions and of its units, and from where."""
    tried = circuit.details.get("predicted_effects") or {}
    if None not in (tried.get("r"), tried.get("slope")):
        of, many = next((name, n) for name, n in tried.items() if name in ("edges", "nodes"))
        yield (
            f"Ablated one by one in the model, its {many} strongest {of} do what the graph predicts with r = "
            f"{tried['r']:.2f} and slope {tried['slope']:.2f}."
        )
    if read := circuit.details.get("read"):
        yield (
            f"What units fire on was read in {read:,} tokens; what they promote is what they write, seen through the last "
            "norm and the unembedding. Neither proves a meaning."
        )


def _took(record: Mapping[str, Any]) -> str:
    seconds, versions = record.get("seconds"), record.get("versions")
    parts = [f"It took {seconds:.0f} seconds" if isinstance(seconds, int | float) and seconds >= 1 else "It was made"]
    if record.get("device"):
        parts.append(f" on {record['device']} in {record.get('dtype', 'its dtype')}")
    if isinstance(versions, Mapping):
        parts.append(" with " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    return f"{''.join(parts)}. Its file holds the whole record, with the hashes of weights, dictionaries and prompts."
