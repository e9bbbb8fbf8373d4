"""The searches of a comparison wherever there is room: each worker poses the behaviours itself, and writes to one file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from clew.progress import Tell
from clew.scale.map import Mapped, map
from clew.scale.workers import Workers
from clew.studies.comparison.circuits import Bench
from clew.studies.comparison.results import Results


def spread(
    start: Callable[[], Bench],
    jobs: Sequence[str],
    results: Path,
    workers: Workers,
    *,
    progress: Tell | None = None,
) -> Mapped:
    """Run jobs in workers, which add their cells to one file of results; what the file has is not run again.

    Args:
        start: makes the comparison anew in each worker; it stands in a module.
        jobs: what `str` says of each of its jobs.
        workers, progress: as for `map`.

    Returns: nothing for each job that was done, and those that were set aside. A search that fails is a cell that says why.
    Costs: a folder beside the file, which goes when all is done.
    """
    folder = results.with_name(f"{results.name}.work")
    do = partial(_done, results=str(results.absolute()))
    how = {**workers.plain(), "retry": True, "progress": progress}
    made = map(do, jobs, start=start, folder=folder, **how)
    if workers.on != "array":  # where other processes may still look into it
        shutil.rmtree(folder, ignore_errors=True)
    return made


def _done(bench: Bench, job: str, *, results: str) -> None:
    (chosen,) = (one for one in bench.jobs if str(one) == job)
    for _ in bench.run(Results.at(Path(results)), [chosen]):
        pass
