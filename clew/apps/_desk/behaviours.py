"""Behaviours by name: those of clew, and files of the folder."""

from __future__ import annotations

import re
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from clew.apps._desk.answers import Item
from clew.apps._desk.asked import BehaviourAsked
from clew.apps._desk.folder import Folder
from clew.apps._desk.items import Items, readable
from clew.apps._desk.tokens import check_letters
from clew.data.behaviours.files import sibling


@cache
def available() -> dict[str, str]:
    """Those that come by name, with a line about each; of models whose circuits are known, theirs."""
    from clew.data.behaviours.behaviour import Behaviour
    from clew.finder import names

    planted = {f"planted/{name}": "of the model of that name, whose circuit is known" for name in names("data.planted")}
    return Behaviour.available() | planted


def place_of(folder: Folder, name: str) -> str:
    """What `Behaviour.load` is given for a name.

    Raises: NotAllowed, NotHere for what is no behaviour and no file here, or has its other half elsewhere.
    """
    if name in available():
        return name
    found = folder.file(name)
    if (half := sibling(str(found))) is not None:
        folder.file(folder.name(Path(half)))
    return str(found)


def behaviour_of(folder: Folder, name: str, model: Any, **options: Any) -> Any:
    """The pairs that this model can be asked. Raises: ValueError naming the file as it is called in the folder."""
    import clew

    place = place_of(folder, name)
    try:
        return clew.Behaviour.load(place, model=model, **options)
    except ValueError as error:
        if place == name:
            raise
        raise ValueError(readable(error, folder.path(name), name)) from error


def half_of(task: Any) -> tuple[Any, str]:
    """The pairs that are held out, and how that is said; of a single pair itself."""
    if len(task) < 2:
        return task, f"the only pair of {task.name}; nothing is held out"
    return task.test, f"held-out half of {task.name}"


def save(folder: Folder, items: Items, asked: BehaviourAsked) -> Item:
    """Write pairs that somebody typed as a behaviour. Raises: ValueError for none, or for what is no pair."""
    from clew.data.behaviours.behaviour import Behaviour
    from clew.data.behaviours.metrics import log_probability, logit_difference

    if not asked.pairs:
        raise ValueError("a behaviour has one pair of prompts or more; none was given")
    bad = next((i for i, pair in enumerate(asked.pairs) if not (pair.clean.strip() and pair.answers)), None)
    if bad is not None:
        raise ValueError(f"pair {bad + 1} has no prompt, or no answer; give both")
    for i, pair in enumerate(asked.pairs):
        for text in (pair.clean, *pair.answers, pair.patch or "", *pair.patch_answers):
            check_letters(text, f"pair {i + 1}")
    first = "-".join(re.findall(r"\w+", asked.pairs[0].clean)[:4]).lower() or "pairs"
    name = (asked.name or first).removesuffix(".json")
    path = folder.free(f"{name}.json")
    metric = logit_difference if asked.pairs[0].patch_answers else log_probability
    pairs: Any = [asdict(pair) for pair in asked.pairs]
    Behaviour(path.stem, pairs, metric, description="typed in the studio").save(path)
    found = items.one(path)
    assert found is not None
    return found
