"""tests/ is the tree of clew over again: a public file has a test of its name, or stands in a room that is tested whole."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
HOUSE = TESTS.parent / "clew"
WHOLE = {
    "models/architectures": "models/test_selfcheck.py",
    "data/readers": "data/readers/test_readers.py",
    "data/formats/behaviours": "data/formats/test_formats.py",
    "data/formats/facts": "data/facts/test_facts.py",
    "data/planted": "data/planted/test_planted.py",
    "methods/edges": "methods/test_edge_searches.py",
    "methods/nodes": "methods/test_node_methods.py",
    "studies/atlas/clusters": "studies/atlas/test_clusters.py",
    "studies/atlas/vectors": "studies/atlas/test_vectors.py",
    "edits/steering": "edits/steering/test_directions.py",
    "edits/unlearning": "edits/test_fine_tuning_edits.py",
}
"""Rooms whose files are one idea many times over, and the test that is drawn over all of them beside tests/conformance."""


def public(house: Path) -> list[Path]:
    """The public files of a house, relative to it."""
    found = (path.relative_to(house) for path in sorted(house.rglob("*.py")))
    return [path for path in found if not any(part.startswith("_") for part in path.parts)]


def unmirrored(house: Path, tests: Path) -> set[str]:
    """Public files without a test file of their name, outside the rooms that are tested whole."""
    alone = (path for path in public(house) if not any(path.is_relative_to(room) for room in WHOLE))
    return {
        path.with_suffix("").as_posix() for path in alone if not (tests / path.parent / f"test_{path.name}").exists()
    }


def test_every_public_file_has_a_test_file_of_its_name():
    assert unmirrored(HOUSE, TESTS) == set()


@pytest.mark.parametrize("room", WHOLE)
def test_a_room_that_is_tested_whole_has_that_test(room):
    assert (HOUSE / room).is_dir() and (TESTS / WHOLE[room]).is_file()


def test_a_file_without_its_test_is_seen(tmp_path):
    for name in ("clew/room/seen.py", "clew/room/missed.py", "clew/room/_own.py", "clew/room/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "tests" / "room").mkdir(parents=True)
    (tmp_path / "tests" / "room" / "test_seen.py").touch()
    assert unmirrored(tmp_path / "clew", tmp_path / "tests") == {"room/missed"}
