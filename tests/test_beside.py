"""What is written beside a path takes its place at once, and at the end nothing is left of it."""

from pathlib import Path

import pytest
from safetensors import SafetensorError

from clew import beside as room
from clew.beside import beside, exchange


def test_nothing_is_left_under_the_name_whatever_happens(tmp_path):
    for error in (None, RuntimeError("half way"), KeyboardInterrupt()):
        try:
            with beside(tmp_path / "deep" / "a") as place:
                assert place.parent == tmp_path / "deep"
                place.mkdir()
                (place / "file").write_text("some")
                if error:
                    raise error
        except type(error):
            pass
        assert list((tmp_path / "deep").iterdir()) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")])
def test_what_cannot_be_written_names_the_path(tmp_path, error):
    with (
        pytest.raises(OSError, match=r"a\.txt was not written \(No space left on device\)"),
        beside(tmp_path / "a.txt"),
    ):
        raise error


def test_a_folder_that_cannot_be_made_names_the_path(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"a\.txt was not written"), beside(tmp_path / "file" / "a.txt"):
        pytest.fail("there is no such place")


def folder(path: Path, word: str) -> Path:
    path.mkdir()
    (path / "file").write_text(word)
    return path


@pytest.mark.parametrize("system", [True, False])
def test_two_folders_change_places(tmp_path, monkeypatch, system):
    if not system:
        monkeypatch.setattr(room, "_exchanged", lambda one, other: False)
    exchange(folder(tmp_path / "new", "new"), tmp_path / "there")
    assert (tmp_path / "there" / "file").read_text() == "new" and not (tmp_path / "new").exists()
    exchange(folder(tmp_path / "newer", "newer"), tmp_path / "there")
    assert (tmp_path / "there" / "file").read_text() == "newer"
    assert [p.name for p in tmp_path.iterdir() if p.name[0] == "."] == []
