"""Models that are open, each once, and the units they are seen in. One call at a time runs a model; so many more may wait.

Long runs do not hold a model: between two of their steps they let those go first who wait.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from threading import Condition, Lock, RLock
from typing import Any

from clew.apps._desk.answers import Likely, Limits, SiteShown, ViewShown
from clew.apps._desk.asked import ViewAsked
from clew.apps._desk.folder import Folder, check_name
from clew.apps._desk.kept import Kept
from clew.apps._desk.refusals import NotAllowed, NotHere, TooBusy
from clew.apps._desk.weights import check_weights
from clew.apps._layers import at_layers
from clew.dictionaries.packs import packs
from clew.models.bundled import BUNDLED

HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
"""How models of the hub are called."""
PLANTED = "planted/"
"""How the names of models start whose circuits are known."""


class Gate:
    """One caller at a time, in the order in which they came; TooBusy where too many wait already."""

    def __init__(self, name: str, most: int) -> None:
        self.name, self.most = name, most
        self._change, self._line, self._next = Condition(), list[int](), 0

    @property
    def waiting(self) -> int:
        """How many wait, or are inside."""
        return len(self._line)

    def check(self) -> None:
        """Raises: TooBusy where a caller would be turned away now."""
        if len(self._line) > self.most:
            raise TooBusy(f"{self.name} is busy and {self.most} calls wait for it already; ask again in a moment")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the one. Raises: TooBusy."""
        with self._change:
            self.check()
            mine, self._next = self._next, self._next + 1
            self._line.append(mine)
            self._change.wait_for(lambda: self._line[0] == mine)
        try:
            yield
        finally:
            with self._change:
                self._line.remove(mine)
                self._change.notify_all()

    def give_way(self, seconds: float = 60.0) -> None:
        """Wait until nobody waits, for long work between two steps; not for ever, so that it goes on under any load."""
        with self._change:
            self._change.wait_for(lambda: not self._line, timeout=seconds)


@dataclass(frozen=True, eq=False)
class Opened:
    """A model without a view, and who may run it."""

    name: str
    model: Any
    gate: Gate
    said: list[str]


@dataclass(frozen=True, eq=False)
class View:
    """A model seen in some units."""

    id: str
    asked: ViewAsked
    model: Any
    opened: Opened
    used: list[float] = field(default_factory=lambda: [time.monotonic()])
    unchanged: dict[str, list[Likely]] = field(default_factory=dict[str, list[Likely]])
    """What may come next after the prompt on which changes were last looked at, by this model as it is."""
    kept: Kept = field(default_factory=Kept)
    """What was found of its units; it goes with the view."""

    @property
    def name(self) -> str:
        return self.opened.name

    @property
    def gate(self) -> Gate:
        return self.opened.gate

    def shown(self) -> ViewShown:
        """What is open, for a front end."""
        sites = [SiteShown(str(site), d.n_units, d.kind) for site, d in self.model.dictionaries.items()]
        heads, layers = int(self.model.body.n_heads), int(self.model.n_layers)
        return ViewShown(
            self.id,
            self.name,
            self.model.units,
            sites,
            layers,
            heads,
            self.opened.said,
            self.asked.through,
            self.gate.waiting,
        )


