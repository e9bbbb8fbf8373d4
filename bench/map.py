"""What does spreading work cost, and does it survive?

Run:  python bench/map.py [rate] [kills] [--items 200] [--kills 100]
      (each question by itself or both; five minutes on two cores; Ray is left out where the extra is not installed)

rate: items of no work, and of a tenth of a second of matrix products by one thread, done in this process, in a pool of two
processes and by two actors of Ray; the time that workers take to start is told apart from the items' own. kills: a pool whose
workers and driver are killed at random moments, and the driver started again, until all is done; then whether every result is
there, once, and right.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench._log import log
from clew.scale.manifest import FILE, Manifest
from clew.scale.map import map

SECONDS = 0.1
"""Of computing that an item of work takes by itself."""


def nothing(item: int) -> list[float]:
    """When it was begun and when it was over."""
    return [time.time(), time.time()]


def products(item: int) -> list[float]:
    """So many products of matrices as take SECONDS by one thread."""
    import torch

    begun, x = time.time(), torch.randn(256, 256, generator=torch.Generator().manual_seed(item))
    until, done = time.thread_time() + SECONDS, x
    while time.thread_time() < until:
        done = (done @ x).tanh()
    return [begun, time.time()]


def timed(do: Callable[..., Any], items: int, on: str, workers: int | None) -> tuple[float, float]:
    """(seconds until the first item is begun, items a second from then on)."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.time()
        made = map(do, range(items), on=on, workers=workers, threads=1, folder=Path(folder) / "w")
    first, last = min(begun for begun, _ in made), max(ended for _, ended in made)
    return first - started, items / (last - first)


def rate(given: argparse.Namespace) -> None:
    rows: list[tuple[str, ...]] = [("items", "in", "value")]
    for name, do in (("no work", nothing), (f"{SECONDS:g} s of one thread", products)):
        base = None
        for on, workers in (("here", None), ("pool", 2), ("ray", 2)):
            try:
                first, speed = timed(do, given.items, on, workers)
            except ImportError as error:
                rows.append((f"{name}, {on}", "", str(error)))
                continue
            base = base or speed
            rows.append((f"{name}, {on}", "items a second", f"{speed:.1f} ({speed / base:.2f} of here)"))
            rows.append(("", "s to the first", f"{first:.1f}"))
    log("Many items: rate", rows, f"{given.items} items; two workers in the pool and on Ray.")


DRIVER = """import sys
from bench.map import nap
from clew.scale.map import map
if __name__ == "__main__":
    map(nap, range(int(sys.argv[2])), folder=sys.argv[1], on="pool", workers=2, tries=100)
"""


def nap(item: int) -> int:
    time.sleep(0.02)
    return item * item


def kills(given: argparse.Namespace) -> None:
    rng, items, done = random.Random(0), 40 * given.kills, {"workers": 0, "drivers": 0}
    with tempfile.TemporaryDirectory() as place:
        folder, script = Path(place) / "w", Path(place) / "driver.py"
        script.write_text(DRIVER)

        def driver() -> subprocess.Popen[bytes]:
            return subprocess.Popen([sys.executable, str(script), str(folder), str(items)], env=os.environ | PLACE)

        one, started, before = driver(), time.perf_counter(), 0
        while not (folder / FILE).exists():
            time.sleep(0.1)
        while sum(done.values()) < given.kills:
            time.sleep(rng.uniform(0.1, 0.6))
            if one.poll() is not None:
                break
            which = "drivers" if rng.random() < 0.2 else "workers"
            crew, begun = children(one.pid), Manifest(folder).begun()
            if not crew or begun == before:  # they have not come up yet
                continue
            before = begun
            os.kill(one.pid if which == "drivers" else rng.choice(crew), signal.SIGKILL)
            done[which] += 1
            if which == "drivers":
                one.wait()
                one = driver()
        ended = one.wait()
        manifest, spent = Manifest(folder), time.perf_counter() - started
        keys = manifest.begin({"do": "bench.map.nap"}, range(items))
        right = [result for _, result in manifest.results(keys)] == [n * n for n in range(items)]
        files = len(list((folder / "results").rglob("*.json")))
        rows = [
            ("what", "in", "value"),
            ("killed", "workers, drivers", f"{done['workers']}, {done['drivers']}"),
            ("the last driver", "exit code", str(ended)),
            (f"{items} items", "as counted", str(manifest.counts())),
            ("", "all right, in order", str(right)),
            ("", "files of results", str(files)),
            ("", "begun in all", str(manifest.begun())),
            ("", "s", f"{spent:.0f}"),
        ]
    log("Many items: kills", rows, "A pool of two; an item sleeps a fiftieth of a second.")


PLACE = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])}


def children(process: int) -> list[int]:
    """The processes that one has started, but for what counts their resources."""
    found = [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return [one for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", choices=["rate", "kills", []], help="all of them, if none is named")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--kills", type=int, default=100)
    given = parser.parse_args()
    for name, question in (("rate", rate), ("kills", kills)):
        if not given.which or name in given.which:
            question(given)


if __name__ == "__main__":
    main()
