"""What something was made from: what a stranger needs to get it again, and whether it is met again where it is judged."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
import transformers

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.data.facts.facts import Facts
from clew.data.facts.secrets import Secrets
from clew.data.labels.labelled import Labelled
from clew.data.text.windows import Windows
from clew.dictionaries import Dictionary
from clew.models import Model
from clew.stack import Stack
from clew.values import Value
from clew.version import VERSION


def provenance(
    model: Model,
    evidence: object,
    function: Callable[..., Any],
    options: dict[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """What a stranger needs to get the same numbers again."""
    defaults = {n: p.default for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}
    if isinstance(evidence, Behaviour):
        shown: dict[str, Any] = {"behaviour": evidence.name, "prompts": evidence.provenance}
    elif isinstance(evidence, Windows):
        shown = {"text": dict(evidence.policy)}
    elif isinstance(evidence, Labelled):
        shown = {"labelled": evidence.name, "texts": evidence.hash}
    elif isinstance(evidence, (Facts, Secrets)):
        shown = {"evidence": evidence.name, "evidence_hash": evidence.hash}
    elif isinstance(evidence, Circuit):
        shown = {"circuit": dict(evidence.provenance)}
    else:
        shown = {} if evidence is None else {"evidence": repr(evidence)}
    return {
        "method": function.__name__,
        "options": {n: _plain(v) for n, v in {**defaults, **options}.items() if n != "progress"},
        "model": model.name,
        "weights": model.body.fingerprint,
        "dictionaries": dict(model.fingerprints),
        **shown,
        "edits": [str(edit) for edit in model.edits],
        "dtype": str(model.body.dtype).removeprefix("torch."),
        "device": str(model.device),
        "seconds": round(seconds, 3),
        "versions": {
            "clew": VERSION,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "numpy": np.__version__,
        },
    }


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Value):
        return {name: _plain(part) for name, part in value.plain().items()}
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


def card(dictionary: Dictionary) -> dict[str, Any]:
    """What identifies a dictionary."""
    return {
        "kind": dictionary.kind,
        "reads": str(dictionary.reads),
        "writes": str(dictionary.writes),
        "units": dictionary.n_units,
        "fingerprint": dictionary.fingerprint,
        "meta": dictionary.meta,
    }


def prompts_used(evidence: object) -> dict[str, list[str]]:
    """For provenance: hashes of the prompts, of a behaviour or two lists, so that `leaked` knows them again."""
    if isinstance(evidence, Behaviour):
        return {"prompts_used": sorted({h for pair in evidence.pairs for h in _hashes(pair.clean, pair.patch)})}
    if isinstance(evidence, tuple) and all(isinstance(side, list | tuple) for side in evidence):
        return {"prompts_used": sorted({h for side in evidence for h in _hashes(*side)})}
    return {}


def leaked(judged: Behaviour, claim: Circuit | Dictionary | Stack) -> str:
    """In words, how many of the pairs to judge on the claim was made from; empty where it was from none."""
    made_from = set() if isinstance(claim, Dictionary) else set(_all_used(claim.provenance))
    met = sum(not made_from.isdisjoint(_hashes(pair.clean)) for pair in judged.pairs)  # what it is judged to do
    if not met:
        return ""
    return (
        f"{met} of the {len(judged)} pairs of {judged.name} to judge on hold prompts that it was made from, so the numbers "
        "may flatter it; load the behaviour as it was loaded then (the same n and seed: its halves share no prompts), or "
        "take another"
    )


def _hashes(*prompts: object) -> list[str]:
    known = [json.dumps(prompt) for prompt in prompts if prompt is not None]
    return [hashlib.sha256(prompt.encode()).hexdigest()[:16] for prompt in known]


def _all_used(record: object) -> Iterable[str]:
    """Of a record and all within it: the nodes that were wired, the circuit that was edited, the parts of a stack."""
    if isinstance(record, Mapping):
        yield from record.get("prompts_used", ())
        record = list(record.values())
    if isinstance(record, list):
        for inner in record:
            yield from _all_used(inner)
