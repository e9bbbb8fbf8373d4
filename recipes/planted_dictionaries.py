"""Which kind of dictionary finds directions that we planted ourselves?

Claim: known atoms are found by every kind that suits them. AbsTopK uses both signs and beats TopK on bipolar atoms at
equal L0; GBA and top-AFA need no k; ITDA collects in a few per cent of TopK's time; a random, frozen decoder finds nothing.
Three worlds in 64 dimensions with 128 directions, 6 active at a token: plain, bipolar, and hierarchical (a child fires
only with its parent). 30,000 tokens to learn from, 5,000 others to judge on.
Minutes: about 12 on one core. `--tiny` takes one world and few steps.
Prints the tables of docs/dictionaries.md.
"""

import argparse
import time
from dataclasses import replace

import clew
from clew.data.planted.activations import Planted, planted
from clew.measures.dictionaries.recovery import recovery

D, FEATURES, ACTIVE, TOKENS, JUDGED, BATCH = 64, 128, 6, 30_000, 5_000, 1024
TOPK = {"units": FEATURES, "k": ACTIVE}
KINDS: dict[str, tuple[str, dict]] = {
    "ReLU": ("relu", {"units": FEATURES}),
    "p-anneal": ("p_anneal", {"units": FEATURES}),
    "gated": ("gated", {"units": FEATURES}),
    "TopK": ("topk", TOPK),
    "TopK, twice the units": ("topk", {"units": 2 * FEATURES, "k": ACTIVE}),
    "BatchTopK": ("batchtopk", TOPK),
    "Matryoshka": ("matryoshka", TOPK),
    "AbsTopK": ("abstopk", TOPK),
    "JumpReLU": ("jumprelu", {"units": FEATURES, "l0": ACTIVE}),
    "top-AFA": ("top_afa", {"units": FEATURES}),
    "top-AFA, twice the units": ("top_afa", {"units": 2 * FEATURES}),
    "GBA": ("gba", {"units": FEATURES}),
    "GBA, twice the units": ("gba", {"units": 2 * FEATURES}),
    "Atoms": ("atoms", {"units": FEATURES, "l0": ACTIVE}),
    "codebook": ("codebook", TOPK),
    "ITDA": ("itda", TOPK),
    "TopK, random frozen decoder": ("topk", TOPK | {"decoder": "random"}),
}


def world(name: str, n: int, seed: int) -> Planted:
    """Planted rows of one of the three worlds."""
    hierarchy = {child: child - FEATURES // 2 for child in range(FEATURES // 2, FEATURES)}
    return planted(
        n, d=D, features=FEATURES, active=ACTIVE, bipolar=name == "bipolar",
        hierarchy=hierarchy if name == "hierarchical" else None, seed=seed,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS, metavar="KIND")
    given = parser.parse_args()
    tiny = given.tiny
    for name in ("plain",) if tiny else ("plain", "bipolar", "hierarchical"):
        everything = world(name, TOKENS + JUDGED, seed=0)
        learnt, judged = (
            everything.x[:TOKENS],
            replace(everything, x=everything.x[TOKENS:], code=everything.code[TOKENS:]),
        )
        print(f"\n**{name}** (chance for random rows: {chance(judged):.2f})\n")
        print("| kind | mean max cosine | found at .9 | F1 of firing | L0 | FVU | seconds |")
        print("|---|---|---|---|---|---|---|")
        for kind in given.kinds:
            by, options = KINDS[kind]
            # ITDA looks at every row once.
            steps = 3 if tiny else TOKENS // BATCH if by == "itda" else 1500
            start = time.process_time()
            (made,) = clew.train(
                {"resid.0": learnt}, [clew.Plan(by, "resid.0", options=options)], steps=steps, batch=BATCH
            )
            seconds = time.process_time() - start
            report = recovery(None, judged, made)
            rows = {(r.measure, r.of): r for r in report.rows}

            def told(measure: str, of: str = "dictionary", rows: dict = rows) -> str:
                row = rows[measure, of]
                return row.said(".2f")

            l0, fvu = rows["L0", "dictionary"].value, report["FVU"].value
            cells = [told("max cosine"), told("recovered"), told("F1"), f"{l0:.1f}", f"{fvu:.2f}", f"{seconds:.0f}"]
            print(f"| {kind} | {' | '.join(cells)} |", flush=True)


def chance(judged: Planted) -> float:
    """Mean max cosine of as many random rows."""
    from clew.dictionaries import Identity

    return next(r.value for r in recovery(None, judged, Identity("resid.0", D)).rows if r.of == "random")


if __name__ == "__main__":
    main()
