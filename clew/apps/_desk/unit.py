"""What is known of a unit: from the dictionary it is of, from an index of where it fires, from what was said of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from clew.apps._bundle import title
from clew.apps._cards import known
from clew.apps._desk import names
from clew.apps._desk.answers import BandShown, Bin, Item, LabelShown, Near, Passage, Standing, UnitShown, Valued
from clew.apps._desk.asked import CircuitAsked, LabelAsked
from clew.apps._desk.circuits import changed, circuit_of
from clew.apps._desk.folder import Folder, tag_of
from clew.apps._desk.items import Items, of_kind
from clew.apps._desk.kept import Kept
from clew.apps._desk.refusals import TooBusy
from clew.apps._desk.views import View
from clew.labels import Label, Labels
from clew.sites import Site

SHOWN, BANDS, EACH, AROUND = 10, 5, 4, 24
"""Tokens that are raised, bands of firings and contexts of each, tokens of a context on each side."""
NO_INDEX = "no index of the folder holds this unit; `clew index` reads a text and writes down where units fire"


@dataclass(frozen=True)
class Units:
    """The units of a folder's circuits and indexes; what was opened is kept until its file changes."""

    folder: Folder
    items: Items
    kept: Kept

    def unit(self, view: View, address: str, index: str | None = None) -> UnitShown:
        """All that is known. Raises: ValueError for a unit that the view has not, or an index that is not of it."""
        site, number = names.site_and_unit(view, address)
        unit = f"{site}/{number}"
        why: dict[str, str] = {}
        there = self.items.every()
        found = self._index(view, site, index, there)
        if found is None:
            why |= dict.fromkeys(("density", "histogram", "bands", "nearest"), NO_INDEX)
        held = Labels() if found is None else Labels(found.labels.all().units).about([unit])
        circuits = self._circuits(view, site, there)
        said = (held | names.of_pack(view, site).about([unit]) | self._said(view, site, unit, circuits, there)).get(
            unit, ()
        )
        raises, lowers, lost = view.kept.of(("moved", unit), [], lambda: _moved(view, site, unit))
        why |= dict.fromkeys(("raises", "lowers"), lost) if lost else {}
        counted = (None, None, None, None) if found is None else _counted(found, site, number)
        return UnitShown(
            unit,
            names.words(view, unit),
            [names.shown(one) for one in said],
            raises,
            lowers,
            *counted,
            _stands(circuits, unit),
            why,
        )

    def label(self, asked: LabelAsked) -> LabelShown:
        """Write down what a person says of a unit. Raises: ValueError unless one place is given."""
        if (asked.path is None) == (asked.index is None):
            raise ValueError(
                "say where the label goes: into the circuit at path, or into the index at index; one of the two"
            )
        if asked.index is not None:
            label = Label(asked.text, "person")
            self._open_index(asked.index).labels.add(asked.address.partition("@")[0], label)
            return names.shown(label)
        assert asked.path is not None
        tag = asked.tag or tag_of(self.folder.file(asked.path))
        changed(self.folder, asked.path, CircuitAsked(tag, {asked.address.partition("@")[0]: asked.text}))
        return names.shown(Label(asked.text or "-", "person"))

    def _said(self, view: View, site: Site, unit: str, circuits: list[tuple[str, Any]], there: list[Item]) -> Labels:
        """What the folder's files of labels and its circuits say of a unit of this dictionary."""
        mine, found = view.model.fingerprints.get(str(site)), Labels()
        for item in of_kind(there, "labels"):
            labels = self._opened(item.path, lambda path: Labels.load(path))
            if labels.dictionaries.get(str(site), mine) == mine:
                found = found | Labels(labels.about([unit]).units)
        for _, circuit in circuits:
            found = found | Labels(circuit.labels.about([unit]).units)
        return found

    def _circuits(self, view: View, site: Site, there: list[Item]) -> list[tuple[str, Any]]:
        """The circuits of the folder that were found in this model and this dictionary, as far as they say."""
        mine, weights = view.model.fingerprints.get(str(site)), view.model.body.fingerprint
        found = list[tuple[str, Any]]()
        for item in of_kind(there, "circuit"):
            circuit = self._opened(item.path, lambda path: circuit_of(self.folder, self.folder.name(path)))
            made = circuit.provenance
            if made.get("dictionaries", {}).get(str(site)) == mine and made.get("weights", weights) == weights:
                found.append((item.path, circuit))
        return found

    def _index(self, view: View, site: Site, name: str | None, there: list[Item]) -> Any:
        """The index that is named, or the first that holds the site's own dictionary."""
        from clew.readings.pushed import check_same

        if name is not None:
            index = self._open_index(name)
            check_same(view.model, index, site)
            if site not in index.sites:
                raise ValueError(f"{site} is not in the index {name}, which is of {', '.join(map(str, index.sites))}")
            return index
        mine = view.model.fingerprints.get(str(site))
        every = (self._open_index(item.path) for item in of_kind(there, "index"))
        return next((index for index in every if index.fingerprints.get(str(site)) == mine), None)

    def _open_index(self, name: str) -> Any:
        from clew.readings.index.index import Index

        path = self.folder.there(name)
        if not (path / "index.json").is_file():
            raise ValueError(f"{name} is no index; `clew index` makes one")
        return self._opened(name, Index.load)

    def _opened(self, name: str, load: Callable[[Path], Any]) -> Any:
        """What a loader makes of a file or folder, kept until it changes."""
        path = self.folder.there(name)
        return self.kept.of(("opened", name), [path], lambda: load(path))


