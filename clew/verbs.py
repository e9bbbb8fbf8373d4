"""find and verify: the method or measure by its name, and what it was called with written into what it returns."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import transformers

from clew.circuit import Circuit
from clew.data.behaviour import Behaviour
from clew.data.metrics import name_of
from clew.finder import load
from clew.models import Model
from clew.report import Report

VERSION = "0.1.0"


def find(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit | None = None,
    *,
    by: str | Callable[..., Circuit] = "integrated_gradients",
    held_out: bool = True,
    **options: Any,
) -> Circuit:
    """Score the units of a model by their part in a behaviour.

    Args:
        model: seen through dictionaries, or plain, that is in neurons.
        behaviour: what to explain.
        circuit: nodes to score or to wire, for methods that take one (`edges`, `exact_patching`).
        by: a file of clew/methods, or a function of the same shape.
        held_out: use the behaviour's training half, so that `verify` can judge on the other; False uses all of it.
        options: as in the signature of the method.

    Returns: a Circuit of all scored nodes, with provenance; `.top(100)` makes it small.
    Raises: ValueError naming near methods, or the option that the method does not have.
    """
    method = load("methods", by) if isinstance(by, str) else by
    used = behaviour.train if held_out else behaviour
    started = time.perf_counter()
    found = method(model, used, *(() if circuit is None else (circuit,)), **_checked(method, options))
    record = provenance(model, used, method, options, time.perf_counter() - started)
    if circuit is not None:
        found = replace(found, labels=circuit.labels)  # also of units that are no node now
        if found.keys() == circuit.keys() and len(found.weight):  # the nodes and scores are those of the circuit given
            return replace(found, provenance={**circuit.provenance, "wired": record})
        record |= {"nodes_of": dict(circuit.provenance)}
    words = _words(model, used, found)
    return replace(
        found.with_details(metric=name_of(behaviour.metric).replace("_", " "), tokens=words), provenance=record
    )


def verify(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    by: str | Callable[..., Report] = "faithfulness",
    **options: Any,
) -> Report:
    """Measure a circuit on the behaviour's held-out half.

    Args: by: a file of clew/measures, or a function of the same shape. options: as in its signature.
    Returns: a Report with intervals and provenance.
    Raises: ValueError naming near measures, or the option that the measure does not have.
    """
    measure = load("measures", by) if isinstance(by, str) else by
    started = time.perf_counter()
    report = measure(model, behaviour, circuit, **_checked(measure, options))
    used = behaviour.test if options.get("held_out", True) and behaviour.part == "all" else behaviour
    record = provenance(model, used, measure, options, time.perf_counter() - started)
    return replace(report, provenance=record | {"circuit": dict(circuit.provenance)})


def _words(model: Model, behaviour: Behaviour, circuit: Circuit) -> list[str]:
    """The tokens of the first prompt where nodes have positions: the template's words."""
    if not (circuit.position >= 0).any():
        return []
    prompt = behaviour.pairs[0].clean
    if not isinstance(prompt, str):
        return [str(token) for token in prompt]
    return [str(model.tokenizer.decode([token])) for token in model.tokens(prompt)[0][0].tolist()]


def _checked(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    known = [n for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ValueError(f"{function.__name__} has no option {unknown[0]!r}; it takes {', '.join(known)}")
    return options


def provenance(
    model: Model, behaviour: Behaviour, function: Callable[..., Any], options: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """What a stranger needs to get the same numbers again."""
    defaults = {n: p.default for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}
    return {
        "method": function.__name__,
        "options": {n: _plain(v) for n, v in {**defaults, **options}.items()},
        "model": model.name,
        "weights": model.body.fingerprint,
        "dictionaries": dict(model.fingerprints),
        "behaviour": behaviour.name,
        "prompts": behaviour.provenance,
        "edits": [str(edit) for edit in model.edits],
        "dtype": str(model.body.dtype).removeprefix("torch."),
        "device": str(model.device),
        "seconds": round(seconds, 3),
        "versions": {
            "clew": VERSION, "torch": torch.__version__, "transformers": transformers.__version__,
            "numpy": np.__version__,
        },
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)