class Views:
    """What is open over a folder."""

    def __init__(self, folder: Folder, models: tuple[str, ...], hub: bool, limits: Limits) -> None:
        self.folder, self.models, self.hub, self.limits = folder, models, hub, limits
        self._opened, self._views = dict[str, Opened](), dict[str, View]()
        self._opening, self._looking = RLock(), Lock()

    def open(self, asked: ViewAsked) -> View:
        """The view that is asked for; the same question gives the same view again.

        Raises: NotAllowed for a model or dictionaries from outside the folder; ValueError for what does not fit together.
        """
        id = hashlib.sha256(json.dumps(asdict(asked), sort_keys=True).encode()).hexdigest()[:12]
        with self._opening:
            if id not in self._views:
                view = View(id, asked, *self._seen(asked))
                with self._looking:
                    self._views[id] = view
                    self._close_oldest(id)
        return self.get(id)

    def get(self, id: str) -> View:
        """A view by its handle. Raises: NotHere for one that is not open."""
        with self._looking:
            view = self._views.get(id)
            if view is None:
                raise NotHere(f"no view {id!r:.40} is open; POST /api/views opens one and answers with its id")
            view.used[0] = time.monotonic()
            return view

    def every(self) -> list[View]:
        """All that are open."""
        with self._looking:
            return list(self._views.values())

    def close(self, id: str) -> None:
        """Forget a view; the model goes with its last one. Raises: NotHere."""
        self.get(id)
        with self._looking:
            del self._views[id]
            self._drop_models()

    def _close_oldest(self, but: str) -> None:
        while len(self._views) > self.limits.views:
            del self._views[min((id for id in self._views if id != but), key=lambda id: self._views[id].used[0])]
        self._drop_models()

    def _drop_models(self) -> None:
        seen = {view.opened.name for view in self._views.values()}
        self._opened = {name: opened for name, opened in self._opened.items() if name in seen}

    def _seen(self, asked: ViewAsked) -> tuple[Any, Opened]:
        """The model in the units that are asked for."""
        ways = bool(asked.through) + bool(asked.neurons) + asked.heads + asked.components
        if ways > 1:
            raise ValueError("through, neurons, heads and components are ways to see a model; give one of them")
        if asked.layers and not asked.through:
            raise ValueError("layers chooses among the dictionaries of through; name them too")
        dictionaries = [d for name in asked.through for d in self.dictionaries(name)]
        opened = self._model(asked.model)
        model = opened.model
        if asked.through:
            model = model.through(*at_layers(dictionaries, asked.layers, " and ".join(asked.through), asked="layers"))
        elif asked.neurons:
            model = model.neurons(*asked.neurons)
        elif asked.components:
            model = model.components()
        elif asked.heads:
            model = model.heads()
        return model, opened

    def check(self, asked: ViewAsked) -> None:
        """Raises: NotAllowed, NotHere for a model or dictionaries that are not to be had, before anything takes long."""
        self.place(asked.model)
        for name in asked.through:
            self.check_dictionaries(name)

    def check_dictionaries(self, name: str) -> None:
        """Raises: NotAllowed, NotHere for what is neither a pack nor in the folder."""
        if name not in packs():
            self.folder.there(name)

    def dictionaries(self, name: str) -> list[Any]:
        """Those of a pack, or of a path in the folder."""
        import clew

        return clew.Dictionary.load(name if name in packs() else self.folder.there(name))

    def _model(self, name: str) -> Opened:
        """A model, opened once."""
        if name not in self._opened:
            import transformers

            import clew
            from clew.finder import load
            from clew.models.selfcheck import cached_selfcheck

            place = self.place(name)
            transformers.utils.logging.disable_progress_bar()
            model = load("data.planted", name.removeprefix(PLANTED))().model if name in planted() else clew.open(place)
            model.body.name = name  # as it is called here, and would be by a command in the folder
            said = cached_selfcheck(model.body).lines
            self._opened[name] = Opened(name, model, Gate(name, self.limits.waiting), said)
        return self._opened[name]

    def place(self, name: str) -> str:
        """What `clew.open` is to be given for a model of this name.

        Raises: NotAllowed for one that is neither bundled, nor in the folder, nor allowed when the desk was set up;
            ValueError for a folder whose weights would have to be unpickled.
        """
        if name in BUNDLED or name in self.models or name in planted():
            return name
        if (found := self._inside(name)) is not None:
            return str(found)
        if self.hub and HUB.fullmatch(name):
            return name
        known = ", ".join([*BUNDLED, *self.models])
        raise NotAllowed(
            f"the model {name!r:.80} is not open to this studio; it opens {known}, models inside the folder, and what "
            "`clew studio --model NAME` allows, or any of the hub with --hub"
        )

    def _inside(self, name: str) -> Path | None:
        """A model in the folder. Raises: ValueError for weights that are not safetensors or GGUF, or lie elsewhere."""
        try:
            check_name(name)
            found = self.folder.path(name)
        except NotAllowed:
            return None
        if found.is_file() and found.suffix == ".gguf":
            return found
        if not found.is_dir():
            return None
        self.folder.there(name)
        check_weights(found, name)
        return found


@cache
def planted() -> list[str]:
    """The models whose circuits are known."""
    from clew.finder import names

    return [PLANTED + name for name in names("data.planted")]
