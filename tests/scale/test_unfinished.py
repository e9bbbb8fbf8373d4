"""What is being written has a name of its own, by which it is swept up when its process is gone."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from clew.scale.unfinished import sweep, unfinished


def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_each_name_is_hidden_new_and_of_this_process(tmp_path: Path) -> None:
    one, two = unfinished(tmp_path / "a.json"), unfinished(tmp_path / "a.json")
    assert one != two and one.parent == tmp_path and one.name.startswith(".a.json.")
    assert f"-{os.getpid()}-" in one.name and not list(tmp_path.iterdir())
    assert len(unfinished(tmp_path / ("ж" * 120)).name.encode()) < 255


@pytest.mark.skipif(os.name != "posix", reason="processes are not asked here")
def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    mine = unfinished(tmp_path / "a.json")
    dead = mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{gone()}-"))
    elsewhere = dead.with_name(dead.name.replace(socket.gethostname(), "elsewhere"))
    folder = dead.with_name(dead.name.replace("a.json", "model"))
    (folder / "inside").mkdir(parents=True)
    for path in (mine, dead, elsewhere, folder / "inside" / "x", tmp_path / "a.json", tmp_path / ".a.json.unfinished"):
        path.write_text("")
    sweep(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {mine.name, elsewhere.name, "a.json", ".a.json.unfinished"}


@pytest.mark.skipif(os.name != "posix", reason="processes are not asked here")
def test_the_first_name_in_a_folder_sweeps_it(tmp_path: Path) -> None:
    (tmp_path / f".a.{socket.gethostname()}-{gone()}-0123abcd.unfinished").write_text("")
    unfinished(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_yet_is_no_matter(tmp_path: Path) -> None:
    assert unfinished(tmp_path / "new" / "a").parent == tmp_path / "new"
