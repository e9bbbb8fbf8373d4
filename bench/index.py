"""What does an index cost, and how fast is it asked?

Run:  python bench/index.py [rate] [lookup] [width] [kills] [--tokens 4096] [--firings 20000000]
      (each question by itself or all; 15 minutes on two cores; rate needs the bundled SmolLM2-135M and its pack)

rate: CPU-seconds of recording 30 residual sites in one pass (`clew.record`) and of indexing the 30 dictionaries of the pack,
the same windows in turn, best of the rounds; rows, counts and neighbours, which need no model, too. lookup: a planted index
of 32,768 units whose rates are log-normal, asked for the 50 largest firings of random units, warm; beside it the same rows in
sorted Parquet, asked by Polars and DuckDB where these are installed. width: resident memory of a process that indexes one
dictionary of 4,096 and of 32,768 units. kills: indexing a tiny model, killed at random moments and started again until it
is done.
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

import numpy as np
import torch

import clew
from bench._log import log, peak_gib
from clew.data.text.texts import shuffled_texts, wikipedia_leads
from clew.dictionaries import TopK
from clew.files import write_json
from clew.readings.index._firings import by_token, narrow
from clew.readings.index._found import text_of
from clew.readings.index._plan import FORMAT, PLAN, VERSION, chunk_path
from clew.readings.index._text import save_words, write_arrays
from clew.readings.index.build import finished
from clew.readings.index.index import Index

LENGTH, UNITS = 128, 32_768


def cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def size(folder: Path, pattern: str = "*") -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def rate(given: argparse.Namespace, folder: Path) -> None:
    model, saes = clew.open("smollm2-135m"), clew.Dictionary.load("smollm2-135m")
    texts, sites = shuffled_texts(wikipedia_leads()), [dictionary.reads for dictionary in saes]
    windows = clew.cut(texts, model.tokenizer, limit=given.tokens, context=256, packing="documents")
    work: dict[str, Callable[[Path], Any]] = {
        "record": lambda to: clew.record(model, windows, sites=sites, to=to),
        "index": lambda to: clew.index(model, saes, windows, to=to),
    }
    took = dict.fromkeys(work, float("inf"))
    for turn in range(given.rounds):
        for name, what in work.items():
            took[name] = min(took[name], cpu(lambda w=what, to=folder / f"{name} {turn}": w(to)))
    index = Index.load(folder / "index 0")
    firings = sum(int(index.summary(site).count.sum()) for site in index.sites)
    rows, twin = size(index.folder, "*-*.safetensors"), size(index.folder / "firings")
    each = f"{rows / firings:.1f} bytes a firing by unit with what is counted, {twin / firings:.1f} by document"
    table = [("30 residual sites in one pass", "CPU-seconds", "tokens/CPU-s", "of recording")]
    for name, seconds in took.items():
        table.append((name, f"{seconds:.1f}", f"{windows.tokens / seconds:,.0f}", f"{took['record'] / seconds:.2f}"))
    title = f"index: {windows.tokens:,} tokens of Wikipedia, SmolLM2-135M through its pack (1,536 units, k 16)"
    log(title, table, f"{firings:,} firings: {each}.")


def planted(folder: Path, firings: int) -> Index:
    """Firings at random, of units of log-normal rates, written as the model's pass would write them."""
    g = np.random.default_rng(0)
    share = g.lognormal(0, 1.6, UNITS)
    windows = firings // (8 * LENGTH)
    tokens, per = windows * LENGTH, 1 << 20
    parts = -(-tokens // per)
    about = {
        **{"format": FORMAT, "version": VERSION, "model": "none", "weights": "", "edits": [], "run in": "float32"},
        "sites": {
            "resid.0": {
                **{"reads": "resid.0", "kind": "planted", "unit": "feature", "units": UNITS},
                **{"everywhere": False, "fingerprint": ""},
            }
        },
        **{"keep": "all", "top": 100, "sample": 8, "seed": 0, "tokens": tokens, "positions": tokens},
        **{"chunk": per, "chunks": parts, "policy": {"packing": "documents"}},
    }
    text = text_of(g.integers(0, 49_152, tokens), [LENGTH] * windows)
    (folder / "firings").mkdir(parents=True)
    write_json(folder / PLAN, about)
    text.save(folder)
    save_words(folder, {i: f" w{i}" for i in np.unique(text.tokens).tolist()})
    for number in range(parts):
        n = min(per, tokens - number * per)
        unit = g.choice(UNITS, 8 * n, p=share / share.sum())
        key = np.unique(np.repeat(np.arange(n), 8) * UNITS + unit)
        value = narrow(g.lognormal(0, 1, len(key)).astype(np.float32))
        made = by_token(key // UNITS, key % UNITS, value, n, UNITS)
        write_arrays(chunk_path(folder, number), made.tensors("resid.0"))
    start = time.perf_counter()
    index = finished(folder, about, text)
    assert index is not None
    print(f"rows made in {time.perf_counter() - start:.0f} s, peak {peak_gib():.2f} GiB", flush=True)
    return index


def asked(what: Callable[[int], object], units: list[int]) -> tuple[str, str]:
    """Milliseconds of the median and of the 95th of a hundred, warm."""
    took = []
    for turn in range(2):
        for unit in units:
            start = time.perf_counter()
            what(unit)
            took += [time.perf_counter() - start] if turn else []
    return f"{1e3 * np.percentile(took, 50):.3f}", f"{1e3 * np.percentile(took, 95):.3f}"


def lookup(given: argparse.Namespace, folder: Path) -> None:
    index = planted(folder / "index", given.firings)
    count = index.summary("resid.0").count
    units = random.Random(0).sample([int(u) for u in np.flatnonzero(count >= 50)], 200)
    firings, bytes = int(count.sum()), size(index.folder / "resid.0")
    table = [(f"{firings:,} firings of {UNITS:,} units", "MB", "p50 ms", "p95 ms")]
    row = asked(lambda unit: index.row("resid.0", unit), units)
    table.append(("all firings of a unit (`row`)", f"{bytes / 1e6:.0f}", *row))
    table.append(
        ("its 50 largest, with windows and words (`top`)", "", *asked(lambda u: index.top("resid.0", u, 50), units))
    )
    table.append(("what fires at a token (`at`)", f"{size(index.folder / 'firings') / 1e6:.0f}",
                  *asked(lambda u: index.at("resid.0", 7 * u), units)))  # fmt: skip
    tables = index.export(folder / "tables", format="parquet")
    parquet, megabytes = str(tables / "resid.0" / "*.parquet"), f"{size(tables / 'resid.0') / 1e6:.0f}"
    try:
        import duckdb  # pyright: ignore[reportMissingImports]
        import polars  # pyright: ignore[reportMissingImports]

        scan = polars.scan_parquet(parquet)
        ask = lambda u: scan.filter(polars.col("unit") == u).head(50).select("place", "value").collect()  # noqa: E731
        table.append(("sorted Parquet, Polars: place and value of the 50", megabytes, *asked(ask, units)))
        told = f"SELECT place, value FROM read_parquet('{parquet}') WHERE unit = ? ORDER BY abs(value) DESC LIMIT 50"
        connection = duckdb.connect()
        ask = lambda u: connection.execute(told, [u]).fetchall()  # noqa: E731
        table.append(("sorted Parquet, DuckDB: the same", megabytes, *asked(ask, units)))
    except ImportError as error:
        print(f"left out: {error}")
    twin = size(index.folder / "firings") / firings
    each = f"{bytes / firings:.1f} bytes a firing by unit, counts and neighbours with it, {twin:.1f} by document."
    log("index: look-up, warm, in this process", table, each)


def one_width(units: int, tokens: int, to: str) -> None:
    """In a process of its own: what one dictionary takes."""
    torch.manual_seed(0)
    model = clew.open("smollm2-135m")
    w = torch.randn(units, 576)
    made = TopK("resid.3", centred=False, k=32, W_enc=w.T.contiguous(), W_dec=w, b_enc=None, b_dec=torch.zeros(576))
    windows = clew.cut(shuffled_texts(wikipedia_leads()), model.tokenizer, limit=tokens)
    model.run(windows.ids[0][None], logits=1)
    Path("/proc/self/clear_refs").write_text("5")  # the largest so far is forgotten
    before = resident("VmRSS")
    clew.index(model, made, windows, to=to)
    print(f"{before} {resident('VmHWM')}")


def resident(what: str) -> float:
    """GiB of this process, as Linux says."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 2**20


def width(given: argparse.Namespace, folder: Path) -> None:
    table = [("units", "GiB before, the model and the dictionary", "largest while it is indexed", "more")]
    for units in (4096, 32_768):
        words = [
            sys.executable,
            __file__,
            "--one-width",
            str(units),
            "--tokens",
            str(given.tokens),
            "--folder",
            str(folder / str(units)),
        ]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        before, peak = map(float, said[-2:])
        table.append((f"{units:,}", f"{before:.2f}", f"{peak:.2f}", f"{peak - before:.2f}"))
    log(f"index: memory while the width grows eight times, {given.tokens:,} tokens, k 32", table)


def kills(given: argparse.Namespace, folder: Path) -> None:
    root = Path(__file__).parents[1]
    code = "import sys, tests.conftest; from tests.readings.index.planted import *\nindexed(Path(sys.argv[1]), chunk=8)"
    start = [sys.executable, "-c", code]
    began = time.perf_counter()
    subprocess.run([*start, str(folder / "whole")], cwd=root, check=True)
    whole, draw = time.perf_counter() - began, random.Random(0)
    held = {
        path.relative_to(folder / "whole"): path.read_bytes()
        for path in (folder / "whole").rglob("*")
        if path.is_file()
    }
    killed, same, times = 0, 0, []
    while killed < 20:
        to = folder / f"killed {len(times)}"
        while True:
            child = subprocess.Popen([*start, str(to)], cwd=root)
            limit = draw.uniform(0.3 * whole, whole)
            try:
                child.wait(limit)
            except subprocess.TimeoutExpired:
                if (to / PLAN).exists():
                    os.kill(child.pid, signal.SIGKILL)
                    killed += 1
                    times.append(limit)
                child.wait()
            if child.returncode == 0:
                break
        found = {path.relative_to(to): path.read_bytes() for path in to.rglob("*") if path.is_file()}
        same += found == held
        print(f"{killed} kills, {same} indices the same", flush=True)
    rows = [
        ("kills", "indices made", "the same, byte for byte"),
        (str(killed), str(len(list(folder.glob("killed*")))), str(same)),
    ]
    log("index: killed at random moments", rows)


QUESTIONS: dict[str, Any] = {"rate": rate, "lookup": lookup, "width": width, "kills": kills}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", choices=[*QUESTIONS, []], default=[])
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--firings", type=int, default=20_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one-width", type=int)
    parser.add_argument("--folder")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.one_width:
        one_width(given.one_width, given.tokens, given.folder)
        return
    for name in given.questions or QUESTIONS:
        with tempfile.TemporaryDirectory() as folder:
            QUESTIONS[name](given, Path(folder))


if __name__ == "__main__":
    main()
