"""Answers that are kept, each under the digest of what it depends on: what was asked once is not asked again."""

from __future__ import annotations

import logging
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any

from clew.files import check_whole, entry, read_json, spared, whole, write_json
from clew.readings.asking.answer import Answer

log = logging.getLogger("clew")

FORMAT, VERSION = "clew answer", 1


class Kept:
    """In a folder, a file for each answer, written whole or not at all, with a sum of what it holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Answer | None:
        """The answer, if it is there and whole; one that is damaged is named in the log and counts as not there."""
        path = self._path(key)
        if not path.exists():
            return None
        with spared():
            try:
                return _read(path, key)
            except ValueError as error:
                log.warning("%s; it is asked again", error)
        return None

    def put(self, key: str, answer: Answer) -> None:
        """Where nothing can be written, work goes on without."""
        held = answer.to_json()
        path = self._path(key)
        with spared():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {"format": FORMAT, "version": VERSION, "key": key, "answer": held, "sum": _sum(held)})

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


class Remembered:
    """In memory, above what is kept elsewhere, which is read and never written."""

    def __init__(self, below: Kept | None = None) -> None:
        self.below, self._held = below, dict[str, Answer]()

    def get(self, key: str) -> Answer | None:
        """The answer, if it is here or below."""
        return self._held.get(key) or (self.below.get(key) if self.below else None)

    def put(self, key: str, answer: Answer) -> None:
        """Kept for as long as this is."""
        self._held[key] = answer


def _read(path: Path, key: str) -> Answer:
    with whole(path, "answer"):
        value, origin = read_json(path, FORMAT), str(path)
        check_whole(value, ("format", "version", "key", "answer", "sum"), origin)
        entry(value, "version", int, origin=origin, among=(VERSION,))
        entry(value, "key", str, origin=origin, among=(key,))
        held = entry(value, "answer", dict, origin=origin)
        entry(value, "sum", str, origin=origin, among=(_sum(held),))
        return Answer.from_json(held, f"{origin}: answer")


def _sum(held: Any) -> str:
    return sha256(dumps(held, sort_keys=True).encode()).hexdigest()
