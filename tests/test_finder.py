import sys
from importlib.metadata import EntryPoint

import pytest

from clew import finder


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A room of two files, in a package that stands in for clew."""
    room = tmp_path / "rooms"
    room.mkdir()
    (room / "__init__.py").touch()
    (room / "two_words.py").write_text("def two_words():\n    return 2\n")
    (room / "other.py").write_text("raise RuntimeError('imported')\n")
    (room / "_shared.py").touch()
    (room / "nameless.py").write_text("answer = 3\n")
    import clew

    monkeypatch.setattr(finder, "HERE", tmp_path)
    monkeypatch.setattr(clew, "__path__", [*clew.__path__, str(tmp_path)])
    yield room
    for name in [m for m in sys.modules if m.startswith("clew.rooms")]:
        del sys.modules[name]


def test_the_files_name_is_its_name(house):
    assert finder.load("rooms", "two_words")() == 2


def test_dashes_and_underscores_are_alike(house):
    assert finder.load("rooms", "two-words") is finder.load("rooms", "two_words")


def test_names_lists_files_without_importing_them(house):
    assert finder.names("rooms") == ["nameless", "other", "two_words"]
    assert "clew.rooms.other" not in sys.modules


def test_unknown_name_names_the_near_ones(house):
    with pytest.raises(ValueError, match=r"'two_word' is not one of clew's rooms; did you mean 'two_words'\?"):
        finder.load("rooms", "two_word")


def test_a_file_without_its_function_is_an_error(house):
    with pytest.raises(ValueError, match="must define a function named 'nameless'"):
        finder.load("rooms", "nameless")


def test_an_error_inside_a_file_is_not_hidden(house):
    with pytest.raises(RuntimeError, match="imported"):
        finder.load("rooms", "other")


def test_entry_points_of_other_packages_are_found(house, monkeypatch):
    guest = EntryPoint("from-afar", "os.path:join", "clew.rooms")
    monkeypatch.setattr(finder, "entry_points", lambda group: [guest] if group == "clew.rooms" else [])
    assert "from_afar" in finder.names("rooms")
    assert finder.load("rooms", "from-afar")("a", "b") == "a/b"


def test_our_own_file_wins_over_an_entry_point(house, monkeypatch):
    guest = EntryPoint("two_words", "os.path:join", "clew.rooms")
    monkeypatch.setattr(finder, "entry_points", lambda group: [guest])
    assert finder.load("rooms", "two_words")() == 2


def test_a_folder_that_is_not_there_has_no_names():
    assert finder.names("no_such_room") == []
    with pytest.raises(ValueError, match="there are none"):
        finder.load("no_such_room", "x")
