"""What there is to work with: what `clew models`, `clew behaviours`, `clew methods` and `clew measures` list."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from clew.apps._desk.answers import About, MeasureNamed, MethodNamed, ModelNamed, Named
from clew.apps._desk.behaviours import available
from clew.apps._desk.change import EDIT_FORMATS
from clew.apps._desk.desk import Desk
from clew.apps._desk.items import of_kind
from clew.apps._desk.packed import sites_of_pack
from clew.apps._desk.plans import verify
from clew.apps._desk.plans.find import USUAL
from clew.apps._desk.plans.plan import verbs
from clew.apps._desk.views import planted
from clew.apps._starts import cannot_start
from clew.circuits.ranked import NODES, ranked
from clew.dictionaries.packs import packs
from clew.finder import functions, rooms
from clew.models.bundled import BUNDLED
from clew.version import VERSION


def about(desk: Desk) -> About:
    """All of it."""
    views, installed = desk.views, _packs()
    there = desk.items.every()
    models = {name: bundled.description for name, bundled in BUNDLED.items()}
    models |= dict.fromkeys(views.models, "allowed when the studio was started")
    models |= {item.path: item.about for item in of_kind(there, "model")}
    models |= dict.fromkeys(planted(), "written by hand; its circuit is known")
    behaviours = available() | {item.path: item.about for item in of_kind(there, "behaviour")}
    return About(
        version=VERSION,
        folder=str(desk.folder.root),
        models=[ModelNamed(name, said, name in installed, sites_of_pack(name)) for name, said in models.items()],
        behaviours=[Named(name, said) for name, said in behaviours.items()],
        methods=_methods(),
        measures=_measures(),
        explainers=_listed("explain.explainers"),
        edits=_listed("edits"),
        edit_formats=list(EDIT_FORMATS),
        verbs=_verbs(),
        limits=desk.limits,
    )


@cache
def _packs() -> set[str]:
    """Those that were installed when it was first asked, as methods and measures are."""
    return set(packs())


@cache
def _listed(room: str) -> list[Named]:
    return [Named(name, _first_line(function)) for name, function in functions(room).items()]


@cache
def _methods() -> list[MethodNamed]:
    found = list[MethodNamed]()
    for name, function in functions("methods").items():
        room = function.__module__.split(".")[-2]
        why = cannot_start(function)
        found.append(MethodNamed(name, _first_line(function), room, name == USUAL, _seen_in(room, function), why))
    return found


def _seen_in(room: str, function: Callable[..., Any]) -> list[str]:
    """The units that a method scores; edges are those of components, and a graph of one prompt is of features."""
    of = ranked(function)
    return ["features"] if room == "graphs" else [unit for unit in NODES if unit in of] or ["components"]


@cache
def _measures() -> list[MeasureNamed]:
    usual = {*verify.USUAL.values(), ("measures.edits", verify.OF_EDITS)}
    return [
        MeasureNamed(name, _first_line(function), room.rpartition(".")[2], (room, name) in usual)
        for room in rooms("measures")
        for name, function in functions(room).items()
    ]


_verbs = cache(verbs)


def _first_line(function: object) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]
