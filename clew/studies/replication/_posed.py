"""Evidence asked again: by the steps that a record holds, or by those that lead to the hash that it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from clew.data.behaviours.behaviour import Behaviour, Step
from clew.data.behaviours.metrics import METRICS
from clew.data.facts.everyday import facts
from clew.data.facts.facts import Facts
from clew.data.facts.secrets import Secrets, synthetic_secrets
from clew.data.labels.labelled import Labelled
from clew.data.text.texts import stream_texts
from clew.data.text.windows import cut
from clew.evidence import half
from clew.models import Model

TIMES = (4, 1, 2, 8)
"""How many times the prompts that were used may have been loaded, where a record does not say."""
NAMES = ("name", "test")
"""Options of a step that name a behaviour or a file of one."""


class CannotRerun(ValueError):
    """Why something cannot be made again."""


def posed(
    record: Mapping[str, Any], model: Model, given: Path | None, place: Callable[[str], str]
) -> tuple[Any, bool | None]:
    """The evidence of a record, checked by its hash, and whether its verb was to halve it.

    Args:
        given: a file of it, where the record does not say where it is from.
        place: where that is now which a record names.

    Raises: CannotRerun saying what is missing, or that what is there is not what was asked then.
    """
    if "prompts" in record:
        return _behaviour(record["prompts"], model, given, place)
    if "evidence_hash" in record:
        return _one_of(_facts(given, model), record["evidence_hash"], record["evidence"]), None
    if isinstance(record.get("texts"), str):
        return _one_of(_labelled(given), record["texts"], record["labelled"]), None
    if isinstance(record.get("text"), Mapping):
        return _one_of(_windows(record["text"], given, model), record["text"]["hash"], "text"), None
    if record.get("evidence"):
        raise CannotRerun(f"it was made from {record['evidence']:.80}, which the record names and does not hold")
    return None, None


def _one_of(candidates: Iterator[Any], wanted: str, name: str) -> Any:
    """The first whose hash is the one of the record."""
    tried = 0
    for found in candidates:
        if found.hash == wanted:
            return found
        tried += 1
    said = (
        f"none of {tried} that were tried has its hash {wanted}"
        if tried
        else "the record does not say where it is from"
    )
    raise CannotRerun(f"the evidence {name} is not there: {said}; give its file as evidence")


def _facts(given: Path | None, model: Model) -> Iterator[Facts | Secrets]:
    """Facts or secrets of a file; else clew's own, in number and halves as they may have been."""
    if given is not None:
        yield from _whole_and_halves(_file_of_facts(given))
        return
    for n in range(1, 51):
        made = synthetic_secrets(n)
        yield from (made, *(made.halves() if n > 1 else ()), *_whole_and_halves(made))
    for n in (1, 5, 10, 20, 50, 100):
        yield from _whole_and_halves(facts(n))
    yield from (facts(n, model=model) for n in (1, 5, 10, 20, 50, 100))


def _file_of_facts(given: Path) -> Facts | Secrets:
    try:
        return Facts.load(given)
    except ValueError:
        return Secrets.load(given)


def _whole_and_halves(found: Any) -> Iterator[Any]:
    yield found
    for side in ("train", "test"):
        try:
            yield getattr(found, side)
        except ValueError:  # one of them has no halves
            return


def _labelled(given: Path | None) -> Iterator[Labelled]:
    if given is not None:
        yield from _whole_and_halves(Labelled.load(given))


def _windows(policy: Mapping[str, Any], given: Path | None, model: Model) -> Iterator[Any]:
    """Text of a file, cut as it was."""
    how = {name: policy[name] for name in ("context", "packing", "bos", "special", "skip", "limit") if name in policy}
    if given is not None and how.get("packing") != "chats":
        yield from _whole_and_halves(cut(stream_texts(str(given)), model.tokenizer, **how))


def _behaviour(
    told: Mapping[str, Any], model: Model, given: Path | None, place: Callable[[str], str]
) -> tuple[Behaviour, bool]:
    """The whole of a behaviour a half of which has the hash of the record, and whether a half is meant."""
    part = told["part"]
    for found in _behaviours(told, model, given, place):
        asked = half(found, part, True) if part != "all" else found
        if asked.hash == told["hash"]:
            return found, part != "all"
    raise CannotRerun(
        f"the prompts of {told['name']} cannot be posed as they were: nothing that can be loaded by that name has their "
        f"hash {told['hash']} now, so either what makes them has changed or they were chosen in a way that the record does "
        "not hold; give the behaviour that was saved then as evidence"
    )


def _behaviours(
    told: Mapping[str, Any], model: Model, given: Path | None, place: Callable[[str], str]
) -> Iterator[Behaviour]:
    """By the steps in the record; without any, in the ways in which behaviours are usually come by."""
    metric = told["metric"]
    measured: Callable[[Behaviour], Behaviour] = lambda b: b.with_metric(metric) if metric in METRICS else b  # noqa: E731
    if given is not None:
        yield measured(Behaviour.load(given))
        yield measured(Behaviour.load(given, model=model))
    elif told.get("made"):
        steps = [cast("Step", (step, _placed(options, place))) for step, options in told["made"]]
        yield measured(Behaviour.again(steps[:-1] if steps[-1][0] == told["part"] else steps, model))
    else:
        yield from map(measured, _guessed(told, model, place))


def evidence_in(told: Mapping[str, Any]) -> Iterator[str]:
    """What a record of prompts names that would be loaded: behaviours, and files of them."""
    for _, options in told.get("made") or [["load", {"name": _source(told)}]]:
        yield from (str(options[name]) for name in NAMES if options.get(name) is not None)


def _source(told: Mapping[str, Any]) -> str:
    return str(told.get("source") or told.get("name"))


def _placed(options: Mapping[str, Any], place: Callable[[str], str]) -> dict[str, Any]:
    """The options of a step, with what they name where it is now."""
    return {
        name: place(str(value)) if name in NAMES and value is not None else value for name, value in options.items()
    }


def _guessed(told: Mapping[str, Any], model: Model, place: Callable[[str], str]) -> Iterator[Behaviour]:
    """As it may have been come by: so many loaded, those kept that the model gets right and that have one length."""
    pairs, seed = told["pairs"], told["seed"]
    whole = pairs if told["part"] == "all" else 2 * pairs
    noted = sorted((int(word) for word in told["note"].split() if word.isdigit()), reverse=True)
    for n in dict.fromkeys((*noted[:1], *(times * whole for times in TIMES), None)):
        options = {name: value for name, value in (("n", n), ("seed", seed or None)) if value is not None}
        try:
            loaded = Behaviour.load(place(_source(told)), model=model, **options)
            start = loaded.filter(model) if "answer them" in told["note"] else loaded
            ways = (start.of_length(model), start)
        except ValueError:  # not so many, or not of this name
            continue
        for found in ways:
            yield found
            yield from (found.first(size) for size in (whole, whole - 1, whole + 1))
