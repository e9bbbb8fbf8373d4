"""Kinds of dictionary on one layer of a real model: every row seen once, equal width, the same held-out text.

Claim: at SmolLM2-135M's resid.15 with 2,304 units, kinds that choose units (TopK and its family) leave less unexplained at
equal L0 than kinds that penalise them; an encoder learnt for random directions that stay frozen leaves far more; three seeds
differ by little.
Text: a store of resid.15 (`clew record smollm2-135m wikipedia --sites resid.15 --tokens 300000 --shuffle 0 --to STORE`), or
any; --held is a text that is not in it.
Minutes: about 25 on two cores. `--tiny` takes few steps, two kinds and little text of its own.
Writes docs/results/dictionary_kinds.html; prints the table of docs/dictionaries.md.

    python recipes/dictionary_kinds.py STORE --held TEXT
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

import clew
from clew.apps.pages.dictionary import dictionary_page
from clew.data.text.texts import read_texts, shuffled_texts, wikipedia_leads
from clew.data.text.windows import cut
from clew.files import write_text
from clew.readings.source import Rows

SITE, UNITS, K = "resid.15", 2304, 32
PAGE = Path(__file__).parent.parent / "docs" / "results" / "dictionary_kinds.html"
TOPK = {"units": UNITS, "k": K}
KINDS: dict[str, tuple[str, dict, tuple[int, ...]]] = {
    "ReLU": ("relu", {"units": UNITS}, (0,)),
    "TopK": ("topk", TOPK, (0, 1, 2)),
    "BatchTopK": ("batchtopk", TOPK, (0,)),
    "JumpReLU": ("jumprelu", {"units": UNITS, "l0": K}, (0,)),
    "Matryoshka": ("matryoshka", TOPK, (0,)),
    "AbsTopK": ("abstopk", TOPK, (0,)),
    "ITDA": ("itda", TOPK, (0,)),
    "TopK, random frozen decoder": ("topk", TOPK | {"decoder": "random"}, (0, 1, 2)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, nargs="?")
    parser.add_argument("--held", type=Path)
    parser.add_argument("--passes", type=float, default=1.0)
    parser.add_argument("--tokens", type=int, default=2_000)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    if not given.tiny and not (given.store and given.held):
        parser.error("give STORE and --held, a text that is not in it; or --tiny")
    model = clew.open("smollm2-135m")
    leads = shuffled_texts(wikipedia_leads()) if given.tiny else []
    kinds = {name: KINDS[name] for name in ("TopK", "ITDA")} if given.tiny else KINDS
    with tempfile.TemporaryDirectory() as folder:
        store = (
            clew.record(model, leads[200:], sites=[SITE], to=folder, tokens=6000)
            if given.tiny
            else clew.Store.load(given.store)
        )
        rows = Rows({SITE: store[SITE]})
    texts = read_texts(given.held) if given.held else leads[:200]
    held = cut(texts, model.tokenizer, limit=300 if given.tiny else given.tokens)
    print("| kind | FVU | loss recovered | ΔCE | L0 | dead | CPU seconds |\n|---|---|---|---|---|---|---|")
    reports = {}
    for name, (by, options, seeds) in kinds.items():
        for seed in seeds[: 1 if given.tiny else None]:
            start = time.process_time()
            steps = 3 if given.tiny else int(given.passes * len(store) / 4096)
            options = options | {"units": 512} if given.tiny else options
            plan = clew.Plan(by, SITE, options=options, seed=seed)
            (made,) = clew.train(rows, [plan], steps=steps, batch=4096)
            seconds = time.process_time() - start
            report = clew.verify(model, held, made)
            label = f"{name}, seed {seed}" if len(seeds) > 1 else name
            reports[label] = report
            print(f"| {label} | {' | '.join(cells(report))} | {seconds:.0f} |", flush=True)
    if not given.tiny:
        write_text(PAGE, dictionary_page(reports))


def cells(report: clew.Report) -> list[str]:
    """The columns of the table, with intervals over documents."""
    found = {(r.measure, r.of): r for r in report.rows}
    wanted = [("FVU", ""), ("loss recovered", "mean ablation"), ("delta cross-entropy", ""), ("L0", ""), ("dead", "")]
    rows = [found[key] for key in wanted]
    return [r.said() for r in rows[:3]] + [
        f"{rows[3].value:.1f}",
        f"{rows[4].value:.3f}",
    ]


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
