"""How does an atlas grow with its circuits?

Four atlases of a small random model, of 50 to 400 clusters of some eight contexts each: seconds of one thread for each stage,
the exponent of the whole and of each, and the peak of memory. Nothing of the model's work depends on how many there are; what
is alike is asked of every pair.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from _log import log, peak_gib
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

import clew
from clew.dictionaries import TopK
from clew.models.bundled import bundled_folder
from clew.studies.atlas.build import Builder
from clew.studies.atlas.corpus import Corpus
from clew.studies.atlas.options import Finding, Grouping, Wiring

CIRCUITS, EACH, LENGTH, WIDTH = (50, 100, 200, 400), 8, 12, 64
STAGES = ("contexts", "vectors", "clusters", "circuits", "all else")


def view() -> clew.Model:
    """A random model of two blocks, seen in a random dictionary at each."""
    tokenizer = AutoTokenizer.from_pretrained(bundled_folder("smollm2-135m"))
    sizes = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=4, **sizes)
    model = clew.open(LlamaForCausalLM(config).eval(), tokenizer=tokenizer)

    def dictionary(layer: int) -> TopK:
        rows = torch.nn.functional.normalize(torch.randn(512, WIDTH), dim=1)
        zeros = {"b_enc": torch.zeros(512), "b_dec": torch.zeros(WIDTH)}
        return TopK(f"resid.{layer}", k=8, W_enc=rows.T.contiguous(), W_dec=rows, centred=False, **zeros)

    return model.through(dictionary(0), dictionary(1))


def texts(n: int) -> list[str]:
    """So many texts of words in random order, each long enough for one context."""
    words = "time year way day thing man world life hand part child eye woman place work week case point number".split()
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(words, LENGTH + 6)) for _ in range(n)]


def measure(circuits: int) -> dict[str, float]:
    """Seconds of each stage, circuits that were made, GiB at most."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    spent = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def told(stage: str):
        start = time.process_time()
        yield None
        spent[stage] += time.process_time() - start

    with tempfile.TemporaryDirectory() as folder:
        builder = Builder(
            view(),
            Corpus.of({"ours": texts(circuits * EACH)}),
            Path(folder),
            finding=Finding(loss=0, right=False, repeated=True, length=LENGTH, window=LENGTH + 4),
            grouping=Grouping(k=(circuits,)),
            wiring=Wiring(otherwise=("resample",)),
            telling=told,
        )
        start = time.process_time()
        made = builder.build()
        spent["all else"] = time.process_time() - start - sum(spent.values())
    return spent | {"made": sum(one.circuit is not None for one in made), "peak": peak_gib()}


def main() -> None:
    made = [apart(n) for n in CIRCUITS]
    wired = [one["made"] for one in made]
    rows = [("stage", *(f"{n:.0f} circuits" for n in wired), "exponent")]
    for stage in (*STAGES, "whole"):
        times = [sum(one[name] for name in STAGES) if stage == "whole" else one[stage] for one in made]
        slope = np.polyfit(np.log(wired), np.log(np.maximum(times, 1e-3)), 1)[0]
        rows.append((stage, *(f"{seconds:.2f} s" for seconds in times), f"{slope:.2f}"))
    rows.append(("peak GiB", *(f"{one['peak']:.2f}" for one in made), ""))
    log(
        "An atlas: growth with its circuits",
        rows,
        "CPU seconds of one thread; a random model of two blocks of width 64.",
    )


def apart(circuits: int) -> dict[str, float]:
    """One size, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, str(circuits)], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        main()
