"""What every bench shares: timing in one process, and a line in LOG.md with date, commit and machine."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch

LOG = Path(__file__).parent / "LOG.md"


def seconds(work: Callable[[], object], floor: Callable[[], object], rounds: int = 3) -> tuple[float, float]:
    """Smallest CPU time of each over alternating rounds after one warm-up, so that a noisy machine is noisy for both."""
    work(), floor()
    times = [[_cpu(work), _cpu(floor)] for _ in range(rounds)]
    return min(t[0] for t in times), min(t[1] for t in times)


def _cpu(work: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        return time.perf_counter() - start
    start = time.process_time()
    work()
    return time.process_time() - start


def peak_gib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def log(question: str, rows: list[tuple[str, ...]], remark: str = "") -> None:
    """Print a table and append it to LOG.md."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s), torch {torch.__version__}"
    )
    head, *body = rows
    table = ["| " + " | ".join(r) + " |" for r in (head, tuple("---" for _ in head), *body)]
    text = "\n".join(
        [
            f"## {question}",
            f"{time.strftime('%Y-%m-%d')}, commit {commit or 'none yet'}, {machine}",
            "",
            *table,
            *(["", remark] if remark else []),
            "",
            "",
        ]
    )
    print(text)
    with LOG.open("a", encoding="utf-8") as file:
        file.write(text)
