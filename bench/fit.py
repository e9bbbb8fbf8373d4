"""Which dictionary is the better one after equal minutes: ITDA, which only collects, or TopK, which learns?

    python bench/fit.py MODEL TEXT [--site resid.11] [--tokens 60000] [--minutes 1] [--encode 20000]

MODEL is whatever clew.open takes (a transformers folder), TEXT a text file. Both see the same recorded activations
of the model. The minutes count everything: the fit and encoding `--encode` further tokens, which is what a circuit
search costs later; ITDA's matching pursuit is dear there. Judged on rows that neither has seen, at the same k.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import torch
from torch import Tensor

import clew
from clew.data.store import record
from clew.data.text import read_texts
from clew.dictionaries import Dictionary
from clew.training import itda, topk


def encoding(dictionary: Dictionary, x: Tensor) -> float:
    """Seconds per token."""
    x = x[:2048]
    dictionary.encode(x)  # the first call builds what is kept
    start = time.perf_counter()
    dictionary.encode(x)
    return (time.perf_counter() - start) / len(x)


def timed(fit, *arguments, **keywords) -> tuple[Dictionary, float]:
    start = time.perf_counter()
    made = fit(*arguments, **keywords)
    return made, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--site", default="resid.11")
    parser.add_argument("--tokens", type=int, default=60_000)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--encode", type=int, default=20_000)
    parser.add_argument("--units", type=int, nargs="+", default=[1152, 2304, 4608])
    parser.add_argument("--k", type=int, nargs="+", default=[16])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        start = time.perf_counter()
        model = clew.open(given.model)
        store = record(model, read_texts(given.text), sites=[given.site], to=folder, tokens=given.tokens, context=32)
        print(f"{len(store)} tokens of {given.site} recorded in {time.perf_counter() - start:.0f} s")
        x = store[given.site]
        x = x[x.norm(dim=1) < 4 * x.norm(dim=1).median()]  # attention sinks would be all of the variance
        # The text's end is held out: a random split would leave neighbours of every held row among ITDA's atoms.
        held, x = x[-4000:], x[:-4000]
        print(
            f"{'':6s}{'units':>6s}{'k':>4s}{'steps':>7s}{'fit s':>8s}{'encode us/token':>17s}"
            f"{'total s':>9s}{'unexplained':>13s}"
        )
        for k in given.k:
            for units in given.units:
                for fit in (itda, topk):
                    row(fit, x, held, given, units, k)


def row(fit, x: Tensor, held: Tensor, given: argparse.Namespace, units: int, k: int) -> None:
    """Find how many steps the minutes allow from a short trial, then fit and judge."""
    batch = 512 if fit is itda else 1024
    few = max(2, 4096 // batch)
    settings = {"reads": given.site, "units": units, "k": k}
    trial, seconds = timed(fit, x, steps=few, batch=batch, **settings)
    left = 60 * given.minutes - given.encode * encoding(trial, held)
    steps = int(left / seconds * few)
    if fit is itda:
        # The dictionary grows evenly, so a full-sized trial tells the cost; one pass is all that there is to see.
        steps = min(steps, len(x) // batch)
    if steps < few:
        print(f"{fit.__name__:6s}{units:6d}{k:4d}   does not fit into {given.minutes} minutes")
        return
    made, seconds = timed(fit, x, steps=steps, batch=batch, **settings)
    each = encoding(made, held)
    unexplained = (made.reconstruct(held) - held).square().sum() / (held - held.mean(0)).square().sum()
    print(
        f"{fit.__name__:6s}{made.n_units:6d}{k:4d}{steps:7d}{seconds:8.1f}{1e6 * each:17.0f}"
        f"{seconds + given.encode * each:9.1f}{unexplained:13.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
