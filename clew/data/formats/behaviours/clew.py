"""Our own JSON of a behaviour, with its metric and its halves, as `Behaviour.save` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.files import Rows
from clew.data.behaviours.metrics import METRICS, name_of
from clew.evidence import Prompt, prompt_of
from clew.files import check_whole, entries, entry, entry_or, write_json
from clew.models.tokens import in_words

FORMAT, VERSION = "clew behaviour", 1
WHOLE = True
"""The halves are those of the file."""
TEXTS = ("name", "part", "description", "source", "note")
NAMES = ("format", "version", "metric", "aligned", "split", "seed", "dropped", "pairs", *TEXTS)


def matches(rows: Rows) -> bool:
    return rows[0].get("format") == FORMAT


def clew(rows: Rows, *, name: str, model: Any = None, seed: int = 0) -> Behaviour:
    """The behaviour as it was saved: the name, the seed and the order of its pairs are those of the file."""
    told, *more = rows
    entry(told, "format", str, origin=name, among=(FORMAT,))
    version = entry(told, "version", int, origin=name, at_least=1)
    if version > VERSION:
        raise ValueError(f"the behaviour is of version {version}, newer than {VERSION}, which this clew reads")
    if more:
        raise ValueError(f"{name} holds {len(rows)} records; a behaviour is one")
    check_whole(told, NAMES, name)
    entry(told, "part", str, origin=name, among=("all", "train", "test"))
    pairs = tuple(
        _pair(pair, f"{name}: pairs[{i}]") for i, pair in enumerate(entries(told, "pairs", dict, origin=name))
    )
    return Behaviour(
        pairs=pairs,
        metric=METRICS[entry(told, "metric", str, origin=name, among=METRICS)],
        aligned=entry(told, "aligned", bool, origin=name),
        split=entry(told, "split", int, origin=name, at_least=0, at_most=len(pairs)),
        seed=entry_or(told, "seed", int, None, origin=name),
        dropped=entry(told, "dropped", int, origin=name, at_least=0),
        **{text: entry(told, text, str, origin=name) for text in TEXTS},
    )


def _pair(told: Any, origin: str) -> Pair:
    check_whole(told, ("clean", "patch", "answers", "patch_answers", "case"), origin)
    clean = _prompt(told["clean"], f"{origin}.clean")
    patch = None if told["patch"] is None else _prompt(told["patch"], f"{origin}.patch")
    kind = str if in_words(clean) else int
    answers, others = (tuple(entries(told, name, kind, origin=origin)) for name in ("answers", "patch_answers"))
    return Pair(clean, patch, answers, others, entry(told, "case", str, origin=origin))


def _prompt(told: Any, place: str) -> Prompt:
    """A text, or the list of a chat or of token ids."""
    if not isinstance(told, str | list):
        raise ValueError(f"{place} is {told!r:.80}; text or a list is due there")
    return prompt_of(told, place)


def write(behaviour: Behaviour, path: Path) -> None:
    """Save it whole or not at all.

    Raises: ValueError for a path that does not end in .json, or a metric that is none of clew's, which a file cannot hold.
    """
    metric = name_of(behaviour.metric)
    if METRICS.get(metric) is not behaviour.metric:
        raise ValueError(
            f"the metric {metric} of {behaviour.name} is a function of your own, which a file cannot hold; save "
            f"behaviour.with_metric(name) with one of {', '.join(METRICS)}, and give yours to what is loaded"
        )
    if path.suffix != ".json":
        raise ValueError(f"{path} is to be JSON; give it a name that ends in .json")
    told = {name: getattr(behaviour, name) for name in ("aligned", "split", "seed", "dropped", *TEXTS)}
    pairs = [pair.plain() | {"case": pair.case} for pair in behaviour.pairs]
    write_json(path, {"format": FORMAT, "version": VERSION, "metric": metric, **told, "pairs": pairs})
