"""What the front end is given of a circuit: one dict of plain JSON, for the one-file page and the studio alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clew.apps._cards import as_tested, briefly, groups, holds, in_words
from clew.apps._facts import name_of
from clew.apps._made import made
from clew.circuits.circuit import Circuit
from clew.circuits.formats.attribution_graph import node_ids
from clew.circuits.verdicts import Verdicts
from clew.labels import Label
from clew.report import Report

KINDS = {
    "rule": "a rule",
    "prose": "written by a model",
    "effects": "what it does to the next token",
    "person": "a person's words",
    "token": "",
}
"""What kinds of labels are called."""
TABLES = ("top_tokens", "promotes", "examples")
"""Details that are known of units, by address without position."""
NODES, EDGES = 1000, 10000
"""So many nodes and edges are shown at most, the strongest; more would be ink, not insight."""


def bundle(circuit: Circuit, report: Report | None = None, verdicts: Verdicts | None = None) -> dict[str, Any]:
    """The circuit with all that is said of it: its words, how it was made, names and labels of nodes, the report beside it.

    Of a circuit with more than NODES nodes it holds the strongest, and says so, unless it is to be judged. Read are
    `circuit.details`: `tokens` (words, one per position; those of `circuit.kind.prompt` where it has one),
    `top_tokens`, `promotes` and `examples` (by address without position), `title` and `metric` (names).

    Args: verdicts: what was decided so far of its units, which are then to be judged, also of other units than the circuit's.
    Raises: ValueError where there is no unit to judge, or the verdicts are of other dictionaries than the circuit.
    """
    shown = _trimmed(circuit if verdicts is not None else circuit.shown(NODES) if len(circuit) > NODES else circuit)
    judged = None if verdicts is None else _judged(circuit, verdicts)
    return {
        "title": title(circuit),
        "words": _words(circuit, shown),
        "prompts": _prompts(circuit),
        "made": made(circuit),
        "unit": str(circuit.provenance.get("units", "units")).removesuffix("s"),
        "names": [in_words(circuit, node.address) for node in shown],
        "ids": node_ids(shown),
        "groups": groups(shown),
        "said": {address: [_said(label) for label in of_unit] for address, of_unit in shown.labels.items()},
        "circuit": shown.to_json(),
        "report": report and report.to_json(),
        "verdicts": None if judged is None else judged.to_json(),
    }


def title(circuit: Circuit) -> str:
    """What it is called: its behaviour in its model, unless its details say otherwise."""
    record = circuit.provenance
    named = [name_of(record[key]) for key in ("behaviour", "model") if record.get(key)]
    return str(circuit.details.get("title") or " in ".join(named) or "A circuit")


def _judged(circuit: Circuit, verdicts: Verdicts) -> Verdicts:
    """Every unit of the circuit, and what was decided so far."""
    asked = Verdicts.of(circuit)
    if not len(asked):
        raise ValueError(f"{circuit!r} has no units to judge; error nodes cannot be judged")
    return asked | verdicts


def _trimmed(circuit: Circuit) -> Circuit:
    """Without its weakest edges, and the labels, tokens and examples of nodes that are not there."""
    circuit = circuit if len(circuit.weight) <= EDGES else circuit.strongest_edges(EDGES)
    here = {node.address.partition("@")[0] for node in circuit}
    tables = {name: circuit.details[name] for name in TABLES if name in circuit.details}
    tables = {name: {key: value for key, value in table.items() if key in here} for name, table in tables.items()}
    return replace(
        circuit, labels=circuit.labels.about(here), details={**_metric(circuit.provenance), **circuit.details, **tables}
    )


def _said(label: Label) -> dict[str, str]:
    """A label for people: its kind in words, and how it was tested."""
    short, whole = holds(label), "; ".join(filter(None, [as_tested(label), label.origin]))
    tested = short or as_tested(label)
    how = {"kind": KINDS[label.kind], "tested": tested, "all": whole}
    return {"text": label.text, "brief": briefly(label.text, label.kind), **how}


def _metric(provenance: Mapping[str, Any]) -> dict[str, str]:
    """What the metric is called, where the record of the prompts says so."""
    prompts = provenance.get("prompts")
    name = prompts.get("metric") if isinstance(prompts, Mapping) else None
    return {} if name is None else {"metric": str(name).replace("_", " ")}


def _prompts(circuit: Circuit) -> list[dict[str, Any]]:
    """The first pair that it was found on, clean then patch, each with its answers; the prompt of a graph of one."""
    if prompt := circuit.kind.prompt:
        answers = [f"{logit.token} ({logit.probability:.0%})" for logit in prompt.logits]
        return [{"name": "prompt", "text": "".join(prompt.tokens), "answers": answers}]
    record = circuit.provenance.get("prompts")
    example = record.get("example") if isinstance(record, Mapping) else None
    if not isinstance(example, Mapping):
        return []
    pair = (("clean", "clean", "answers"), ("patch", "patch", "patch_answers"))
    return [
        {"name": name, "text": _as_text(example[text]), "answers": [str(a) for a in example.get(answers, ())]}
        for name, text, answers in pair
        if example.get(text) is not None
    ]


def _as_text(prompt: Any) -> str:
    """A prompt in words, in token ids, or a chat, a message a line."""
    if isinstance(prompt, str):
        return prompt
    if prompt and isinstance(prompt[0], Mapping):
        return "\n".join(f"{message['role']}: {message['content']}" for message in prompt)
    return f"token ids {' '.join(map(str, prompt))}"


def _words(whole: Circuit, shown: Circuit) -> str:
    """How large it is and how it was found, in a sentence or two."""
    said, record = [], whole.provenance
    method = record.get("by") or record.get("method")
    sites = len({int(site) for site in whole.site})
    size = f"{len(whole):,} nodes and {len(whole.weight):,} edges over {sites} {'site' if sites == 1 else 'sites'}"
    said.append(f"{size}, found by {name_of(method).replace('_', ' ')}" if method else size)
    if isinstance(record.get("seconds"), int | float):
        said[-1] += f" in {record['seconds']:.0f} seconds" if record["seconds"] >= 1 else " in under a second"
    if len(shown) < len(whole) or len(shown.weight) < len(whole.weight):
        said.append(f"Shown are the strongest {len(shown):,} nodes and {len(shown.weight):,} edges")
    return ". ".join(said) + "."
