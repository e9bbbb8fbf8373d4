"""Labels of units in one file of SQLite beside an index: added one by one, safe with several processes, searched by word."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clew.files import parse_json, typed
from clew.labels import Label, Labels
from clew.scale.transaction import Schema, transaction
from clew.sites import Site

NAME = "labels.sqlite"
"""Of the file beside an index."""
TABLES = """
CREATE TABLE IF NOT EXISTS labels (
    id INTEGER PRIMARY KEY, address TEXT NOT NULL, text TEXT NOT NULL, kind TEXT NOT NULL, origin TEXT NOT NULL,
    scores TEXT NOT NULL, created TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_address ON labels (address);
CREATE TABLE IF NOT EXISTS made (
    part TEXT NOT NULL, how TEXT NOT NULL, address TEXT NOT NULL, held TEXT NOT NULL, PRIMARY KEY (part, address));
CREATE TABLE IF NOT EXISTS provenance (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, content=labels, content_rowid=id, tokenize='porter unicode61');
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON labels BEGIN
    INSERT INTO words (rowid, text) VALUES (new.id, new.text); END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON labels BEGIN
    INSERT INTO words (words, rowid, text) VALUES ('delete', old.id, old.text); END;
"""
SCHEMA = Schema("labels", 1, TABLES, wal=True)
ORDER = "kind != 'person', created DESC, id"
"""What persons say first, then the newest first; of what was said at once, as it was given."""
COLUMNS = "address, text, kind, scores, origin"
SAME = "address = ? AND text = ? AND kind = ? AND scores = ? AND origin = ?"


@dataclass(frozen=True)
class LabelFile:
    """What is said of the units of an index. The file is made when something is first written.

    >>> labels = LabelFile(Path("labels.sqlite"))
    >>> labels.add("resid.3/17", Label("names of rivers", "person", origin="Ada"))
    >>> [address for address, _ in labels.search("river")]
    ['resid.3/17']
    """

    path: Path

    def add(self, address: str, label: Label) -> None:
        """Say one more thing of a unit; the same once more is said once. Raises: ValueError for an address that is none."""
        self.update({address: (label,)})

    def update(self, labels: Mapping[str, tuple[Label, ...]]) -> None:
        """Add all of these, or none."""
        rows = [_row(address, label) for address, held in labels.items() for label in held]
        with self._open(writes=True) as file:
            _add(file, rows)

    def remove(self, address: str, *, origin: str | None = None) -> int:
        """Take back what was said of a unit, all of it or what one origin said; how many that were."""
        with self._open(writes=True) as file:
            file.execute("DELETE FROM made WHERE address = ?", (address,))
            said = "DELETE FROM labels WHERE address = ? AND (? IS NULL OR origin = ?)"
            return file.execute(said, (address, origin, origin)).rowcount

    def of(self, address: str) -> tuple[Label, ...]:
        """What is said of a unit: by persons first, then the newest first, so that the first is its name."""
        found = self._asked(f"SELECT {COLUMNS} FROM labels WHERE address = ? ORDER BY {ORDER}", (address,))
        return tuple(label for _, label in found)

    def all(self) -> Labels:
        """Everything that is said; of each unit in the order of `of`."""
        found: dict[str, tuple[Label, ...]] = {}
        for address, label in self._asked(f"SELECT {COLUMNS} FROM labels ORDER BY {ORDER}", ()):
            found[address] = (*found.get(address, ()), label)
        return Labels(found)

    def search(self, words: str, n: int = 20) -> list[tuple[str, Label]]:
        """(address, label) of labels that hold all of the words, in whatever form, the best first."""
        wanted = " ".join(f'"{word}"' for word in re.findall(r"\w+", words))
        if not wanted:
            raise ValueError(f"{words!r} holds no word to search for")
        columns = ", ".join(f"labels.{name}" for name in COLUMNS.split(", "))
        found = f"SELECT {columns} FROM words JOIN labels ON labels.id = words.rowid WHERE words MATCH ?"
        return self._asked(f"{found} ORDER BY rank, id LIMIT ?", (wanted, n))

    def told(self) -> dict[str, str]:
        """Where the labels come from, as `tell` wrote it."""
        if not self.path.exists():
            return {}
        with self._open() as file:
            return dict(file.execute("SELECT name, value FROM provenance ORDER BY name"))

    def tell(self, **provenance: str) -> None:
        """Write down where labels come from."""
        with self._open(writes=True) as file:
            file.executemany("INSERT OR REPLACE INTO provenance VALUES (?, ?)", list(provenance.items()))

    def wants(self, address: str) -> bool:
        """Whether what is said of a unit is asked for: of every one."""
        return True

    def kept(self, addresses: Sequence[str]) -> list[list[Any]]:
        """All that was kept of these units: part, how, address and what, in the order of the units."""
        if not self.path.exists():
            return []
        rows, at = list[list[Any]](), {address: i for i, address in enumerate(addresses)}
        with self._open() as file:
            for part, how, address, held in file.execute("SELECT part, how, address, held FROM made ORDER BY part"):
                if address in at:
                    rows.append([part, how, address, typed(parse_json(held, str(self.path)), str(self.path), list)])
        return sorted(rows, key=lambda row: at[row[2]])

    def made(self, part: str, address: str) -> tuple[str, list[Any] | None]:
        """(how, what) was kept of a unit in a part of some work; ("", None) if nothing was."""
        if not self.path.exists():
            return "", None
        with self._open(writes=True) as file:
            found = file.execute(
                "SELECT how, held FROM made WHERE part = ? AND address = ?", (part, address)
            ).fetchone()
        return (
            (str(found[0]), typed(parse_json(found[1], str(self.path)), str(self.path), list)) if found else ("", None)
        )

    def keep(self, part: str, how: str, address: str, held: list[Any], labels: Sequence[Label] | None = None) -> None:
        """Keep what was made of a unit.

        Args: labels: what that says; what the part has said of the unit before is taken back.
        """
        rows = [_row(address, label) for label in labels or ()]
        with self._open(writes=True) as file:
            said = file.execute("SELECT held FROM made WHERE part = ? AND address = ?", (part, address)).fetchone()
            if said and labels is not None:
                before = [Label.from_json(one) for one in parse_json(said[0], str(self.path))]
                file.executemany(f"DELETE FROM labels WHERE {SAME}", [_row(address, label) for label in before])
            _add(file, rows)
            file.execute("INSERT OR REPLACE INTO made VALUES (?, ?, ?, ?)", (part, how, address, json.dumps(held)))

    def _asked(self, question: str, values: tuple[object, ...]) -> list[tuple[str, Label]]:
        if not self.path.exists():
            return []
        with self._open() as file:
            return [_label(row, str(self.path)) for row in file.execute(question, values).fetchall()]

    def _open(self, *, writes: bool = False) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self.path, SCHEMA, writes=writes)


def _add(file: sqlite3.Connection, rows: Sequence[tuple[str, ...]]) -> None:
    """Say what is not said yet."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    for row in rows:
        if not file.execute(f"SELECT 1 FROM labels WHERE {SAME}", row).fetchone():
            file.execute(f"INSERT INTO labels ({COLUMNS}, created) VALUES (?, ?, ?, ?, ?, ?)", (*row, now))


def _row(address: str, label: Label) -> tuple[str, ...]:
    site, slash, unit = address.partition("/")
    if not slash or not unit.isdigit():
        raise ValueError(f"{address!r} is no unit; one reads 'resid.3/17'")
    Site.parse(site)
    said = label.to_json()
    return address, label.text, label.kind, json.dumps(said["scores"], allow_nan=False), label.origin


def _label(row: tuple[object, ...], path: str) -> tuple[str, Label]:
    if not all(isinstance(cell, str) for cell in row):
        raise ValueError(f"{path} is not a whole file of labels: {row!r:.60} is no row of texts")
    address, text, kind, scores, origin = map(str, row)
    said = {"text": text, "kind": kind, "scores": parse_json(scores, f"{path}: {address}"), "origin": origin}
    return address, Label.from_json(said, f"{path}: {address}")
