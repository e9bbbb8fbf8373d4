"""One transaction on a file of SQLite that several processes share."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECONDS = 30
"""How long to wait for another process that writes."""


@dataclass(frozen=True)
class Schema:
    """What a file is to hold."""

    kind: str
    """What the file is called in errors, as in "labels"."""
    version: int
    tables: str
    """What makes the tables where they are not there yet."""
    wal: bool = False
    """Whether readers go on while somebody writes; not on file systems that machines share."""


@contextmanager
def transaction(path: Path, schema: Schema, *, writes: bool = False) -> Generator[sqlite3.Connection]:
    """The file, for as long as the block lasts; what was written is kept if that ends well, all or nothing.

    Raises: ValueError naming the file and what is wrong with it; OSError where the disk is full or cannot be written.
    """
    file = None
    try:
        file = sqlite3.connect(path, timeout=SECONDS, isolation_level=None)
        if (found := file.execute("PRAGMA user_version").fetchone()[0]) == 0 and writes:
            _make(file, schema)
        elif found != schema.version:
            raise ValueError(f"{path} holds {schema.kind} of version {found}; this clew reads {schema.version}")
        file.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        yield file
        file.execute("COMMIT")
    except sqlite3.Error as error:
        raise _in_words(error, path, schema) from error
    finally:
        if file:
            file.close()


def _make(file: sqlite3.Connection, schema: Schema) -> None:
    """The tables, in a file that has none."""
    if schema.wal:
        file.execute("PRAGMA journal_mode=WAL")
    file.executescript(f"BEGIN IMMEDIATE;{schema.tables}PRAGMA user_version={schema.version};COMMIT;")


def _in_words(error: sqlite3.Error, path: Path, schema: Schema) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        said = f"another process has been writing {path} for {SECONDS} seconds; wait for it, or end it"
        return ValueError(said)
    if code == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, f"{path} cannot be written: the disk is full")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return OSError(errno.EIO, f"{path} cannot be read or written ({error})")
    if "fts5" in str(error):
        return ValueError("this Python's sqlite3 was built without FTS5, so words cannot be searched; use another")
    return ValueError(f"{path} is not a whole file of {schema.kind}: {error}")
