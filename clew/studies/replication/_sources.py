"""Where the parts of a record are: the model by its name, its dictionaries by their fingerprints, edits by what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import clew
from clew import finder
from clew.data.behaviours.behaviour import Behaviour
from clew.dictionaries import Dictionary
from clew.dictionaries.packs import packs
from clew.evidence import digest
from clew.models import Model
from clew.models.bundled import BUNDLED
from clew.stack import Stack
from clew.studies.replication._posed import CannotRerun

T = TypeVar("T")
FIRST = "0.1"
"""Of the versions whose fingerprints of weights were taken otherwise, how their names begin."""
PLANTED = "planted/"
"""How the names of models start whose circuits are known."""


def placed(name: str, folder: Path) -> str:
    """Where that is which a record names: where its name leads from here, else from the folder of the file that is run again;
    the name as it is where nothing is there, as that of a behaviour or of a model of the hub."""
    beside = folder / name
    return str(beside) if not Path(name).exists() and beside.exists() and not _is_ours(name) else name


def _is_ours(name: str) -> bool:
    return name in BUNDLED or name in Behaviour.available() or name.startswith(PLANTED)


def opened(name: str, dtype: str | None, folder: Path) -> Model:
    """The model of a name, in a dtype; those whose circuits are known are in float64. Args: folder: as of `placed`."""
    if name.startswith(PLANTED):
        return finder.load("data.planted", name.removeprefix(PLANTED))().model
    return clew.open(placed(name, folder), dtype=dtype)


@dataclass(frozen=True)
class Given:
    """What stands in for what a record names and cannot be found by that name."""

    model: str = ""
    """A folder or a name to open instead of the model's own name."""
    through: tuple[Path, ...] = ()
    """Files or folders of dictionaries."""
    evidence: Path | None = None
    """The file of the evidence: a behaviour, facts, secrets, texts."""
    edits: tuple[Path, ...] = ()
    """Files of the edits that were in force."""
    anyway: bool = False
    """Go on where the weights are not those of the record."""
    open: Callable[[str, str | None, Path], Model] = opened
    """How a model is opened, by its name and dtype; last the folder of the file that is run again."""
    place: Callable[[str, Path], str] = placed
    """Where the evidence is that a record names, given that folder."""
    writes: bool = True
    """Whether options of a method may name files, which it may write."""


@dataclass(frozen=True)
class Sources:
    """Models and dictionaries, each opened once, and what was found to differ from the records."""

    given: Given = Given()
    folder: Path = Path()
    """Of the file that is run again."""
    notes: dict[str, None] = field(default_factory=dict[str, None])
    """In words, in the order in which they were met."""
    opened: dict[tuple[Any, ...], Model] = field(default_factory=dict[tuple[Any, ...], Model])

    made: dict[str, Any] = field(default_factory=dict[str, Any])
    """What was made on the way, by what it was made from."""

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """What `make` makes of what the key, plain JSON, says; made once."""
        return self.made.setdefault(told, make()) if (told := digest(key)) not in self.made else self.made[told]

    def note(self, said: str) -> None:
        """Keep a sentence that the reader must know, once."""
        self.notes[said] = None

    def place(self, name: str) -> str:
        """Where the evidence is that a record names."""
        return self.given.place(name, self.folder)

    def view(self, record: Mapping[str, Any]) -> Model:
        """The model of a record in the basis and with the edits that it had. Raises: CannotRerun."""
        bare = self._model(record)
        return self._edited(self._seen(bare, record.get("dictionaries", {})), record.get("edits", []))

    def _model(self, record: Mapping[str, Any]) -> Model:
        name, dtype = self.given.model or record["model"], record.get("dtype")
        if (name, dtype) not in self.opened:
            try:
                self.opened[name, dtype] = self.given.open(name, dtype, self.folder)
            except (ValueError, OSError, ImportError) as error:
                raise CannotRerun(f"the model {name} is not there ({error}); give a folder of it as model") from error
        model, made = self.opened[name, dtype], record.get("versions", {})
        if dtype not in (None, here := str(model.body.dtype).removeprefix("torch.")):
            self.note(f"{name} was run in {dtype}, and is in {here} here")
        then, now = record.get("weights"), model.body.fingerprint
        if record.get("edits") or then in (None, now):
            return model
        if str(made.get("clew", "")).startswith(FIRST):
            self.note(
                f"clew {made['clew']} took the fingerprint of weights otherwise ({then}), so they cannot be compared by it"
            )
        elif self.given.anyway:
            self.note(f"the weights of {name} are others: {then} then, {now} now")
        else:
            raise CannotRerun(f"the weights of {name} are others: {then} then, {now} now; anyway goes on with these")
        return model

    def _seen(self, model: Model, wanted: Mapping[str, str]) -> Model:
        """The model seen through the dictionaries with these fingerprints, by site."""
        for view in _plain_views(model, list(wanted)):
            if dict(view.fingerprints) == dict(wanted):
                return view
        there = {d.fingerprint: d for d in self._dictionaries(model)}
        if lost := [site for site, made in wanted.items() if made not in there]:
            raise CannotRerun(
                f"the dictionaries at {', '.join(lost[:5])}{' and more' * (len(lost) > 5)} are not there, as "
                f"{wanted[lost[0]]}; give their files as through"
            )
        return model.through(*(there[made] for made in wanted.values()))

    def _dictionaries(self, model: Model) -> Iterator[Dictionary]:
        for name in (*self.given.through, *[model.name] * (model.name in packs())):
            yield from Dictionary.load(name)

    def dictionary(self, record: Mapping[str, Any], model: Model) -> Dictionary:
        """The dictionary that a report is about. Raises: CannotRerun."""
        for one in self._dictionaries(model):
            if one.fingerprint == record["fingerprint"]:
                return one
        raise CannotRerun(
            f"the {record['kind']} at {record['writes']} is not there, as {record['fingerprint']}; give its file as through"
        )

    def _edited(self, view: Model, edits: list[str]) -> Model:
        """The model with the edits that were in force, if the files given hold those."""
        if not edits:
            return view
        stacks = [Stack.load(path, view) for path in self.given.edits]
        held = [str(edit) for stack in stacks for edit in stack]
        if held != edits:
            raise CannotRerun(
                f"{len(edits)} edits were in force ({edits[0]:.60}{', ...' * (len(edits) > 1)}), which the record says and "
                "does not hold; give their files as edits"
            )
        return view.edited(*stacks)


def _plain_views(model: Model, sites: list[str]) -> Iterator[Model]:
    """The ways to see a model without learned dictionaries."""
    yield model
    ways = (
        lambda: model.neurons(*sites),
        model.heads,
        model.experts,
        model.components,
        lambda: model.components(experts=True),
    )
    for way in ways:
        try:
            yield way()
        except ValueError:  # this model, or what stands at these sites, has no such view
            continue
