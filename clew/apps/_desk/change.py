"""What a change does: the continuation before and after, side by side as it comes, and the metric of a behaviour."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import numpy as np
import torch

from clew.apps._desk import reports
from clew.apps._desk.answers import ChangeLine, Done, Failed, Interval, Item, Likely, Metric, NextTokens, Receipt, Wrote
from clew.apps._desk.asked import ChangeAsked, EditAsked, SaveAsked
from clew.apps._desk.behaviours import behaviour_of, half_of
from clew.apps._desk.folder import Folder
from clew.apps._desk.items import Items, readable
from clew.apps._desk.names import site_and_unit
from clew.apps._desk.prompt import likely
from clew.apps._desk.tokens import tokens_of
from clew.apps._desk.views import View
from clew.changes import Add, Edit, Scale, Set
from clew.report import bootstrap
from clew.sites import EVERY, Where
from clew.stack import Stack

log = logging.getLogger("clew")
NEXT = 8
"""Tokens that may follow, shown of each side."""
PAIRS = 128
"""Prompt pairs at most that a metric is measured on, half of them held out."""
EDIT_FORMATS = {"safetensors": ".safetensors", "gguf": ".gguf", "steering_vectors": ".pt"}
"""What edits are exported as, and how such files end."""
HALF = "\ufffd"
"""What a letter is decoded as of which bytes are still to come."""
WHERE = {"prompt": Where("prompt"), "response": Where("response"), "last": Where.at(-1), "every": EVERY}
"""Positions by a word."""


ON_PATCH = " on the patch prompts"


class _Gone(Exception):
    """Nobody reads any more."""


def change(view: View, folder: Folder, asked: ChangeAsked, most: int) -> Iterator[ChangeLine]:
    """The lines of a change as they come.

    They are made in a thread of its own, which alone holds the model: a reader who is slow or goes away keeps it from nobody.
    Raises: ValueError for edits that cannot be made, TooBusy, before the first line; what goes wrong later is the last line.
    """
    if not 0 <= asked.tokens <= most:
        raise ValueError(f"tokens is {asked.tokens}; give how many tokens to write, from 0 to {most}")
    tokens_of(view.model, asked.prompt)
    edited = view.model.edited(stack_of(view, folder, asked.edits))
    lines, gone = SimpleQueue[Any](), Event()

    def tell(line: ChangeLine) -> None:
        if gone.is_set():
            raise _Gone
        lines.put(line)

    def work() -> None:
        try:
            _make(view, edited, folder, asked, tell)
        except Exception as error:  # told to whoever reads the lines
            lines.put(error)
        lines.put(None)

    Thread(target=work, daemon=True).start()
    if isinstance(first := lines.get(), Exception):
        raise first
    return _read(first, lines, gone)


def _read(line: Any, lines: SimpleQueue[Any], gone: Event) -> Iterator[ChangeLine]:
    """The lines from this one on."""
    try:
        while line is not None:
            yield Failed(_in_a_sentence(line)) if isinstance(line, Exception) else line
            line = lines.get()
    finally:
        gone.set()


def _in_a_sentence(error: Exception) -> str:
    if isinstance(error, ValueError):
        return str(error)
    log.error("a change broke off", exc_info=error)
    return f"the model broke off ({type(error).__name__}); what the studio printed says more"


def _make(view: View, edited: Any, folder: Folder, asked: ChangeAsked, tell: Callable[[ChangeLine], None]) -> None:
    started = time.monotonic()
    with view.gate.turn():
        tell(_next(view, edited, asked.prompt))
        for side, model in (("before", view.model), ("after", edited)) if asked.tokens else ():
            _write(side, model, asked, tell)
    if asked.behaviour is not None:
        with view.gate.turn():
            for metric in _metrics(view.model, edited, folder, asked.behaviour):
                tell(metric)
    tell(Done(round(time.monotonic() - started, 3)))


def _next(view: View, edited: Any, prompt: str) -> NextTokens:
    """What may come next. Who tries one edit after the other on a prompt waits for the edited model alone."""
    if prompt not in view.unchanged:
        view.unchanged.clear()
        view.unchanged[prompt] = _may_come(view.model, prompt)
    return NextTokens(view.unchanged[prompt], _may_come(edited, prompt))


def _may_come(model: Any, prompt: str) -> list[Likely]:
    with torch.no_grad():
        return likely(model, model.run(prompt, logits=1).logits[0, -1], NEXT)


def _write(side: Any, model: Any, asked: ChangeAsked, tell: Callable[[ChangeLine], None]) -> None:
    """The text of one side as it comes, then where its edits were at work."""
    stream = _Stream(model, lambda text: tell(Wrote(side, text)))
    made = model.generate(asked.prompt, max_new_tokens=asked.tokens, streamer=stream)
    for receipt in made.receipts:
        tell(Receipt(str(receipt)))


class _Stream:
    """What transformers' `generate` is given: told the prompt first, then each token; passes on the text that is new."""

    def __init__(self, model: Any, tell: Callable[[str], None]) -> None:
        self._decode, self._tell = model.tokenizer.decode, tell
        self._ids = list[int]()
        self._told: int | None = None

    def put(self, value: Any) -> None:
        self._ids += value.flatten().tolist()
        text = str(self._decode(self._ids, skip_special_tokens=True))
        if self._told is not None and len(text) > self._told and not text.endswith(HALF):
            self._tell(text[self._told :])
        if self._told is None or not text.endswith(HALF):
            self._told = len(text)

    def end(self) -> None:
        """Nothing is left to tell but half a letter, at most."""


