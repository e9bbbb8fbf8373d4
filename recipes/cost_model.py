"""What a circuit of an atlas costs, as passes and products: held against measured runs, then asked about large models.

A circuit (resample ablation, attribution patching, one random circuit beside it, no edges) that is found on a and judged on b
contexts, at S sites, is

    forwards   (a + b) (1 + h) + 5br   h, r: the shares of the blocks below the highest and above the lowest site, since other
    backwards  a r                     contexts run up to that one, and what is judged runs again from this one
    encodings  S (3a + 7b)         a of them the same product with a gradient
    decodings  S (2a + 12b)        5b of them of codes that are written back

of contexts, and its time is that many times what one takes, which on a machine is measured in four short calls. The counts
must be exact (they are asserted); the time is compared at four sizes of models.

With FLOPs in place of measured calls the same sum tells of machines that are not here: 2 FLOPs a weight and token forwards,
as many backwards, since weights get no gradient, and 2 d u to encode a token of width d in u units. A GPU works while the
host tells it what comes next, so a circuit takes the longer of both; the host's time is measured here, at as many blocks and
sites of a width that costs nothing. What it cannot know is the share of its peak that a GPU reaches; that is given.

Writes docs/results/cost_model.json and prints two tables. Five minutes.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import clew
from clew.data.behaviours.metrics import log_probability
from clew.dictionaries import Learned, TopK
from clew.files import write_json
from clew.models.costs import counted

RESULT = Path(__file__).parent.parent / "docs" / "results" / "cost_model.json"
FOUND_ON, JUDGED_ON, TOKENS, SITES = 8, 4, 32, 4


@dataclass(frozen=True)
class Counts:
    """What a circuit is made of, each of T tokens; those of dictionaries at all sites together."""

    forwards: float
    backwards: float
    encodings: float
    decodings: float

    @classmethod
    def of(cls, a: int, b: int, sites: int, below: float, above: float) -> "Counts":
        """Args: below, above: the shares of the blocks that lie below the highest and above the lowest site."""
        forwards = (a + b) * (1 + below) + 5 * b * above
        return cls(forwards, a * above, sites * (3 * a + 7 * b), sites * (2 * a + 12 * b))


# Held against what is measured here.


def llama(width: int, layers: int) -> clew.Model:
    """A random model."""
    sizes = {"hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": layers, "vocab_size": 8192}
    config = LlamaConfig(**sizes, num_attention_heads=width // 64, num_key_value_heads=width // 64)
    return clew.open(LlamaForCausalLM(config).eval())


MODELS: dict[str, Callable[[], clew.Model]] = {
    "8 blocks of width 256": lambda: llama(256, 8),
    "16 blocks of width 512": lambda: llama(512, 16),
    "SmolLM2-135M": lambda: clew.open("smollm2-135m"),
    "16 blocks of width 1024": lambda: llama(1024, 16),
}


def dictionary(site: str, d: int, units: int) -> TopK:
    """Random rows of length one, whose encoder is their transpose."""
    rows = torch.nn.functional.normalize(torch.randn(units, d), dim=1)
    zeros = {"b_enc": torch.zeros(units), "b_dec": torch.zeros(d)}
    return TopK(site, k=32, W_enc=rows.T.contiguous(), W_dec=rows, centred=False, **zeros)


@contextmanager
def products() -> Iterator[Counter[str]]:
    """Rows that go through a dictionary inside, by what is done with them."""
    rows, plain = Counter[str](), dict[tuple[type, str], Any]()
    for holder, name in ((TopK, "encode"), (Learned, "decode"), (Learned, "write"), (Learned, "pull")):
        plain[holder, name] = getattr(holder, name)

        def told(self: Any, x: Any, *args: Any, of: Any = (holder, name), **kwargs: Any) -> Any:
            rows[of[1]] += x.numel() // x.shape[-1]
            return plain[of](self, x, *args, **kwargs)

        setattr(holder, name, told)
    try:
        yield rows
    finally:
        for (holder, name), function in plain.items():
            setattr(holder, name, function)


def seconds(work: Callable[[], object], rounds: int = 5) -> float:
    """The median of CPU seconds."""
    work()
    times = list[float]()
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return sorted(times)[rounds // 2]


def circuit_in(
    model: clew.Model, at: Sequence[int], a: int, b: int
) -> tuple[clew.Model, list[list[int]], Callable[[], None]]:
    """A view of dictionaries at these layers, the contexts, and what finds and judges a circuit in them."""
    d, n = model.body.widths[model.body.site("embed")], a + b
    view = model.through(*(dictionary(f"resid.{layer}", d, 4 * d) for layer in at))
    clean, patch = (torch.randint(5, 8000, (n, TOKENS)).tolist() for _ in range(2))
    pairs = tuple(clew.Pair(tuple(c), tuple(p), (7,)) for c, p in zip(clean, patch, strict=True))
    task = clew.Behaviour("random tokens", pairs, log_probability, split=a)

    def circuit() -> None:
        sharing = view.sharing()
        found = clew.find(sharing, task, by="attribution_patching", baseline="patch", positions=False)
        clew.verify(sharing, task, found.top(100), by="controls", pool=found, draws=1, ablation="patch")

    return view, clean, circuit


def measured(name: str) -> dict[str, Any]:
    """One model: what a circuit was foretold to take and took; its counts are asserted."""
    torch.manual_seed(0)
    model = MODELS[name]()
    d, layers = model.body.widths[model.body.site("embed")], model.n_layers
    at = list(range(layers // SITES - 1, layers, layers // SITES))[:SITES]
    view, clean, circuit = circuit_in(model, at, FOUND_ON, JUDGED_ON)
    told = Counts.of(FOUND_ON, JUDGED_ON, SITES, (at[-1] + 1) / layers, 1 - (at[0] + 1) / layers)
    with counted(view) as cost, products() as rows:
        circuit()
    assert cost.forward_tokens == round(told.forwards * layers * TOKENS), (cost.forward_tokens, told)
    assert cost.backward_tokens == round(told.backwards * layers * TOKENS), (cost.backward_tokens, told)
    assert rows["encode"] + rows["pull"] == told.encodings * TOKENS, (rows, told)
    assert rows["decode"] + rows["write"] == told.decodings * TOKENS, (rows, told)

    ids, module = torch.tensor(clean[:FOUND_ON]), model.body.module.requires_grad_(False)
    one = next(iter(view.dictionaries.values()))
    x = torch.randn(FOUND_ON * TOKENS, d)
    code = one.encode(x)

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return module(input_ids=ids, use_cache=False, logits_to_keep=1).logits

    def both() -> None:
        embedded = module.get_input_embeddings()(ids).detach().requires_grad_()
        module(inputs_embeds=embedded, use_cache=False, logits_to_keep=1).logits.sum().backward()

    units = {"forward": forward, "both": both, "encode": lambda: one.encode(x), "decode": lambda: one.decode(code)}
    took = {what: seconds(work) / FOUND_ON for what, work in units.items()}
    foretold = (
        told.forwards * took["forward"]
        + told.backwards * (took["both"] - took["forward"])
        + told.encodings * took["encode"]
        + told.decodings * took["decode"]
    )
    weights = sum(p.numel() for block in model.body.blocks for p in block.parameters())
    return {
        "blocks": layers,
        "width": d,
        "weights": weights,
        "GFLOP/s": 2 * weights * TOKENS / took["forward"] / 1e9,
        "foretold": foretold,
        "took": seconds(circuit, 3),
    }


# Asked about what is not here.


@dataclass(frozen=True)
class Large:
    """A model and its dictionaries, in two bytes a number."""

    name: str
    blocks: int
    width: int
    weights: float
    """In the blocks."""
    outside: float
    """In embedding and unembedding."""
    sites: int
    units: int

    @property
    def weight_bytes(self) -> float:
        return 2 * (self.weights + self.outside)

    @property
    def dictionary_bytes(self) -> float:
        return 2.0 * self.sites * 2 * self.width * self.units

    def flops(self, a: int, b: int, tokens: int) -> float:
        """Of one circuit, found on a and judged on b contexts of so many tokens."""
        counts = Counts.of(a, b, self.sites, 1, 1 - 1 / self.blocks)
        passes = 2 * self.weights * (counts.forwards + counts.backwards)
        return tokens * (passes + 2 * self.width * self.units * (counts.encodings + counts.decodings))


@dataclass(frozen=True)
class Gpu:
    """One GPU, and the share of its peak that is reached."""

    peak: float = 989e12
    memory: float = 80e9
    reached: float = 0.3


LARGE = (
    Large("Gemma 2 2B, 26 x 16,384", 26, 2304, 2.02e9, 0.59e9, 26, 16_384),
    Large("70B, 20 x 131,072", 80, 8192, 68.5e9, 2.1e9, 20, 131_072),
    Large("70B, 80 x 131,072", 80, 8192, 68.5e9, 2.1e9, 80, 131_072),
)
GPUS = (8, 64, 256, 1024)
MEMBERS, HELD = (20, 10), 0.8
"""Contexts that a circuit is found and judged on; the share of a GPU's memory that weights and dictionaries may take."""


