import json
import threading
import time
from dataclasses import replace

import pytest

from clew.apps._desk.answers import RunShown
from clew.apps._desk.asked import RunAsked
from clew.apps._desk.desk import USUAL
from clew.apps._desk.folder import Folder
from clew.apps._desk.refusals import NotHere, TooBusy
from clew.apps._desk.runs import Plan, Run, Runs
from clew.progress import Stopped, until_stopped

FIND = RunAsked("find", {"model": "tiny"})


class Toy:
    """Work of many steps, which waits to be let on where it is told to."""

    def __init__(self, steps: int = 3, learns: bool = False) -> None:
        self.steps, self.learns, self.begun, self.on = steps, learns, threading.Event(), threading.Event()
        self.again: list[bool] = []

    def plan(self, asked: RunAsked, again: bool) -> tuple[RunAsked, Plan]:
        self.again.append(again)
        return asked, Plan("a toy", "clew toy", False, self.work, lambda: None)

    def work(self, tell):
        tell.part("working", 0.0, 1.0)
        _, stop = until_stopped(self._steps(tell))
        if stop is not None and self.learns:
            raise Stopped("stopped", "half.json")
        if stop is not None:
            raise stop
        return "whole.json"

    def _steps(self, tell):
        for step in range(self.steps):
            self.begun.set()
            assert self.on.wait(10)
            tell(step + 1, self.steps)
            yield step


def over(runs: Runs, id: str):
    while runs.get(id).state in ("waiting", "running"):
        time.sleep(0.01)
    return runs.get(id)


def runs_of(tmp_path, toy: Toy, **limits) -> Runs:
    return Runs(Folder(tmp_path), toy.plan, replace(USUAL, **limits))


def test_a_run_tells_how_far_it_is_and_what_it_made(tmp_path):
    toy = Toy()
    runs = runs_of(tmp_path, toy)
    run = runs.start(FIND)
    assert run.state == "waiting" and run.command == "clew toy"
    toy.on.set()
    found = over(runs, run.id)
    assert (found.state, found.result, found.done, found.total) == ("done", "whole.json", 1000, 1000)
    with pytest.raises(ValueError, match="is done"):
        runs.resume(run.id)


@pytest.mark.parametrize(("learns", "result"), [(False, None), (True, "half.json")])
def test_a_run_is_cancelled_at_its_next_step_and_keeps_what_it_has(tmp_path, learns, result):
    toy = Toy(learns=learns)
    runs = runs_of(tmp_path, toy)
    run = runs.start(FIND)
    assert toy.begun.wait(10)
    runs.cancel(run.id)
    toy.on.set()
    found = over(runs, run.id)
    assert (found.state, found.result, found.resumes) == ("cancelled", result, True)
    again = over(runs, runs.resume(run.id).id)
    assert (again.state, toy.again) == ("done", [False, True])
    runs.cancel(run.id)  # one that is over goes off the list
    with pytest.raises(NotHere):
        runs.get(run.id)


@pytest.mark.parametrize(
    ("limits", "says"), [({"minutes": 0.0}, "budget of time"), ({"gigabytes": 1e-6}, "budget of memory")]
)
def test_a_run_that_goes_beyond_its_budget_is_stopped(tmp_path, limits, says):
    toy = Toy()
    runs = runs_of(tmp_path, toy, **limits)
    toy.on.set()
    found = over(runs, runs.start(FIND).id)
    assert found.state == "stopped" and says in str(found.error)


def test_work_that_fails_says_why_and_the_next_one_runs(tmp_path):
    toy = Toy()
    runs = runs_of(tmp_path, toy)
    toy.work = lambda tell: 1 / 0
    assert over(runs, runs.start(FIND).id).error == "ZeroDivisionError: division by zero"
    toy.on.set()
    del toy.work
    assert over(runs, runs.start(FIND).id).state == "done"


def test_as_many_wait_as_may(tmp_path):
    toy = Toy()
    runs = runs_of(tmp_path, toy, runs=1)
    first = runs.start(FIND)
    assert toy.begun.wait(10)
    second = runs.start(FIND)
    with pytest.raises(TooBusy, match="1 run waits already"):
        runs.start(FIND)
    assert runs.cancel(second.id).state == "cancelled"
    toy.on.set()
    assert over(runs, first.id).state == "done"


def test_another_studio_lists_what_was_run_and_takes_up_what_was_stopped(tmp_path):
    toy = Toy()
    runs = runs_of(tmp_path, toy)
    toy.on.set()
    done = over(runs, runs.start(FIND).id)
    runs.close()
    path = tmp_path / ".clew" / "runs" / f"{done.id}.json"
    record = json.loads(path.read_text())
    (path.with_name("other.json")).write_text("{")  # a damaged record is none
    record["shown"] |= {"state": "running", "result": None}
    record["by"] = f"{record['by'].rpartition(' ')[0]} 999999999"
    path.write_text(json.dumps(record))
    later = runs_of(tmp_path, toy)
    (found,) = later.every()
    assert (found.state, found.error, found.resumes) == ("stopped", "the studio ended while it ran", True)
    assert over(later, later.resume(done.id).id).state == "done"


def test_time_left_is_told_once_there_is_a_pace_to_go_by():
    shown = RunShown("a", "find", "a toy", "running", 0, 1000, "", 0.0, None, None, None, "clew toy", False, 0.0)
    run = Run("a", FIND, None, shown)
    assert run.left(50, 60.0) is None  # what takes a minute before the work begins says nothing of it
    assert run.left(100, 65.0) is None
    assert run.left(120, 75.0) is None  # too little of it is done
    assert run.left(300, 85.0) == pytest.approx(20 * 700 / 200)
    quick = Run("a", FIND, None, shown)
    assert [quick.left(100, 0.1), quick.left(600, 1.0)] == [None, None]  # too few seconds
