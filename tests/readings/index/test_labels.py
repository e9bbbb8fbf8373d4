"""Labels in SQLite: what is written comes back, is found by its words, and is whole whoever writes at once."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clew.labels import Label, Labels
from clew.readings.index.labels import LabelFile
from clew.report import Row
from clew.scale.transaction import Schema

RIVERS = Label("names of rivers and of lakes", "person", origin="Ada")
PLURAL = Label("plural nouns, as in 'cats'", scores=(Row("detection", 0.8, 0.7, 0.9, examples=40),), origin="smollm2")


def file_of(folder: Path) -> LabelFile:
    file = LabelFile(folder / "labels.sqlite")
    file.update({"resid.3/17": (RIVERS, PLURAL), "mlp.2/5": (Label("a plural subject", "rule"),)})
    return file


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    assert file.of("resid.3/17") == (RIVERS, PLURAL) and file.of("resid.3/18") == ()
    assert file.all() == Labels({"resid.3/17": (RIVERS, PLURAL), "mlp.2/5": (Label("a plural subject", "rule"),)})
    file.add("resid.3/17", RIVERS)
    assert len(file.of("resid.3/17")) == 2


def test_persons_come_first_then_the_newest_and_what_was_said_at_once_as_it_was_given(tmp_path: Path) -> None:
    file, rule, prose, better = file_of(tmp_path), Label("a", "rule"), Label("b"), Label("lakes", "person", origin="Bo")
    file.update({"resid.3/17": (rule, prose)})
    assert file.of("resid.3/17") == (RIVERS, rule, prose, PLURAL) == file.all()["resid.3/17"]
    file.add("resid.3/17", better)
    assert file.of("resid.3/17") == (better, RIVERS, rule, prose, PLURAL)
    assert file.all().name("resid.3/17") == "lakes"


def test_labels_are_found_by_their_words_in_any_form(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    assert [address for address, _ in file.search("river")] == ["resid.3/17"]
    assert {address for address, _ in file.search("Plurals")} == {"resid.3/17", "mlp.2/5"}
    assert [address for address, _ in file.search("plural subjects")] == ["mlp.2/5"]
    assert file.search("plural OR") == [] and file.search('"river* NEAR(') == []
    assert len(file.search("plural", 1)) == 1
    with pytest.raises(ValueError, match="holds no word"):
        file.search("!?")


def test_what_is_taken_back_is_found_no_more(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    assert file.remove("resid.3/17", origin="Ada") == 1 and file.of("resid.3/17") == (PLURAL,)
    assert file.search("river") == [] and file.remove("resid.3/17") == 1 and file.remove("resid.3/17") == 0


def test_all_or_none(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    before = file.all()
    for address in ("resid.3", "nowhere.3/1", "resid.3/x"):
        with pytest.raises(ValueError, match="no unit|not a part"):
            file.update({"resid.3/1": (RIVERS,), address: (RIVERS,)})
    assert file.all() == before


def test_reading_makes_no_file(tmp_path: Path) -> None:
    file = LabelFile(tmp_path / "labels.sqlite")
    assert file.of("resid.3/1") == () and file.search("x") == [] and file.told() == {} and not file.path.exists()


def test_where_labels_come_from(tmp_path: Path) -> None:
    file = file_of(tmp_path)
    file.tell(explainer="top tokens", seed="0")
    file.tell(seed="1")
    assert file.told() == {"explainer": "top tokens", "seed": "1"}


def test_several_write_at_once(tmp_path: Path) -> None:
    file = LabelFile(tmp_path / "labels.sqlite")

    def write(who: int) -> int:
        child = os.fork()
        if not child:
            for i in range(10):
                file.add(f"resid.{who}/{i}", Label(f"word {who} {i}"))
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with ThreadPoolExecutor(3) as writers:
        assert list(writers.map(write, range(3))) == [0, 0, 0]
    assert len(file.all()) == 30 == len(file.search("word", 100))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            lambda path: path.write_bytes(b"no database, but a text that is long enough" * 40),
            "not a whole file of labels",
        ),
        (lambda path: sqlite3.connect(path).execute("PRAGMA user_version=7"), "holds labels of version 7"),
        (lambda path: _said(path, "UPDATE labels SET kind='guess'"), "kind is 'guess'; it is one of"),
        (lambda path: _said(path, "UPDATE labels SET scores='[{'"), "is not JSON"),
        (lambda path: _said(path, "UPDATE labels SET text=x'00'"), "is no row of texts"),
        (lambda path: _said(path, "DROP TABLE labels"), "no such table"),
    ],
)
def test_a_file_that_is_damaged_is_named(tmp_path: Path, damage, says: str) -> None:
    file = file_of(tmp_path)
    damage(file.path)
    with pytest.raises(ValueError, match=says) as error:
        file.all()
    assert "labels.sqlite" in str(error.value)


def _said(path: Path, words: str) -> None:
    with sqlite3.connect(path) as file:
        file.execute("DROP TRIGGER IF EXISTS removed")
        file.execute(words)


def test_a_python_without_fts5_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clew.readings.index import labels

    monkeypatch.setattr(labels, "SCHEMA", Schema("labels", 1, "CREATE VIRTUAL TABLE words USING no_fts5 (text);"))
    with pytest.raises(ValueError, match="built without FTS5"):
        file_of(tmp_path)


def test_a_file_that_another_holds_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of(tmp_path)
    monkeypatch.setattr("clew.scale.transaction.SECONDS", 0.1)
    other = sqlite3.connect(file.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ValueError, match=r"another process has been writing .*labels\.sqlite for 0\.1 seconds"):
        file.add("resid.3/18", RIVERS)
    other.execute("ROLLBACK")
    other.close()
    file.add("resid.3/18", RIVERS)
