"""A file of SQLite that several share: all or nothing, and what goes wrong in words."""

import sqlite3

import pytest

from clew.scale import transaction as module
from clew.scale.transaction import Schema, transaction

SCHEMA = Schema("numbers", 3, "CREATE TABLE IF NOT EXISTS numbers (n INTEGER);")


def add(path, *numbers):
    with transaction(path, SCHEMA, writes=True) as file:
        for number in numbers:
            file.execute("INSERT INTO numbers VALUES (?)", (number,))


def held(path):
    with transaction(path, SCHEMA) as file:
        return [n for (n,) in file.execute("SELECT n FROM numbers")]


def test_all_is_kept_or_nothing(tmp_path):
    add(tmp_path / "a", 1, 2)
    with pytest.raises(ZeroDivisionError), transaction(tmp_path / "a", SCHEMA, writes=True) as file:
        file.execute("INSERT INTO numbers VALUES (3)")
        _ = 1 / 0
    assert held(tmp_path / "a") == [1, 2]


def test_another_version_and_another_file_are_named(tmp_path):
    add(tmp_path / "a", 1)
    other = transaction(tmp_path / "a", Schema("numbers", 4, ""))
    with pytest.raises(ValueError, match="holds numbers of version 3; this clew reads 4"), other:
        pass
    (tmp_path / "b").write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match="b is not a whole file of numbers"):
        held(tmp_path / "b")


def test_a_newer_file_is_not_written_over(tmp_path):
    add(tmp_path / "a", 1)
    older = transaction(tmp_path / "a", Schema("numbers", 2, "CREATE TABLE other (n);"), writes=True)
    with pytest.raises(ValueError, match="holds numbers of version 3; this clew reads 2"), older:
        pass
    assert held(tmp_path / "a") == [1]


def test_who_else_writes_is_waited_for_then_told(tmp_path, monkeypatch):
    add(tmp_path / "a", 1)
    monkeypatch.setattr(module, "SECONDS", 0.1)
    other = sqlite3.connect(tmp_path / "a", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ValueError, match="another process has been writing"):
        add(tmp_path / "a", 2)
    other.close()


def test_a_full_disk_is_no_damage(tmp_path):
    add(tmp_path / "a", 1)
    with pytest.raises(OSError, match="the disk is full"), transaction(tmp_path / "a", SCHEMA, writes=True) as file:
        pages = file.execute("PRAGMA page_count").fetchone()[0]
        file.execute(f"PRAGMA max_page_count={pages}")
        for number in range(10_000):
            file.execute("INSERT INTO numbers VALUES (?)", (number,))
    assert held(tmp_path / "a") == [1]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(OSError, match="cannot be read or written"):
        add(tmp_path / "no" / "a", 1)
