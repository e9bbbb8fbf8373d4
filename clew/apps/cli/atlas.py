"""clew atlas: the behaviours in a text, found without a person, each with a circuit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import CycloptsError, Group, Parameter

from clew.apps.cli._evidence import named_texts
from clew.apps.cli._groups import WORKERS, Machine, View
from clew.apps.cli._terminal import Flag, Json, aside, say, telling, working
from clew.files import check_whole, entries, read_json, write_json
from clew.scale.workers import Workers
from clew.studies.atlas.options import Finding, Grouping, Wiring

FORMAT, ASKED = "clew atlas words", "asked.json"
"""Where a folder keeps the words that it was asked for by, so that --resume need not be told them again."""
SHOWN = 12
"""How many behaviours are listed."""


def _group(name: str) -> Parameter:
    typed = Parameter(consume_multiple=True, negative_iterable=(), negative_none=())
    return Parameter(name="*", group=Group(name, default_parameter=typed))


def atlas(
    model: str | None = None,
    /,
    *text: str,
    to: Path,
    resume: Flag = False,
    finding: Annotated[Finding, _group("Places")] = Finding(),
    grouping: Annotated[Grouping, _group("Clusters")] = Grouping(),
    wiring: Annotated[Wiring, _group("Circuits")] = Wiring(),
    workers: WORKERS = Workers(),
    view: View = View(),
    machine: Machine = Machine(),
    json: Json = False,
) -> None:
    """Find the behaviours in a text, and the circuit of each. A call that was stopped goes on where it was.

    Parameters
    ----------
    model
        A bundled name (`clew models`), a folder, a GGUF file or a hub id.
    text
        Text to look in: files or folders, `wikipedia`, hub:OWNER/NAME; each is a source of its own in the atlas.
    to
        The folder of the atlas.
    resume
        Go on with the atlas in the folder as it was asked for; beside this only where the work is done is said anew.
    """
    if resume:
        if model is not None:
            raise ValueError("--resume goes on with what is in the folder; leave the model and the text out")
        told = [word for group in (finding, grouping, wiring, view, machine) for word in _words(group)]
        if told:
            raise ValueError(f"--resume goes on with what the folder was asked for; leave out {' '.join(told)}")
        go_on, _ = _asked(to)
        go_on({"workers": workers, "json": json})
        return
    if model is None or not text:
        raise ValueError("name a model and some text, or an atlas to go on with: clew atlas --resume --to FOLDER")
    from clew.studies.atlas.build import build
    from clew.studies.atlas.corpus import Corpus

    start = partial(_opened, model, view, machine)
    seen = start()
    with working("reading the text"):
        corpus = Corpus.of({name: named_texts(name) for name in text})
    _keep(to, [model, *text, *(word for group in (finding, grouping, wiring, view, machine) for word in _words(group))])
    how = {"finding": finding, "grouping": grouping, "wiring": wiring, "workers": workers}
    try:
        made = build(seen, corpus, to, **how, start=start, labels=_labels(view), telling=telling)
    except KeyboardInterrupt:
        aside(f"what is done is kept; clew atlas --resume --to {to} goes on")
        raise
    wired, report = sum(one.circuit is not None for one in made), made.report()
    places = ", ".join(f"{n:,} {name}" for name, n in made.counts.items())
    head = f"{len(made)} behaviours, {wired} of them with a circuit, saved in {to}\nplaces of the text: {places}"
    said = f"{head}\n{_table(made)}\n{report}"
    say(said, {"atlas": str(to), "behaviours": len(made), "circuits": wired, "report": report.to_json()}, json)
    if made.aside:
        aside(
            f"{len(made.aside)} circuits failed and were set aside; --retry tries them again. The first: {made.aside[0]}"
        )
    if not json:
        aside(f"next: clew show {to}")


def _opened(model: str, view: View, machine: Machine) -> Any:
    """The model in its view, here or in a worker."""
    return view.open(model, machine)


def _labels(view: View) -> Any:
    """Names of units, where dictionaries are a pack that has some."""
    from clew.dictionaries.packs import pack_labels, packs
    from clew.labels import Labels

    found = Labels()
    for name in map(str, view.through):
        found = found | pack_labels(name) if name in packs() else found
    return found


def _table(made: Any) -> str:
    """The first behaviours: how many contexts, how much of them its circuit carries, what they are."""
    lines = [f"  {'size':>5}  {'faithful':>8}  what"]
    for one in made.entries[:SHOWN]:
        row = one.circuit and one.circuit.faithfulness()
        share = f"{row.value:.2f}" if row else ""
        lines.append(f"  {one.size:>5}  {share:>8}  {one.title}{' (trivial)' * one.trivial}")
    return "\n".join(lines)


# What was asked for.


def _words(group: Any) -> Iterator[str]:
    """What of a group is not as usual, as it is typed."""
    for field in fields(group):
        value, name = getattr(group, field.name), field.name.replace("_", "-")
        if value == field.default or value is None:
            continue
        if isinstance(value, bool):
            yield f"--{name}" if value else f"--no-{name}"
        else:
            yield from (f"--{name}", *map(str, value if isinstance(value, tuple) else (value,)))


def _keep(folder: Path, words: list[str]) -> None:
    """Write down the words that a folder is begun with; what is made in it says itself whether it is other work."""
    if not (folder / ASKED).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / ASKED, {"format": FORMAT, "words": words})


def _asked(folder: Path) -> tuple[Callable[[Mapping[str, Any]], Any], dict[str, Any]]:
    """The command that a folder was begun with, and what it was given. Raises: ValueError for one that was not begun."""
    from clew.apps.cli import parsed

    path = folder / ASKED
    if not path.is_file():
        raise ValueError(f"{folder} holds no atlas that was begun by clew atlas; begin one with a model and some text")
    held = read_json(path, FORMAT)
    check_whole(held, ("format", "words"), str(path))
    words = entries(held, "words", str, origin=str(path))
    asked = ["atlas", *words, "--to", str(folder)]
    try:
        return parsed(asked, print_error=False)
    except CycloptsError as error:
        raise ValueError(f"{path} holds words that clew atlas does not take: {' '.join(words)} ({error})") from error
