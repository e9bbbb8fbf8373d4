"""What is told grows from nothing to the whole, costs nothing, and is said as one line."""

import io
import re
import sys
import time
from types import SimpleNamespace

import pytest

from clew import progress
from clew.progress import Loops, Progress, Tell, span, until_stopped


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that is turned by hand."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_pipe_gets_a_line_every_so_many_seconds(clock):
    stream = io.StringIO()
    line = Progress("controls", stream, every=10.0)
    for step in range(101):
        clock[0] = step / 2
        line(step, 100)
    assert stream.getvalue().splitlines() == [
        "controls: 20%, 10 s so far, about 40 s left",
        "controls: 40%, 20 s so far, about 30 s left",
        "controls: 60%, 30 s so far, about 20 s left",
        "controls: 80%, 40 s so far, about 10 s left",
    ]


def test_a_terminal_has_one_line_that_is_taken_away_in_the_end(clock):
    stream = Terminal()
    line = Progress("find", stream)
    for step in range(4):
        clock[0] = 60.0 * step
        line(step, 3)
    written = stream.getvalue()
    assert "\n" not in written and "find: 33%, 1 min 0 s so far, about 2 min 0 s left" in written
    assert written.rpartition("\r")[0].rpartition("\r")[2].strip() == ""


@pytest.fixture
def kernel(monkeypatch):
    """A notebook's kernel, as far as it is asked; what is shown in it, in order."""
    shown: list[str] = []

    def display(said, raw, display_id):
        shown.append(said["text/html"])
        return SimpleNamespace(update=lambda said, raw: shown.append(said["text/html"]))

    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return SimpleNamespace(shown=shown, shell=shell)


def test_a_notebook_has_a_bar_that_is_taken_away_in_the_end(clock, kernel, capsys):
    line = Progress("<find>")
    for step in range(4):
        clock[0] = 60.0 * step
        line(step, 3)
    assert [re.search(r'value="([\d.]+)"', bar)[1] for bar in kernel.shown[:-1]] == ["0.000", "0.333", "0.667"]
    assert "&lt;find&gt;: 33%, 1 min 0 s so far" in kernel.shown[1] and kernel.shown[-1] == ""
    assert capsys.readouterr() == ("", "")


def test_where_ipython_is_no_notebook_and_where_a_stream_is_given_there_is_a_line(clock, kernel, capsys):
    Progress("find", Terminal())(1, 2)
    kernel.shell.kernel = None
    line = Progress("find")
    clock[0] = 60.0
    line(1, 2)
    assert kernel.shown == [] and "find: 50%" in capsys.readouterr().err


def test_numbers_of_a_step_stand_beside_it(clock):
    stream = Terminal()
    Progress("masks", stream)(1, 4, {"loss": 0.25})
    assert stream.getvalue().strip() == "masks: 25%, 0 s so far, about 0 s left, loss 0.25"


def test_where_the_share_falls_the_clock_starts_again(clock):
    stream = io.StringIO()
    line = Progress("", stream, every=10.0)
    line(1, 1)
    clock[0] = 100.0
    line(0, 10)
    clock[0] = 110.0
    line(5, 10)
    assert stream.getvalue().splitlines()[-1] == "50%, 10 s so far, about 10 s left"


def test_loops_within_loops_tell_of_the_whole():
    told: list[tuple[int, int]] = []
    loops = Loops(lambda done, of, numbers=None: told.append((done, of)))
    for _ in loops.over("ab"):
        for _ in loops.over(range(3)):
            pass
        with loops.part(0, 1):
            pass
    shares = [done / of for done, of in told]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert {1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6} <= set(shares)


def test_a_loop_that_is_left_early_is_no_longer_counted():
    told: list[float] = []
    loops = Loops(lambda done, of, numbers=None: told.append(done / of))
    with pytest.raises(ZeroDivisionError):
        for i in loops.over((1, 0)):
            1 / i
    told.clear()
    list(loops.over([1, 2]))
    assert told == [0, 0.5, 1]


def test_what_there_was_before_an_interrupt_is_kept():
    def items():
        yield from (1, 2)
        raise KeyboardInterrupt

    assert until_stopped([1, 2, 3]) == ([1, 2, 3], None)
    found, stop = until_stopped(items())
    assert found == [1, 2] and isinstance(stop, KeyboardInterrupt)


def test_telling_costs_microseconds():
    line = Progress("", io.StringIO())
    started = time.perf_counter()
    for step in range(10_000):
        line(step, 20_000)
    assert time.perf_counter() - started < 0.5


def test_any_function_of_the_two_numbers_can_be_told():
    assert isinstance(Progress("", io.StringIO()), Tell) and isinstance(print, Tell)


def test_a_time_is_said_in_words():
    assert [span(s) for s in (0.2, 59.0, 60.0, 95.0, 3599.0, 5400.0)] == [
        "0 s", "59 s", "1 min 0 s", "1 min 35 s", "59 min 59 s", "1 h 30 min",
    ]  # fmt: skip
