"""clew follows the thread through a language model: find, show, measure, name and change what causes a behaviour.

The public names. Each comes from its room when it is first asked for: torch takes seconds to import, and
`clew --help` must not wait for it.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from clew.version import VERSION as __version__  # noqa: F401

if TYPE_CHECKING:
    from clew.changes import Add as Add
    from clew.changes import Clamp as Clamp
    from clew.changes import Edit as Edit
    from clew.changes import Gate as Gate
    from clew.changes import Mix as Mix
    from clew.changes import Project as Project
    from clew.changes import Scale as Scale
    from clew.changes import Set as Set
    from clew.changes import Steer as Steer
    from clew.changes import Update as Update
    from clew.circuits.circuit import Circuit as Circuit
    from clew.circuits.circuit import Node as Node
    from clew.data.behaviours.behaviour import Behaviour as Behaviour
    from clew.data.behaviours.behaviour import Pair as Pair
    from clew.data.facts.facts import Fact as Fact
    from clew.data.facts.facts import Facts as Facts
    from clew.data.facts.secrets import Secrets as Secrets
    from clew.data.labels.labelled import Labelled as Labelled
    from clew.data.text.windows import Windows as Windows
    from clew.data.text.windows import cut as cut
    from clew.dictionaries import Dictionary as Dictionary
    from clew.models import EditDidNotFire as EditDidNotFire
    from clew.models import Generation as Generation
    from clew.models import Model as Model
    from clew.models import Trace as Trace
    from clew.models import open_model as open  # noqa: F401  # pyright: ignore[reportUnusedImport]
    from clew.probing import Probe as Probe
    from clew.progress import Progress as Progress
    from clew.readings.ablation import Ablation as Ablation
    from clew.readings.asking.asks import Asks as Asks
    from clew.readings.index.build import index as index
    from clew.readings.index.index import Index as Index
    from clew.readings.store import Store as Store
    from clew.readings.store import record as record
    from clew.report import Report as Report
    from clew.sites import Site as Site
    from clew.sites import Weight as Weight
    from clew.sites import Where as Where
    from clew.stack import Stack as Stack
    from clew.training import Plan as Plan
    from clew.training import train as train
    from clew.verbs import edit as edit
    from clew.verbs import explain as explain
    from clew.verbs import find as find
    from clew.verbs import probe as probe
    from clew.verbs import verify as verify

_ROOMS = {
    "clew.changes": ("Add", "Clamp", "Edit", "Gate", "Mix", "Project", "Scale", "Set", "Steer", "Update"),
    "clew.circuits.circuit": ("Circuit", "Node"),
    "clew.data.behaviours.behaviour": ("Behaviour", "Pair"),
    "clew.data.facts.facts": ("Fact", "Facts"),
    "clew.data.facts.secrets": ("Secrets",),
    "clew.data.labels.labelled": ("Labelled",),
    "clew.data.text.windows": ("Windows", "cut"),
    "clew.readings.ablation": ("Ablation",),
    "clew.readings.asking.asks": ("Asks",),
    "clew.readings.index.build": ("index",),
    "clew.readings.index.index": ("Index",),
    "clew.readings.store": ("Store", "record"),
    "clew.dictionaries": ("Dictionary",),
    "clew.models": ("EditDidNotFire", "Generation", "Model", "Trace", "open"),
    "clew.probing": ("Probe",),
    "clew.progress": ("Progress",),
    "clew.report": ("Report",),
    "clew.sites": ("Site", "Weight", "Where"),
    "clew.stack": ("Stack",),
    "clew.training": ("Plan", "train"),
    "clew.verbs": ("edit", "explain", "find", "probe", "verify"),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}
__all__ = [name for name in _HOME if name != "open"]  # pyright: ignore[reportUnsupportedDunderAll]
"""All public names but `open`, which `from clew import *` must not put in the place of the builtin."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'clew' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    value = getattr(import_module(_HOME[name]), "open_model" if name == "open" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOME]


class _Face(ModuleType):
    """This module. `explain` is also a room: importing what is in it does not put the room in the verb's place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _HOME or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
