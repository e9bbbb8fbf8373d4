"""What something was made from: what a stranger needs to get it again, and whether it is met again where it is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers

from clew.evidence import Evidence, digest
from clew.models import Model
from clew.signatures import options_of
from clew.sites import Site, Weight
from clew.values import Value
from clew.version import VERSION

MOST = 10_000
"""So many hashes of prompts are kept, of more the least ones: a sample by which prompts are still met again."""


class MetAgain(UserWarning):
    """Prompts to judge on are among those that something was made from; the report's notes say so too."""


def provenance(
    model: Model, evidence: object, function: Callable[..., Any], options: dict[str, Any], seconds: float
) -> dict[str, Any]:
    """What a stranger needs to get the same numbers again."""
    return {
        "method": function.__name__,
        "options": {n: _plain(v) for n, v in {**options_of(function), **options}.items() if n != "progress"},
        "model": model.name,
        "weights": model.body.fingerprint,
        "dictionaries": dict(model.fingerprints),
        "units": model.units,
        **card_of(evidence),
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
        return [_plain(v) for v in cast("Sequence[object]", value)]
    if isinstance(value, Value):
        return {name: _plain(part) for name, part in value.plain().items()}
    if isinstance(value, (Site, Weight, Path)):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


def card_of(evidence: object) -> dict[str, Any]:
    """What is to be known of evidence; nothing where none was given."""
    own = getattr(evidence, "card", None)
    return own() if own else {} if evidence is None else {"evidence": repr(evidence)}


def prompts_used(evidence: object) -> dict[str, list[str]]:
    """For provenance: hashes of the prompts, so that `leaked` knows them again; nothing where there are none."""
    used = sorted({digest(prompt) for prompt in getattr(evidence, "prompts", tuple)()})[:MOST]
    return {"prompts_used": used} if used else {}


def leaked(judged: Evidence, made: object, *, held_out: bool = True) -> str:
    """In words, how many of the prompts to judge on something was made from; empty where it was from none.

    Args: made: its provenance; the records in it count too: of nodes that were wired, of the parts of a stack. held_out:
        whether the prompts to judge on are meant to be others.
    """
    used, asked = set(_all_used(made)), judged.asked()
    met = sum(digest(prompt) in used for prompt in asked)
    if not met:
        return ""
    said = (
        f"{met} of the {len(asked)} prompts of {judged.name} to judge on are among those that it was made from, so the "
        "numbers may flatter it"
    )
    if not held_out:
        return f"nothing was held out: {said}"
    return (
        f"{said}. Either its halves hold equal prompts, or it was not loaded as it was then (the same n "
        "and seed); take out the copies, load it as then, or take other prompts"
    )


def _all_used(record: object) -> Iterable[str]:
    """Of a record and all within it: the nodes that were wired, the circuit that was edited, the parts of a stack."""
    inside: Iterable[object] = ()
    if isinstance(record, Mapping):
        entries = cast("Mapping[str, Any]", record)
        yield from entries.get("prompts_used", ())
        inside = entries.values()
    elif isinstance(record, list):
        inside = cast("list[object]", record)
    for inner in inside:
        yield from _all_used(inner)
