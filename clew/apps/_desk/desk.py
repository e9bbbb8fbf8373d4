"""A desk: the folder that is open, the models that are open over it, and the work that goes on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from clew.apps._desk.answers import Limits
from clew.apps._desk.folder import Folder
from clew.apps._desk.items import Items
from clew.apps._desk.kept import Kept
from clew.apps._desk.plans.plan import plan_of
from clew.apps._desk.runs import Runs
from clew.apps._desk.tokens import LETTERS
from clew.apps._desk.unit import Units
from clew.apps._desk.views import Views

USUAL = Limits(body=4 << 20, text=LETTERS, tokens=200, waiting=8, views=6, runs=20, minutes=120.0, gigabytes=0.0)
"""No gigabytes stand for seven eighths of what the machine has."""


@dataclass(frozen=True)
class Desk:
    """Made by `Desk.at`; `close` ends what goes on."""

    folder: Folder
    items: Items
    units: Units
    views: Views
    runs: Runs
    limits: Limits
    kept: Kept
    """What was made of files, until they change."""

    @classmethod
    def at(cls, root: Path, *, models: Sequence[str] = (), hub: bool = False, limits: Limits = USUAL) -> Desk:
        """Open a folder.

        Args:
            models: names, paths or hub ids that may be opened beside bundled models and what lies in the folder.
            hub: whether any hub id may be.
        """
        folder = Folder(root)
        limits = limits if limits.gigabytes else replace(limits, gigabytes=_gigabytes())
        views = Views(folder, tuple(models), hub, limits)
        items, kept = Items(folder), Kept()
        runs = Runs(folder, partial(plan_of, folder, views), limits)
        return cls(folder, items, Units(folder, items, kept), views, runs, limits, kept)

    def close(self, seconds: float = 1.0) -> None:
        """Stop what goes on at its next step, if that comes in time, keeping what it has by then."""
        self.runs.close(seconds)


def _gigabytes() -> float:
    """Seven eighths of the memory of the machine; no limit where it does not say."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 7 / 8e9, 1)
    except (ValueError, OSError, AttributeError):
        return 0.0
