"""A folder that several want is made by one of them, whole or not at all."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clew.scale.once import once, scratch


def test_of_several_who_want_it_one_makes_it(tmp_path: Path) -> None:
    made = []

    def make(place: Path) -> None:
        made.append(place)
        place.mkdir()
        time.sleep(0.05)
        (place / "model").write_text("whole")

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: (once(tmp_path / "m", make, "making") / "model").read_text(), range(4)))
    assert found == ["whole"] * 4 and len(made) == 1 and list(tmp_path.iterdir()) == [tmp_path / "m"]


def test_what_fails_half_way_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    def fail(place: Path) -> None:
        (place / "half").mkdir(parents=True)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            once(tmp_path / "m", fail, "making")
        assert not list(tmp_path.iterdir())


def test_a_scratch_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with pytest.raises(KeyError), scratch(tmp_path / "new" / "m") as place:
        (place / "part").write_text("")
        raise KeyError
    assert not list((tmp_path / "new").iterdir())
