"""Files of circuits of earlier versions: what they did not say.

Before version 2 they did not say what they are: the keys of their details tell. Before version 3 a label was a bare text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clew.circuits.kind import Card, Kind, Of, Prompt
from clew.files import texts_by_name
from clew.labels import Label, Labels
from clew.sites import READERS, Site

MOVED = ("components", "length", "token_ids", "logits")
"""Keys of details that are fields of a kind now."""


def kind_and_details(details: Mapping[str, Any], sites: Iterable[Site]) -> tuple[Kind, dict[str, Any]]:
    """What a circuit of version 1 is, and its details without what the kind holds now.

    Raises: KeyError, TypeError or ValueError for keys that do not hold what they should.
    """
    card, prompt = details.get("components"), None
    if "token_ids" in details:
        told = {"tokens": details["tokens"], "token_ids": details["token_ids"], "logits": details.get("logits", [])}
        prompt = Prompt.from_json(told)
    of = _of(details, any(site.part in READERS for site in sites))
    kind = Kind(
        of,
        not {"attention", "masks", "score", "tracing", "bigrams"} & details.keys() and of != "weights",
        details.get("length"),
        None if card is None else Card(**card),
        prompt,
    )
    moved = (*MOVED, "tokens") if prompt else MOVED
    return kind, {name: value for name, value in details.items() if name not in moved}


def labels(value: Mapping[str, Any], origin: str) -> Labels:
    """Labels of which nobody wrote down who or what made them."""
    texts = texts_by_name(value, "labels", origin=origin) if "labels" in value else {}
    said = "a circuit file that kept no origin"
    return Labels({address: (Label(text, "prose", origin=said),) for address, text in texts.items() if text.strip()})


def _of(details: Mapping[str, Any], readers: bool) -> Of:
    if "components" in details and readers:
        return "components"
    if "token_ids" in details:
        return "prompt_graph"
    if "attention" in details:
        return "attention"
    return "weights" if isinstance(details.get("weights"), Mapping) else "units"
