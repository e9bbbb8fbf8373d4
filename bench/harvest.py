"""How close is recording to a bare forward pass, what does shuffling cost, and what do thirty sites in one pass save?

Run:  python bench/harvest.py [--threads 2] [--rounds 3]        (10 minutes on two cores; needs the bundled SmolLM2-135M)

16 windows of 256 random tokens, alternating in one process, best of the rounds. "Bare" is the Hugging Face base model under
no_grad with one hook that raises when the layer is done; "harvest" is what record, Live and train read; "recorded" also
writes float16 shards. Shuffling: batches of 4,096 of 82,000 rows of 576 numbers, drawn from one round of rows in memory;
"with scaling" is what training sees (float32, centred, scaled, outliers marked).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import clew
from bench._log import log
from clew.data.text.windows import Windows, cut
from clew.readings.source import Rows, harvest
from clew.sites import Site
from clew.training import Plan
from clew.training.loop.batches import Batches

ROWS, LENGTH = 16, 256


class Enough(Exception):
    """The layer is done."""


def bare(base: nn.Module, layer: int, ids: torch.Tensor) -> None:
    """A forward that stops after the layer and keeps nothing."""

    def stop(*given: object) -> None:
        raise Enough

    handle = base.layers[layer].register_forward_hook(stop)
    try:
        with torch.no_grad():
            base(ids, use_cache=False)
    except Enough:
        pass
    finally:
        handle.remove()


def windows_of(model: clew.Model, ids: torch.Tensor) -> Windows:
    """The same ids as windows of which every position counts."""
    made = cut(["x"], model.tokenizer, skip=0, packing="none")
    n = torch.full((len(ids),), ids.shape[1])
    return type(made)(
        ids.flatten().int(), n, torch.ones(ids.numel(), dtype=torch.bool), torch.arange(len(ids)), made.policy
    )


def best(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    found = dict.fromkeys(work, float("inf"))
    for turn in range(rounds + 1):  # the first warms up
        for name, what in work.items():
            start = time.perf_counter()
            what()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                found[name] = min(found[name], time.perf_counter() - start)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    table = [("", "dtype", "tokens/s", "of a bare forward to the same layer")]
    for dtype in (torch.float32, torch.bfloat16):
        model = clew.open("smollm2-135m", dtype=dtype, device=device)
        base, last = model.body.module.model, model.n_layers - 1
        ids = torch.randint(0, 40_000, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0))
        windows, on = windows_of(model, ids), ids.to(device)
        every = [Site.parse(f"resid.{i}") for i in range(model.n_layers)]
        with tempfile.TemporaryDirectory() as folder:
            turn = iter(range(10**6))

            def recorded(
                layer: int, folder: str = folder, turn=turn, model=model, windows=windows, every=every
            ) -> None:
                clew.record(model, windows, sites=[every[layer]], to=Path(folder) / str(next(turn)))

            work: dict[str, Callable[[], object]] = {}
            for layer in (9, last):
                work |= {
                    f"bare to layer {layer}": lambda n=layer, b=base, on=on: bare(b, n, on),
                    f"harvest resid.{layer}": lambda n=layer, m=model, w=windows, e=every: harvest(m, w, [e[n]], 4096),
                    f"recorded resid.{layer}": lambda n=layer, r=recorded: r(n),
                }
            work["harvest all residual sites"] = lambda m=model, w=windows, e=every: harvest(m, w, e, 4096)
            took = best(work, given.rounds)
        for name, seconds in took.items():
            layer = last if "all" in name else int(name.rpartition(".")[2].rpartition(" ")[2])
            share = took[f"bare to layer {layer}"] / seconds
            table.append((name, str(dtype).removeprefix("torch."), f"{ids.numel() / seconds:,.0f}", f"{share:.2f}"))
    start = time.perf_counter()
    for site in every:
        harvest(model, windows, [site], 4096)
    times = (time.perf_counter() - start) / took["harvest all residual sites"]
    remark = f"Thirty passes, one to each residual site, took {times:.1f} times as long as one for all. "
    log("harvest: recording against a bare forward, SmolLM2-135M", table, remark + shuffling(device))


def shuffling(device: str) -> str:
    """Microseconds a row."""
    site = Site.parse("resid.9")
    x = torch.randn(82_000, 576, device=device)
    batches = Batches(Rows({site: x}, 82_000), [Plan("topk", site, options={"units": 1, "k": 1})], 4096, 0, None)

    def draw() -> None:
        order = torch.randperm(len(x))
        for some in order.tensor_split(20):
            x[some.to(x.device)]

    def whole() -> None:
        for _ in batches.after(0, (0, 0), 20):
            pass

    took = best({"draw": draw, "whole": whole}, 3)
    return (
        f"Shuffling takes {1e6 * took['draw'] / len(x):.2f} microseconds a row, and {1e6 * took['whole'] / len(x):.2f} with "
        "scaling."
    )


if __name__ == "__main__":
    main()