def host(large: Large) -> float:
    """Seconds that telling a GPU what to do takes for one circuit."""
    every = large.blocks // large.sites
    _, _, circuit = circuit_in(llama(64, large.blocks), range(every - 1, large.blocks, every), 2, 2)
    return seconds(circuit, 3)


def foretold(large: Large, gpu: Gpu) -> dict[str, Any]:
    """GPUs that one copy needs, of which one computes at a time, and circuits an hour."""
    told, held = host(large), large.weight_bytes + large.dictionary_bytes
    copy = max(1, -int(-held // (HELD * gpu.memory)))
    computed = large.flops(*MEMBERS, TOKENS) / (gpu.peak * gpu.reached)
    each = max(computed, told)
    return {
        "model": large.name,
        "weights GB": large.weight_bytes / 1e9,
        "dictionaries GB": large.dictionary_bytes / 1e9,
        "GPUs of a copy": copy,
        "seconds computed": computed,
        "seconds told": told,
        "circuits an hour": {str(n): (n // copy) * 3600 / each for n in GPUS},
    }


def tables(here: dict[str, Any], there: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| model | weights in blocks | GFLOP/s forwards | foretold | took |", "|---|---|---|---|---|"]
    for name, m in here.items():
        took = f"{m['took']:.2f} s ({m['took'] / m['foretold'] - 1:+.0%})"
        lines.append(f"| {name} | {m['weights'] / 1e6:.1f} M | {m['GFLOP/s']:.0f} | {m['foretold']:.2f} s | {took} |")
    heads = " | ".join(f"{n:,} GPUs" for n in GPUS)
    lines += ["", f"| model | weights | dictionaries | GPUs of a copy | computed | told | {heads} |"]
    lines.append("|---" * (6 + len(GPUS)) + "|")
    for row in there:
        rates = " | ".join(f"{rate:,.0f} an hour" for rate in row["circuits an hour"].values())
        lines.append(
            f"| {row['model']} | {row['weights GB']:.0f} GB | {row['dictionaries GB']:.0f} GB | {row['GPUs of a copy']} "
            f"| {row['seconds computed']:.2f} s | {row['seconds told']:.2f} s | {rates} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="the smallest model alone; nothing is kept")
    tiny = parser.parse_args().tiny
    torch.set_num_threads(1)
    here = {name: measured(name) for name in list(MODELS)[: 1 if tiny else None]}
    there = [foretold(large, Gpu()) for large in LARGE]
    print(tables(here, there))
    if not tiny:
        write_json(RESULT, {"measured": here, "foretold": there})
