"""One at a time: another process, or thread, is refused by name or waits; who is killed lets go; nothing is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import pytest

from clew.scale import alone as room
from clew.scale.alone import alone

OTHER = f"""
import runpy, sys
from pathlib import Path
alone = runpy.run_path({room.__file__!r})["alone"]
path = Path(sys.argv[1])
"""
"""What another process begins with; it needs nothing else of ours."""

pytestmark = pytest.mark.skipif(room.fcntl is None, reason="nothing is held here")


def other(path: Path, work: str) -> subprocess.Popen[str]:
    given = [sys.executable, "-c", OTHER + work, str(path)]
    return subprocess.Popen(given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has it until it is told something."""
    with other(path, "with alone(path, 'training'):\n    print('mine', flush=True)\n    input()\n") as process:
        assert process.stdout and process.stdin and process.stdout.readline() == "mine\n"
        yield process
        if process.poll() is None:
            process.communicate("done\n")


def test_another_process_is_named(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with (
        held(path) as process,
        pytest.raises(ValueError, match=rf"results\.json is in use by process {process.pid} on .* \(training\); wait"),
        alone(path, "training"),
    ):
        pass
    with alone(path, "training"):
        assert list(tmp_path.iterdir()) == [tmp_path / ".results.json.lock"]
    assert not list(tmp_path.iterdir())


def test_a_thread_is_another_too_and_a_folder_is_made(tmp_path: Path) -> None:
    with alone(tmp_path / "run", "training", lock=".lock"), ThreadPoolExecutor(1) as threads:
        refused = threads.submit(lambda: alone(tmp_path / "run", "training", lock=".lock").__enter__()).exception()
    assert f"run is in use by process {os.getpid()} on" in str(refused)
    assert (tmp_path / "run").is_dir() and not list((tmp_path / "run").iterdir())


def test_who_waits_gets_it(tmp_path: Path) -> None:
    with held(tmp_path / "a") as process, ThreadPoolExecutor(1) as threads:

        def patient() -> list[Path]:
            with alone(tmp_path / "a", "adding", wait=True):
                return list(tmp_path.iterdir())

        waiting = threads.submit(patient)
        assert not wait([waiting], timeout=0.1).done
        process.communicate("done\n")
        assert waiting.result(20) == [tmp_path / ".a.lock"]


def test_who_is_killed_lets_go(tmp_path: Path) -> None:
    with held(tmp_path / "a") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / ".a.lock").exists()
    with alone(tmp_path / "a", "training"):
        pass
    assert not list(tmp_path.iterdir())


def test_an_error_inside_lets_go(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), alone(tmp_path / "a", "training"):
            raise KeyError


def test_nothing_is_lost_where_many_count(tmp_path: Path) -> None:
    (tmp_path / "n").write_text("0")
    count = """
for _ in range(100):
    with alone(path, "counting", wait=True):
        path.write_text(str(int(path.read_text()) + 1))
"""
    processes = [other(tmp_path / "n", count) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    assert (tmp_path / "n").read_text() == "400" and list(tmp_path.iterdir()) == [tmp_path / "n"]


def test_where_there_are_no_locks_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise OSError(room.NO_LOCKS[0], "no locks available")

    monkeypatch.setattr(room.fcntl, "flock", refuse)
    with alone(tmp_path / "a", "training"):
        pass
