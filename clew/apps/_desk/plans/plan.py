"""A run's plan by its verb, and what all plans share: their arguments, typed; the model they run; where the result goes."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from clew.apps._desk.answers import Named
from clew.apps._desk.asked import RunAsked, Verb, ViewAsked
from clew.apps._desk.behaviours import behaviour_of, place_of
from clew.apps._desk.folder import Folder
from clew.apps._desk.runs import Plan, Teller
from clew.apps._desk.views import View, Views
from clew.files import LARGEST, check_names, entries, entry_or, typed

MODEL = {
    "view": "the id of an open view, in place of the next six",
    "model": "the model's name",
    "through": "dictionaries: packs or paths",
    "layers": "of those the ones at these layers",
    "neurons": "sites whose coordinates are the units",
    "heads": "heads are the units",
    "components": "the embedding, heads and MLPs are the units",
}
TASK = {
    "behaviour": "a behaviour's name, or the path of a file of pairs",
    "examples": "how many prompt pairs at most",
    "metric": "what is measured on the answer",
    "all_pairs": "also use the pairs that the model gets wrong",
}
HOW = {"by": "the method, by its name", "options": "of the method, by their names"}
"""What the arguments are for that several verbs take."""
TABLES = (".json", ".jsonl", ".csv", ".tsv")
"""How files of pairs end."""


@dataclass(frozen=True)
class Work:
    """What a plan is made of: what was asked, and where."""

    folder: Folder
    views: Views
    asked: RunAsked
    again: bool = False
    """Whether it was planned before, so that its name is that of its result."""
    _view: list[View] = field(default_factory=list)

    # Arguments.

    def one(self, name: str, kind: type, default: Any = None, **limits: Any) -> Any:
        """An argument. Raises: ValueError for one of another kind."""
        return entry_or(self.asked.args, name, kind, default, origin="args", **limits)

    def some(self, name: str, kind: type) -> list[Any]:
        """A list among them; empty where it is not given."""
        return entries(self.asked.args, name, kind, origin="args") if self.asked.args.get(name) is not None else []

    def needed(self, name: str) -> str:
        """A text that must be given."""
        value = self.one(name, str)
        if not value:
            raise ValueError(f"{self.asked.verb} needs args.{name}; GET /api/about says what each verb takes")
        return str(value)

    def options(self, function: Callable[..., Any]) -> dict[str, Any]:
        """Those of a method. Raises: ValueError for one that it has not, that is no plain value, or that names a file."""
        from clew.signatures import check_options

        given = typed(self.asked.args.get("options") or {}, "args.options", dict)
        known = inspect.signature(function).parameters
        for name, value in given.items():
            values = value if isinstance(value, list) else [value]
            if not all(_is_plain(one) for one in values):
                raise ValueError(
                    f"args.options.{name} is {value!r:.60}; give a number, a text, true or false, or a list"
                )
            if name in known and "Path" in str(known[name].annotation):
                raise ValueError(f"args.options.{name} names a file, which is for the command line alone")
        check_options(function, {**_empty(function), **given})
        return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}

    # The model.

    @property
    def view_asked(self) -> ViewAsked:
        """The view that is named, or described. Raises: NotAllowed, NotHere for what is not to be had."""
        if (id := self.one("view", str)) is not None:
            return self.views.get(id).asked
        asked = ViewAsked(
            self.needed("model"),
            self.some("through", str),
            self.some("layers", int),
            self.some("neurons", str),
            self.one("heads", bool, False),
            self.one("components", bool, False),
        )
        self.views.check(asked)
        return asked

    def view(self, asked: ViewAsked, tell: Teller, until: float) -> View:
        """That view, opened as the first part of the work."""
        tell.part(f"opening {asked.model}", 0.0, until)
        self._view[:] = [self.views.open(asked)]
        return self._view[0]

    def gate(self) -> Any:
        """Of the model that runs; None before it is open."""
        return self._view[0].gate if self._view else None

    # The behaviour.

    def check_task(self) -> str:
        """The name of the behaviour. Raises: NotHere, ValueError for what is none."""
        name = self.needed("behaviour")
        place_of(self.folder, name)
        self.one("examples", int, at_least=1)
        self.one("metric", str)
        self.one("all_pairs", bool, False)
        return name

    def task(self, view: View) -> Any:
        """The pairs, as `clew find` takes them: those that the model gets right."""
        n, metric = self.one("examples", int), self.one("metric", str)
        task = behaviour_of(self.folder, self.needed("behaviour"), view.model, **({"n": n} if n else {}))
        task = task if metric is None else task.with_metric(metric)
        return task if self.one("all_pairs", bool, False) else task.filter(view.model)

    # The result.

    def named(self, usual: str, ending: str) -> tuple[Work, str]:
        """The work under the name of its result, a path in the folder that nothing has yet."""
        if self.again and self.asked.name:
            return self, self.asked.name
        if usual.endswith(TABLES):
            usual = usual.rpartition("/")[2].partition(".")[0]
        stem = (self.asked.name or re.sub(r"[^\w.-]+", "-", usual).strip("-.") or "result").removesuffix(ending)
        name = self.folder.name(self.folder.free(stem + ending))
        return replace(self, asked=replace(self.asked, name=name)), name

    def path(self, name: str) -> Path:
        """Where a result goes, its folder made."""
        path = self.folder.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def kept(self) -> Work:
        """The same with its view described, so that it can be taken up when that view is closed."""
        if self.one("view", str) is None:
            return self
        asked = self.view_asked
        args = {name: value for name, value in self.asked.args.items() if name != "view"}
        return replace(self, asked=replace(self.asked, args={**args, **asdict(asked)}))

    # The command line.

    def typed_view(self, asked: ViewAsked) -> list[str]:
        """The view as options."""
        words = list_option("--through", asked.through) + list_option("--layers", asked.layers)
        return (
            words
            + list_option("--neurons", asked.neurons)
            + ["--heads"] * asked.heads
            + ["--components"] * asked.components
        )

    def typed_task(self) -> list[str]:
        """What is asked of the behaviour, as options."""
        words = [
            f"--{name}={self.one(name, kind)}"
            for name, kind in (("examples", int), ("metric", str))
            if self.one(name, kind)
        ]
        return words + ["--all-pairs"] * self.one("all_pairs", bool, False)

    def typed_options(self) -> list[str]:
        """Those of the method."""
        words = list[str]()
        for name, value in (self.asked.args.get("options") or {}).items():
            flag = name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            elif value is not None:
                words += list_option(f"--{flag}", value if isinstance(value, list) else [value])
        return words


def list_option(option: str, values: Sequence[Any]) -> list[str]:
    """An option with its values; nothing where there are none."""
    return [option, *map(str, values)] if values else []


def line(*words: str | Sequence[str]) -> str:
    """A command line. Args: words: alone or in lists."""
    flat = [word for part in words for word in ([part] if isinstance(part, str) else part)]
    return shlex.join(["clew", *flat])


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | str) or (isinstance(value, int | float) and abs(value) <= LARGEST)


def _empty(function: Callable[..., Any]) -> dict[str, Any]:
    """Options that it cannot do without, given by others: what is checked here is only that no name is unknown."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty}


def plan_of(folder: Folder, views: Views, asked: RunAsked, again: bool) -> tuple[RunAsked, Plan]:
    """What a run is to do, and what was asked with nothing left open. Raises: ValueError for what cannot be done."""
    _check_plain(asked.args)
    room: Any = importlib.import_module(f"clew.apps._desk.plans.{asked.verb}")
    check_names(asked.args, room.ARGS, "args")
    return room.plan(Work(folder, views, asked, again).kept())


def _check_plain(args: Mapping[str, Any]) -> None:
    """Raises: ValueError for what could not be written down."""
    try:
        json.dumps(args, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"args hold what is no plain JSON ({error}); give finite numbers, texts, lists of these"
        ) from error


def verbs() -> dict[str, list[Named]]:
    """What each verb takes."""
    rooms = {verb: importlib.import_module(f"clew.apps._desk.plans.{verb}") for verb in get_args(Verb)}
    return {verb: [Named(name, about) for name, about in _args(room).items()] for verb, room in rooms.items()}


def _args(room: Any) -> Mapping[str, str]:
    return room.ARGS
