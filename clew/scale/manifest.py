"""Items to be worked through, in a folder that outlives whoever works: taken for a while, done once, or set aside.

Several processes, also of several machines, work through one manifest: each takes an item with a lease, renews that as long
as it lives, and writes the result under the hash of its content. A lease that is over, or whose process is dead, is anyone's.
So an item may be worked on twice, as when a machine is cut off; it is done once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clew.files import parse_json, read_text, write_text
from clew.scale.transaction import Schema, transaction
from clew.scale.who import lives

FILE, RESULTS = "manifest.sqlite", "results"
TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, item TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
    tries INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '', until REAL NOT NULL DEFAULT 0,
    result TEXT NOT NULL DEFAULT '', seconds REAL NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS by_state ON items (state, number);
"""
SCHEMA = Schema("items", 1, TABLES)
STATES = ("waiting", "taken", "done", "aside")
SILENT = "whoever worked on it ended without a word each time: killed, or out of memory"


@dataclass(frozen=True)
class Taken:
    """An item that a process works on."""

    key: str
    item: Any


@dataclass(frozen=True)
class Aside:
    """An item that has failed as often as it was to be tried."""

    item: Any
    error: str
    """The traceback of the last time."""


@dataclass(frozen=True)
class Manifest:
    """A folder of items and their results; made by `begin`.

    Args:
        tries: how often an item is begun before it is set aside.
        lease: seconds for which one is taken, unless that is renewed. Clocks of machines must agree to less than that.
    """

    folder: Path
    tries: int = 3
    lease: float = 120.0

    @property
    def path(self) -> Path:
        return self.folder / FILE

    def begin(self, about: Mapping[str, Any], items: Iterable[Any], *, retry: bool = False) -> list[str]:
        """Add what is not there yet; the keys of the items, in their order.

        Args:
            about: what decides the results beside the items, as plain JSON.
            retry: whether items that were set aside are tried again.
        Raises: ValueError where the folder holds other work, or an item is no plain JSON.
        """
        rows = [(key_of(item), number, _plain(item)) for number, item in enumerate(items)]
        self.folder.mkdir(parents=True, exist_ok=True)
        with transaction(self.path, SCHEMA, writes=True) as file:
            self._check_about(file, {name: _plain(value) for name, value in about.items()})
            file.executemany("INSERT OR IGNORE INTO items (key, number, item) VALUES (?, ?, ?)", rows)
            if retry:
                file.execute("UPDATE items SET state = 'waiting', tries = 0, error = '' WHERE state = 'aside'")
        return [key for key, _, _ in rows]

    def _check_about(self, file: Any, about: Mapping[str, str]) -> None:
        held = dict(file.execute("SELECT name, value FROM about"))
        if not held:
            file.executemany("INSERT INTO about VALUES (?, ?)", list(about.items()))
        elif other := sorted(name for name in {*held, *about} if held.get(name) != about.get(name)):
            there, here = (f"{side.get(other[0], 'nothing'):.80}" for side in (held, about))
            raise ValueError(
                f"{self.folder} holds other work: its {other[0]} is {there}, and here it is {here}; give another folder"
            )

    # One item.

    def take(self, owner: str) -> Taken | None:
        """The next item that nobody works on; None where there is none now. `waits` says whether one may come."""
        with transaction(self.path, SCHEMA, writes=True) as file:
            self._free(file)
            found = file.execute(
                "SELECT key, item FROM items WHERE state = 'waiting' ORDER BY number LIMIT 1"
            ).fetchone()
            if found is None:
                return None
            said = "UPDATE items SET state = 'taken', owner = ?, until = ?, tries = tries + 1 WHERE key = ?"
            file.execute(said, (owner, time.time() + self.lease, found[0]))
        return Taken(found[0], parse_json(found[1], str(self.path)))

    def _free(self, file: Any) -> None:
        """Give up what is taken by whom is gone; what was begun often enough is set aside."""
        taken = file.execute("SELECT owner, MIN(until) FROM items WHERE state = 'taken' GROUP BY owner").fetchall()
        for owner in (owner for owner, until in taken if until < time.time() or not lives(owner)):
            held = "state = 'taken' AND owner = ? AND (until < ? OR ?)"
            given = (owner, time.time(), not lives(owner))
            file.execute(
                f"UPDATE items SET state = 'aside', error = ? WHERE {held} AND tries >= ?", (SILENT, *given, self.tries)
            )
            file.execute(f"UPDATE items SET state = 'waiting' WHERE {held}", given)

    def renew(self, owner: str) -> None:
        """Go on having what one has taken."""
        with transaction(self.path, SCHEMA, writes=True) as file:
            said = "UPDATE items SET until = ? WHERE state = 'taken' AND owner = ?"
            file.execute(said, (time.time() + self.lease, owner))

    def done(self, taken: Taken, owner: str, result: Any, seconds: float) -> bool:
        """Keep a result. Returns: whether it counts; not where the item has been another's by then.

        Raises: ValueError for a result that is no plain JSON; OSError where it cannot be written.
        """
        text = _plain(result)
        name = hashlib.sha256(text.encode()).hexdigest()
        if not (place := self._place(name)).exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            write_text(place, text)
        return self._end(taken, owner, "state = 'done', result = ?, seconds = ?, error = ''", name, seconds)

    def failed(self, taken: Taken, owner: str, error: str) -> bool:
        """Say why an item could not be done: it waits for another try, or is set aside."""
        state = f"state = CASE WHEN tries >= {self.tries} THEN 'aside' ELSE 'waiting' END"
        return self._end(taken, owner, f"{state}, error = ?", error)

    def release(self, taken: Taken, owner: str) -> bool:
        """Give an item back that has not failed, as when one is interrupted."""
        return self._end(taken, owner, "state = 'waiting', tries = tries - 1")

    def _end(self, taken: Taken, owner: str, change: str, *values: Any) -> bool:
        with transaction(self.path, SCHEMA, writes=True) as file:
            said = f"UPDATE items SET {change}, owner = '' WHERE key = ? AND state = 'taken' AND owner = ?"
            return file.execute(said, (*values, taken.key, owner)).rowcount == 1

    # What there is.

    def counts(self) -> dict[str, int]:
        """How many items are in each of STATES."""
        with transaction(self.path, SCHEMA) as file:
            found = dict(file.execute("SELECT state, COUNT(*) FROM items GROUP BY state"))
        return {state: found.get(state, 0) for state in STATES}

    def begun(self) -> int:
        """How often any item was begun, but for those given back."""
        with transaction(self.path, SCHEMA) as file:
            return file.execute("SELECT COALESCE(SUM(tries), 0) FROM items").fetchone()[0]

    def results(self, keys: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """(key, result) of those that are done, in the order of the keys. Raises: ValueError for a result that is damaged."""
        with transaction(self.path, SCHEMA) as file:
            made = dict(file.execute("SELECT key, result FROM items WHERE state = 'done'"))
        for key in keys:
            if key in made:
                yield key, self._read(made[key])

    def aside(self) -> list[Aside]:
        """What was set aside."""
        with transaction(self.path, SCHEMA) as file:
            rows = file.execute("SELECT item, error FROM items WHERE state = 'aside' ORDER BY number").fetchall()
        return [Aside(parse_json(item, str(self.path)), error) for item, error in rows]

    def mend(self) -> int:
        """Let what is done, but whose result is gone or damaged, be done again; how many that are."""
        with transaction(self.path, SCHEMA) as file:
            made = file.execute("SELECT key, result FROM items WHERE state = 'done'").fetchall()
        lost = [(key, name) for key, name in made if not self._is_whole(name)]
        for _, name in lost:
            self._place(name).unlink(missing_ok=True)
        with transaction(self.path, SCHEMA, writes=True) as file:
            said = "UPDATE items SET state = 'waiting', tries = 0 WHERE key = ? AND state = 'done' AND result = ?"
            file.executemany(said, lost)
        return len(lost)

    def _read(self, name: str) -> Any:
        place = self._place(name)
        text = read_text(place)
        if hashlib.sha256(text.encode()).hexdigest() != name:
            raise ValueError(f"{place} is damaged: it is not what was written there; `mend` lets it be made again")
        return parse_json(text, str(place))

    def _is_whole(self, name: str) -> bool:
        try:
            self._read(name)
        except (OSError, ValueError):
            return False
        return True

    def _place(self, name: str) -> Path:
        return self.folder / RESULTS / name[:2] / f"{name}.json"


def key_of(item: Any) -> str:
    """By which an item is known: a hash of what it is.

    >>> key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(_plain(item).encode()).hexdigest()[:20]


def _plain(value: Any) -> str:
    """As JSON of one form. Raises: ValueError for what is none."""
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{value!r:.80} is no plain JSON ({error}); give texts, finite numbers, lists, objects"
        ) from error
