"""What goes wrong when files are damaged, threads share a module, work is interrupted or killed, or two do the same at once?

Run:  PYTHONPATH=. python bench/robustness.py [QUESTION ...] [--seed WORD] [--before CHECKOUT]      (10 minutes on two cores)

Nothing may. The cases are those of the tests, many times over, without their checks of types, each question in a process
of its own. "Two at once" are forked from one process and start together; what they left is read by a third. `--before` has
another checkout of clew open a model, in turn with this one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from bench._log import log
from clew.models.bundled import bundled_folder
from clew.models.selfcheck import cached_selfcheck
from clew.readings.moments import second_moment
from clew.readings.store import record
from clew.studies.comparison.results import Cell, Results
from clew.training import Plan, train
from tests.dictionaries.formats.test_whole_folders import WHERE, mixtures
from tests.fuzz.doors import DOORS, windows
from tests.models.test_interrupts import signalled, timed_works
from tests.models.test_run import settings
from tests.models.test_threads import works
from tests.models.tiny import model_of, prompts
from tests.test_fuzz_files import faults
from tests.training.planted_rows import rows

MUTATIONS, RUNS, INTERRUPTS, KILLS, ROUNDS = 2_000, 1_000, 500, 100, 5
CUT_SHORT = ("run", "generate", "record", "updated", "gradients")
ROOT = Path(__file__).parent.parent
Lines = list[tuple[str, str, str]]
"""What was asked, of how many, and what was found."""


def damaged(folder: Path, seed: str) -> Lines:
    each, found = -(-MUTATIONS // len(DOORS)), list[str]()
    for number, name in enumerate(DOORS):
        place = folder / str(number)
        place.mkdir()
        found += [f"{name}: {wrong}" for wrong in faults(name, place, each, seed)]
    print(*found, sep="\n", file=sys.stderr)
    other, hung = (sum(words in one for one in found) for words in ("loads as something else", "it hangs"))
    counts = {"raw errors": len(found) - other - hung, "loaded as something else": other, "hung": hung}
    of = f"{each * len(DOORS):,} changes to {len(DOORS)} kinds of files, seed {seed!r}"
    return [(f"damaged files: {name}", of, str(count)) for name, count in counts.items()]


def shared(folder: Path, seed: str) -> Lines:
    wrong = changed = runs = 0
    for family in ("llama", "gpt2"):
        model = model_of(family)
        before, jobs = settings(model), works(model)
        alone, times = [job() for job in jobs], -(-RUNS // (2 * len(jobs)))
        with ThreadPoolExecutor(len(jobs)) as threads:
            found = list(threads.map(lambda job, times=times: [job() for _ in range(times)], jobs))
        runs += times * len(jobs)
        wrong += sum(not torch.equal(one, right) for some, right in zip(found, alone, strict=True) for one in some)
        changed += settings(model) != before
    of = f"{runs:,} runs, edits, gradients and checks by 8 threads, 2 families"
    return [("a shared module: wrong results", of, str(wrong)), ("a shared module: settings changed", of, str(changed))]


def interrupted(folder: Path, seed: str) -> Lines:
    model = model_of()
    plain, work = model.run(prompts()).logits, timed_works(model, folder)
    hits = left = 0
    while hits < INTERRUPTS:
        more = signalled(model, [work[name] for name in CUT_SHORT], 100, hits)
        hits, left = hits + more[0], left + more[1]
        shutil.rmtree(folder / "store", ignore_errors=True)
    left += not torch.equal(model.run(prompts()).logits, plain)
    of = f"{hits} signals inside {', '.join(CUT_SHORT)}"
    return [("interrupts: hooks, modes, attributes or weights changed", of, str(left))]


def killed(folder: Path, seed: str) -> Lines:
    name = "killed while saving: mixtures of two folders"
    return [(name, f"{KILLS} of {format}", str(mixtures(folder, format, KILLS))) for format in WHERE]


def both(work: Callable[[int], Any]) -> list[Any]:
    """What two processes that start together give, or the errors of those that failed."""
    context = get_context("fork")
    start, found = context.Barrier(2), context.SimpleQueue()

    def one(number: int) -> None:
        start.wait()
        try:
            found.put(work(number))
        except Exception as error:
            found.put(str(error))

    processes = [context.Process(target=one, args=(number,)) for number in range(2)]
    for process in processes:
        process.start()
    told = [found.get() for _ in processes]
    for process in processes:
        process.join()
    return told


def at_once(folder: Path, seed: str) -> Lines:
    model, text, x = model_of(), windows(), {"resid.1": rows(500)[0]}
    plan = Plan("topk", "resid.1", options={"units": 24, "k": 2, "half": False})

    def added(place: Path, number: int) -> list[str]:
        """A half of the cells each; who comes third finds them all."""
        results = Results.at(place / "bench.json")
        for n in range(number, 100, 2):
            results.add(Cell(f"cell {n}", "model", "behaviour", "heads", "eap", "top"))
        return sorted(Results.at(place / "bench.json").cells) if number == 2 else []

    def moment(place: Path, number: int) -> list[float]:
        (found,) = second_moment(model, ["down.1"], text, least=0.0).values()
        return found.gram.flatten().tolist()

    def recorded(place: Path, number: int) -> list[bytes]:
        store = record(model, text, sites=["resid.0"], to=place / "store", shard=8)
        return [path.read_bytes() for path in store.shards]

    jobs: dict[str, Callable[[Path, int], Any]] = {
        "trainings in one folder": lambda place, _: (
            train(x, [plan], steps=40, batch=100, to=place / "a")[0].fingerprint
        ),
        "recordings into one store": recorded,
        "self-checks in the cache": lambda place, _: cached_selfcheck(model.body),
        "second moments in the cache": moment,
    }
    right = {name: job(folder / "alone", 2) for name, job in jobs.items()}
    jobs["results of a bench"], right["results of a bench"] = added, sorted(f"cell {n}" for n in range(100))
    lost = dict.fromkeys([*jobs, "files left over"], 0)
    for turn in range(ROUNDS):
        place = folder / str(turn)
        place.mkdir()
        os.environ["CLEW_CACHE"] = str(place)
        for name, job in jobs.items():
            told = both(partial(job, place))
            refused = [one for one in told if "in use by process" in str(one)]
            lost[name] += sum(one not in ([], right[name], *refused) for one in told) + (len(refused) == 2)
            lost[name] += job(place, 2) != right[name]
        lost["files left over"] += sum(path.name.startswith(".") for path in place.rglob("*"))
    lines = [(f"two at once: {name}: lost or wrong", f"{ROUNDS} times", str(count)) for name, count in lost.items()]
    told = both(lambda _: str(bundled_folder("smollm2-135m")))
    wrong = [str(path) for path in place.glob("models/*")] * 2 != told
    return [*lines, ("two at once: first openings of a bundled model: lost or wrong", "once", str(int(wrong)))]


OPENED = """
import sys, time, torch, clew
torch.set_num_threads(int(sys.argv[1]))
clew.open("smollm2-135m").body.fingerprint  # so that all is imported and read once
start = time.process_time()
print(clew.open("smollm2-135m").body.fingerprint, time.process_time() - start)
"""


def opened(root: Path, threads: int) -> tuple[str, float]:
    """The fingerprint, and the CPU-seconds of opening a model and asking for it."""
    given = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", OPENED, str(threads)]
    done = subprocess.run(command, env=given, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    fingerprint, seconds = done.stdout.split()
    return fingerprint, float(seconds)


def opening(before: str) -> Lines:
    counts = (1, 2, 4)
    marks = [opened(ROOT, threads)[0] for threads in counts]
    lines = [("fingerprints of SmolLM2", f"{counts} threads", ", ".join(dict.fromkeys(marks)))]
    times: dict[str, list[float]] = {str(root): [] for root in (ROOT, before) if root}
    for _ in range(3):
        for root, some in times.items():
            some.append(opened(Path(root), 1)[1])
    for root, some in times.items():
        of = "opening SmolLM2 and its fingerprint, CPU s" + (", before" if root == before else "")
        middle = statistics.median(some)
        lines.append((of, "3 in turn, 1 thread", f"{middle:.2f} ({min(some):.2f} to {max(some):.2f})"))
    return lines


QUESTIONS = {"damaged": damaged, "shared": shared, "interrupted": interrupted, "killed": killed, "at_once": at_once}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", default=[*QUESTIONS, "opening"])
    parser.add_argument("--seed", default="robustness")
    parser.add_argument("--before", default="")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)  # a forked process has no threads of its parent's
    if given.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(QUESTIONS[given.questions[0]](Path(folder), given.seed)))
        return
    found: list[tuple[str, ...]] = [("what", "of", "found")]
    for name in given.questions:
        command = [sys.executable, __file__, name, "--one", "--seed", given.seed]
        told = (
            subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout if name in QUESTIONS else ""
        )
        found += map(tuple, json.loads(told.splitlines()[-1]) if told else opening(given.before))
    log("robustness: damaged files, threads, interrupts, kills, two at once", found)


if __name__ == "__main__":
    main()
