"""map: every item once, whoever works, whatever dies."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clew.scale.manifest import Manifest
from clew.scale.map import map
from tests.scale import toys


def test_results_come_in_the_order_of_the_items():
    assert [one["twice"] for one in map(toys.twice, [3, 1, 2])] == [6, 2, 4]


def test_an_item_that_comes_twice_is_done_once_and_told_twice(tmp_path):
    made = map(toys.twice, [1, 1], folder=tmp_path / "w")
    assert list(made) == [{"twice": 2}] * 2
    assert Manifest(tmp_path / "w").counts()["done"] == 1


def test_a_folder_goes_on_where_it_stopped_and_refuses_other_work(tmp_path):
    asked = []

    def counting(item):
        asked.append(item)
        return item

    assert list(map(counting, [1, 2], folder=tmp_path / "w", about={"weights": "a"})) == [1, 2]
    assert list(map(counting, [2, 3], folder=tmp_path / "w", about={"weights": "a"})) == [2, 3]
    assert asked == [1, 2, 3]
    with pytest.raises(ValueError, match=r'its weights is "a", and here it is "b"; give another folder'):
        map(counting, [1], folder=tmp_path / "w", about={"weights": "b"})
    with pytest.raises(ValueError, match="holds other work: its do is"):
        map(toys.twice, [1], folder=tmp_path / "w", about={"weights": "a"})


def test_a_poisoned_item_is_tried_and_set_aside_while_the_rest_goes_on(tmp_path):
    made = map(toys.poisoned, range(6), folder=tmp_path / "w", tries=2)
    assert list(made) == [0, 1, 2, 4, 5]
    (aside,) = made.aside
    assert aside.item == 3 and "ArithmeticError: three is poison" in aside.error
    assert Manifest(tmp_path / "w").begun() == 7
    again = map(toys.poisoned, range(6), folder=tmp_path / "w", tries=2)
    assert len(again.aside) == 1 and Manifest(tmp_path / "w").begun() == 7
    map(toys.poisoned, range(6), folder=tmp_path / "w", tries=2, retry=True)
    assert Manifest(tmp_path / "w").begun() == 7


def test_what_is_no_json_is_refused():
    with pytest.raises(ValueError, match="is no plain JSON"):
        map(toys.twice, [object()])
    (aside,) = map(lambda item: float("nan"), [1], tries=1).aside
    assert "is no plain JSON" in aside.error


@pytest.mark.parametrize("on", ["here", "pool"])
def test_a_full_disk_stops_the_work_and_loses_nothing(tmp_path, monkeypatch, on):
    monkeypatch.setenv("ROOM", str(tmp_path / "room"))
    with pytest.raises(OSError, match="no space left"):
        map(toys.full, range(6), folder=tmp_path / "w", on=on, workers=1)
    assert Manifest(tmp_path / "w").counts() == {"waiting": 3, "taken": 0, "done": 3, "aside": 0}
    (tmp_path / "room").touch()
    assert list(map(toys.full, range(6), folder=tmp_path / "w", on=on, workers=1)) == list(range(6))


def test_how_far_it_is_is_told(tmp_path):
    told = []
    map(toys.twice, range(3), progress=lambda done, of, numbers: told.append((done, of)))
    assert told[0] == (0, 3) and told[-1] == (3, 3)


def test_two_drivers_share_the_work(tmp_path, monkeypatch):
    monkeypatch.setenv("DONE", str(tmp_path / "done"))
    drivers = [_driver(tmp_path / "w", "here") for _ in range(2)]
    assert [driver.wait(60) for driver in drivers] == [0, 0]
    assert sorted(map_lines(tmp_path / "done")) == list(range(60))


def map_lines(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()]


DRIVER = """import sys
from clew.scale.map import map
from tests.scale import toys
if __name__ == "__main__":
    folder, on, items = sys.argv[1:]
    map(toys.slow, range(int(items)), folder=folder, on=on, workers=2 if on == "pool" else None, tries=50)
"""


def _driver(folder: Path, on: str, items: int = 60) -> subprocess.Popen:
    script = folder.parent / "driver.py"
    script.write_text(DRIVER)
    return subprocess.Popen([sys.executable, str(script), str(folder), on, str(items)], start_new_session=True)


def test_nothing_is_lost_or_doubled_however_often_workers_and_drivers_are_killed(tmp_path, monkeypatch):
    """A few kills here; the whole hundred: CLEW_KILLS=100."""
    monkeypatch.setenv("DONE", str(tmp_path / "done"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]))
    kills, rng = int(os.environ.get("CLEW_KILLS", "4")), random.Random(0)
    folder, items = tmp_path / "w", 40 * kills
    driver = _driver(folder, "pool", items)
    for _ in range(kills):
        time.sleep(rng.uniform(0.2, 0.8))
        if driver.poll() is None:
            one = rng.choice([driver.pid, *_children(driver.pid)])
            os.kill(one, signal.SIGKILL)
        driver.poll()
        if driver.returncode is not None:
            driver = _driver(folder, "pool", items)
    if driver.wait(240):
        assert _driver(folder, "pool", items).wait(240) == 0
    manifest = Manifest(folder)
    assert manifest.counts() == {"waiting": 0, "taken": 0, "done": items, "aside": 0}
    assert list(map(toys.slow, range(items), folder=folder)) == [n * n for n in range(items)]
    assert set(map_lines(tmp_path / "done")) == set(range(items))


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children")
    return [int(one) for one in found.read_text().split()] if found.exists() else []