def _metrics(before: Any, after: Any, folder: Folder, name: str) -> Iterator[Metric]:
    """The metric on held-out pairs that the unedited model gets right: on their clean prompts, and with the same answers on
    their patch prompts, where alone a unit may matter that is silent on the clean ones."""
    task, split = half_of(behaviour_of(folder, name, before, n=PAIRS).filter(before))
    metric = str(task.provenance["metric"])
    paired = task.pairs[0].patch is not None and not task.needs.reference
    for prompts, of in (("clean", ""), ("patch", ON_PATCH))[: 1 + paired]:
        sides = [_measured(model, task, prompts) for model in (before, after)]
        yield Metric(metric + of, *(_interval(values) for values in sides), n=len(task), split=split)


def _measured(model: Any, task: Any, prompts: str) -> Any:
    """The metric of each example."""
    values = np.zeros(len(task))
    for batch in task.batches(model):
        with torch.no_grad():
            trace = model.run(getattr(batch, prompts), read=task.needs.reads, logits=task.needs.logits)
            values[list(batch.index)] = task.measured(trace, batch).float().cpu().numpy()
    return values


def _interval(values: Any) -> Interval:
    low, high = bootstrap(lambda index: float(values[index].mean()), len(values))
    bounds = (None if np.isnan(bound) else float(bound) for bound in (low, high))
    return Interval(float(values.mean()), *bounds)


def stack_of(view: View, folder: Folder, asked: Sequence[EditAsked]) -> Stack:
    """The edits that are asked for, in their order. Raises: ValueError for one that lacks something, or for none."""
    if not asked:
        raise ValueError("there are no edits; give at least one, such as {kind: zero, address: resid.3/17}")
    edits = [edit for one in asked for edit in _edits(view, folder, one)]
    return Stack(tuple(edits), "; ".join(_in_words(one) for one in asked))


def _edits(view: View, folder: Folder, asked: EditAsked) -> Sequence[Edit]:
    if asked.kind == "file":
        if asked.path is None:
            raise ValueError("an edit of kind file makes what a file holds; give its path")
        path = folder.file(asked.path)
        try:
            stack = Stack.load(path, view.model)
        except ValueError as error:
            raise ValueError(readable(error, path, asked.path)) from error
        return stack.edits if asked.value is None else stack.scaled(asked.value).edits
    if asked.address is None:
        raise ValueError(f"an edit of kind {asked.kind} acts on a unit; give its address, as resid.3/17")
    site, unit = site_and_unit(view, asked.address)
    where = _where(asked)
    if asked.kind == "zero":
        return [Scale(site, factor=0.0, where=where, basis="code", units=(unit,))]
    if asked.value is None:
        raise ValueError(f"an edit of kind {asked.kind} needs a value")
    if asked.kind == "scale":
        return [Scale(site, factor=asked.value, where=where, basis="code", units=(unit,))]
    if asked.kind == "set":
        return [Set(site, value=asked.value, where=where, basis="code", units=(unit,))]
    from clew.readings.pushed import row_of

    return [Add(site, vector=row_of(view.model, f"{site}/{unit}"), scale=asked.value, where=where)]


def _where(asked: EditAsked) -> Where:
    """Positions by a word or by numbers; those of the address where it has one and nothing else is said."""
    said = asked.where or (asked.address or "").partition("@")[2]
    if said in WHERE or not said:
        return WHERE[said or "every"]
    numbers = [part.strip() for part in said.split(",")]
    if not all(part.lstrip("-").isascii() and part.lstrip("-").isdigit() and len(part) < 8 for part in numbers):
        raise ValueError(f"where is {said!r:.60}; give {', '.join(WHERE)}, or positions such as 3,-1")
    return Where.at(*map(int, numbers))


def _in_words(asked: EditAsked) -> str:
    """An edit as its stack is called after."""
    said = asked.path if asked.kind == "file" else asked.address
    return f"{asked.kind} {said}" + (f" {asked.value:g}" if asked.value is not None else "")


def save(view: View, folder: Folder, items: Items, asked: SaveAsked) -> Item:
    """Save edits together as a file of the folder. Raises: ValueError for a name that is taken or none."""
    stack = stack_of(view, folder, asked.edits)
    name = asked.name.removesuffix(".safetensors") + ".safetensors"
    path = folder.path(name)
    made = {"model": view.name, "weights": view.model.body.fingerprint, "dictionaries": _of(view, stack)}
    with folder.writing:
        if path.exists():
            raise ValueError(f"there is a file {name} already; give another name")
        Stack(stack.edits, Path(asked.name).name, stack.about, {"method": "by hand", **made}).save(path)
    found = items.one(path)
    assert found is not None
    return found


def _of(view: View, stack: Stack) -> dict[str, str]:
    """The fingerprints of the dictionaries whose units are edited."""
    sites = {str(edit.at) for edit in stack if getattr(edit, "basis", "value") != "value"}
    return {site: made for site, made in view.model.fingerprints.items() if site in sites}


def exported(folder: Folder, name: str, format: str, view: View | None) -> tuple[bytes, str]:
    """Edits for another tool, and how the file is called. Raises: ValueError for a format that is none, or needs a view."""
    if format not in EDIT_FORMATS:
        raise ValueError(f"{format!r:.40} is no format; edits are exported as {', '.join(EDIT_FORMATS)}")
    path = folder.file(name)
    file = f"{path.stem}{EDIT_FORMATS[format]}"
    reports.edits(folder, name)  # nothing else is given away
    if format == "safetensors":
        return path.read_bytes(), file
    if view is None:
        raise ValueError(f"a file of {format} is made for a model; give the id of an open view as view=")
    stack = Stack.load(path, view.model)
    with TemporaryDirectory() as place:
        return stack.save(Path(place) / file, format=format, model=view.model).read_bytes(), file
