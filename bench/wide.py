"""What do wide dictionaries cost, and how does it grow?

Node effects by attribution patching at dictionaries of 131,072 units: over their floor, which is the bare
passes of the module and one encoding of every clean and patch token, and beside the dense way, in which all codes of a batch
stand at once. The same at 26 dictionaries, and at one of a million units. Then four sizes each of examples, units and tokens:
the exponent of the time that is ours, the bare passes taken off, and how much memory stands beside weights and dictionaries.

Each size runs in a process of its own, so that its peak of memory is its own; the dense way is had by raising `sparse.WIDE`.
Dictionaries are random; what they cost depends on how many units fire, 64 at a token, and not on which.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from _log import log
from transformers import MistralConfig, MistralForCausalLM

import clew
from clew.data.behaviours.behaviour import Batch
from clew.data.behaviours.metrics import logit_difference
from clew.dictionaries import TopK, sparse
from clew.methods.nodes.attribution_patching import attribution_patching

BUSY = f"The machine's load was {os.getloadavg()[0]:.0f}; CPU seconds of one thread."
K, WIDTH, VOCABULARY = 64, 64, 512
CASES = {
    "SmolLM2-135M, 2 of 131,072 units": {"real": True, "units": 131_072, "layers": 2, "examples": 16},
    "26 layers of width 64, 26 of 131,072": {"units": 131_072, "layers": 26, "examples": 8},
    "2 layers of width 64, one of a million": {"units": 1_000_000, "layers": 1, "examples": 16},
}
GROWTH = {
    "examples": [{"units": 32_768, "examples": n} for n in (32, 64, 128, 256)],
    "units": [{"examples": 16, "units": n} for n in (32_768, 131_072, 524_288, 1_048_576)],
    "tokens": [{"units": 32_768, "examples": 1, "length": n} for n in (1024, 2048, 4096, 8192)],
}


def dictionary(site: str, d: int, units: int) -> TopK:
    """Random rows of length one, whose encoder is their transpose."""
    rows = torch.nn.functional.normalize(torch.randn(units, d), dim=1)
    zeros = {"b_enc": torch.zeros(units), "b_dec": torch.zeros(d)}
    return TopK(site, k=K, W_enc=rows.T.contiguous(), W_dec=rows, centred=False, **zeros)


def opened(real: bool, layers: int) -> clew.Model:
    """SmolLM2-135M, or a random model whose tokens see the 256 before them."""
    if real:
        return clew.open("smollm2-135m")
    sizes = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = MistralConfig(
        vocab_size=VOCABULARY,
        num_hidden_layers=max(2, layers),
        sliding_window=256,
        max_position_embeddings=8192,
        **sizes,
    )
    return clew.open(MistralForCausalLM(config).eval())


def prompts(model: clew.Model, examples: int, length: int) -> clew.Behaviour:
    """Random tokens; those of the patch differ at one place."""
    clean = torch.randint(5, 500, (examples, length))
    patch = clean.clone()
    patch[:, -4] = (clean[:, -4] + 7) % 490 + 5
    pairs = [clew.Pair(tuple(c), tuple(p), (5,), (6,)) for c, p in zip(clean.tolist(), patch.tolist(), strict=True)]
    return clew.Behaviour("random tokens", tuple(pairs), logit_difference)


def memory(field: str) -> float:
    """GiB of this process: VmRSS, or VmHWM, its peak since it was last asked to forget."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 2**20


def passes(module: torch.nn.Module, batches: list[Batch]) -> None:
    """Two forwards and a backward to the embeddings."""
    for batch in batches:
        with torch.no_grad():
            module(input_ids=batch.patch, use_cache=False, logits_to_keep=1)
        embedded = module.get_input_embeddings()(batch.clean).detach().requires_grad_()
        module(inputs_embeds=embedded, use_cache=False, logits_to_keep=1).logits.sum().backward()