def _moved(view: View, site: Site, unit: str) -> tuple[list[Valued] | None, list[Valued] | None, str]:
    """The tokens that its direction raises and lowers in the last logits; or why they are not known."""
    from clew.explain.top_tokens import moved
    from clew.readings.pushed import row_of

    try:
        with view.gate.turn(), torch.no_grad():
            ((raised, lowered),) = moved(view.model, site, row_of(view.model, unit)[None], SHOWN)
    except TooBusy:
        raise
    except ValueError as error:  # a head has no direction of its own
        return None, None, str(error)
    if not raised:
        return None, None, f"nothing linear leads from {site} to the logits, or the unit writes nothing"
    hands = ([Valued(token, round(value, 4)) for token, value in hand] for hand in (raised, lowered))
    return next(hands), next(hands), ""


def _stands(circuits: list[tuple[str, Any]], unit: str) -> list[Standing]:
    """Those in which it is a node, of largest score first."""
    found = list[Standing]()
    for path, circuit in circuits:
        scores = [
            node.score for node in circuit if node.address.partition("@")[0] == unit and math.isfinite(node.score)
        ]
        if scores:
            told = known(circuit, unit, "examples") or []
            found.append(Standing(path, title(circuit), sum(scores), known(circuit, unit, "top_tokens"), told))
    return sorted(found, key=lambda one: -abs(one.score))


def _counted(index: Any, site: Site, unit: int) -> tuple[float, list[Bin], list[BandShown], list[Near] | None]:
    """Density, histogram, bands and neighbours, as an index has them."""
    told = index.summary(site)
    bands = [
        BandShown(b.low, b.high, b.count, [_passage(c) for c in b.contexts])
        for b in index.quantiles(site, unit, BANDS, EACH)
    ]
    ways = index.near_by(site)
    labels = index.labels.all() if ways else Labels()
    near = [
        Near(f"{site}/{other}", by, round(alike, 4), labels.name(f"{site}/{other}"))
        for by in ways
        for other, alike in index.nearest(site, unit, by)[:SHOWN]
    ]
    return float(told.density[unit]), _bins(told.histogram[unit].tolist()), bands, near if ways else None


def _bins(counts: list[int]) -> list[Bin]:
    """From the first that holds a firing to the last; the outermost go on without end, and are as wide as their neighbours
    here."""
    from clew.readings.index.summary import EDGES

    edges = EDGES.tolist()
    edges = [2 * edges[0], *edges[1:-1], 2 * edges[-1]]
    bins = [Bin(low, high, int(n)) for (low, high), n in zip(pairwise(edges), counts, strict=True)]
    filled = [i for i, one in enumerate(bins) if one.count]
    return bins[filled[0] : filled[-1] + 1] if filled else []


def _passage(context: Any) -> Passage:
    """The tokens around a firing."""
    first, last = max(0, context.at - AROUND), context.at + AROUND + 1
    pairs = zip(context.words[first:last], context.values[first:last].tolist(), strict=True)
    return Passage(
        [Valued(token, None if math.isnan(value) else round(value, 4)) for token, value in pairs], context.at - first
    )