def encodings(dictionaries: list[TopK], x: torch.Tensor, tokens: int) -> None:
    """Every clean and every patch token once, a few at a time."""
    for one in dictionaries:
        for part in x.expand(2 * tokens, -1).split(max(1, sparse.NUMBERS // one.n_units)):
            one.encode(part)


def measure(
    dense: bool = False,
    real: bool = False,
    units: int = 131_072,
    layers: int = 1,
    examples: int = 64,
    length: int = 16,
    baseline: str = "patch",
    positions: bool = False,
) -> dict[str, float]:
    """CPU seconds of ours, of the bare passes and of the encodings; GiB beside what was loaded."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    if dense:
        sparse.WIDE = 2**60
    model = opened(real, layers)
    sites = ("resid.9", "resid.19") if real else [f"resid.{i}" for i in range(layers)]
    view = model.through(*(dictionary(site, model.body.widths[model.body.site(site)], units) for site in sites))
    behaviour = prompts(model, examples, length)
    module = model.body.module.requires_grad_(False)
    batches = list(behaviour.batches(view))
    x = torch.randn(1, model.body.widths[model.body.site("embed")])
    passes(module, batches)
    loaded = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    work = partial(attribution_patching, view, behaviour, baseline=baseline, positions=positions)
    found = work()
    peak = memory("VmHWM") - loaded
    times = {"ours": work, "bare": partial(passes, module, batches)}
    if not dense:
        times["encode"] = partial(encodings, list(view.dictionaries.values()), x, examples * length)
    return {name: cpu(do) for name, do in times.items()} | {"peak": peak, "nodes": len(found)}


def cpu(work: Callable[[], object]) -> float:
    """Seconds that this process computes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def apart(**case: object) -> dict[str, float]:
    """`measure` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(case)], capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def exponent(sizes: list[float], values: list[float]) -> float:
    """The slope of log value over log size, by least squares."""
    x, y = (torch.tensor(list(map(math.log, v))) for v in (sizes, values))
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


def floors() -> None:
    """Node effects over the bare passes and the encodings, and the dense way."""
    rows = [("model and dictionaries", "by", "CPU s", "bare passes s", "encoding s", "ratio", "peak GiB beside them")]
    for name, case in CASES.items():
        floor = apart(**case)
        least = floor["bare"] + floor["encode"]
        ways = {"what fires": floor, "all units": apart(**case, dense=True)}
        if "real" in case:
            ways["what fires, mean"] = apart(**case, baseline="mean")
        for way, m in ways.items():
            seen = f"{m['ours']:.2f}", f"{floor['bare']:.2f}", f"{floor['encode']:.2f}"
            rows.append((name, way, *seen, f"{m['ours'] / least:.2f}", f"{m['peak']:.2f}"))
            print(rows[-1], flush=True)
    log(
        "Wide dictionaries: node effects over their floor",
        rows,
        f"{K} units fire at a token; prompts of 16 tokens. {BUSY}",
    )


def growth() -> None:
    """Exponents over four sizes each."""
    rows = [("four sizes of", "sizes", "CPU s beyond the bare passes", "exponent", "peak GiB", "by all units")]
    for what, cases in GROWTH.items():
        sizes = [next(reversed(case.values())) for case in cases]
        found, dense = [apart(**case) for case in cases], [apart(**case, dense=True) for case in cases[-1:]]
        ours = [m["ours"] - m["bare"] for m in found]
        told = [", ".join(f"{value:.2f}" for value in values) for values in (ours, [m["peak"] for m in found])]
        grown = f"{exponent(sizes, ours):.2f}"
        rows.append((what, ", ".join(map(str, sizes)), told[0], grown, told[1], f"{dense[0]['peak']:.2f} at the last"))
        print(rows[-1], flush=True)
    log("Wide dictionaries: growth", rows, f"Width 64, 2 layers, one dictionary; windows of 256 tokens. {BUSY}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(**json.loads(sys.argv[1]))))
    else:
        floors()
        growth()
