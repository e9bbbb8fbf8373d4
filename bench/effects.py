"""What do units do to the next token, and is that more than what random directions do that move the model as far?

Run:  python bench/effects.py --index FOLDER [--model smollm2-135m] [--units 100]     (10 minutes on one core)

The units are those of bench/explain.py: drawn at random among those with 50 firings, on the side on which they sum to
more. The unit is added at the last token of 16 beginnings of documents, as strongly as gives a mean KL(clean || edited) of
--sigma nats; tokens are named on known documents and judged on unseen ones. Shuffled: the tokens of another unit that
fires as often. Random: a Gaussian direction in the unit's place, explained anew. All: also units of which nothing stands
out, by the tokens that come nearest to it; named: those of which something does. Above: share of units whose 95 % interval,
over documents, lies above.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import clew
from bench._log import log
from bench.explain import FIRINGS, mean
from clew.data.predicates import Table
from clew.explain.explainers.effects import Effects, effects
from clew.explain.floors.random_unit import random_unit
from clew.explain.floors.shuffled import shuffled
from clew.explain.scorers.intervention import intervention
from clew.readings.unseen import Case, Unseen, scored

HEAD = ("site", "score", "of", "units", "effects", "shuffled", "random", "above shuffled", "above random", "above both")


def on_index(firings: clew.Index, model: clew.Model, sites: Sequence[str], n: int, sigma: float) -> None:
    """The table by site, with intervals over units, and one of what is said of a few."""
    table = Table.of(firings)
    unseen, rows, said, named = Unseen(firings, table, model), [], [], []
    start = time.process_time()
    for site in map(clew.Site.parse, sites):
        order = [int(u) for u in np.random.default_rng(0).permutation(firings.units(site))]
        units = [f"{site}/{u}" for u in order if len(firings.row(site, u).place) >= FIRINGS][:n]
        found = effects(firings, units, table, model=model, sigma=sigma, sides=False)
        cases = [Case(found[unit][0], unseen, unit) for unit in units]
        able = [case for case in cases if case.explanation]

        def again(where: Unseen, unit: str, side: int) -> Effects:
            return effects(where.firings, [unit], table, model=where.model, sigma=sigma, sides=False)[unit][0]

        trios = [(case, shuffled(case, able, again), random_unit(case, able, again)) for case in cases]
        scores = np.array([[overall(one) for one in trio] for trio in trios])
        out = np.array([bool(case.explanation) for case in cases])
        for i, measure in enumerate(("AUROC", "rise, nats")):
            for of, some in (("all", out | True), ("named", out)):
                rows.append((str(site), measure, of, *told(scores[some, :, i])))
        named.append(f"{site} {out.sum()} of {len(out)} (random {sum(bool(r.explanation) for _, _, r in trios if r)})")
        said += [(case.unit, str(case.explanation)) for case in cases[:8]]
        print(site, time.process_time() - start, flush=True)
    spent = (time.process_time() - start) / (n * len(sites))
    cost = f"{spent:.2f} CPU-seconds a unit, with floors and scores."
    remark = f"Something stands out of: {', '.join(named)}. KL {sigma} nats; {cost}"
    log("Effects: units of a pack", [HEAD, *rows], remark)
    log("Effects: what is said of some of them", [("unit", "effect"), *said])


def overall(case: Case | None) -> list[tuple[float, float]]:
    """Value and lower bound of each score over all that is named."""
    assert case is not None
    return [(row.value, row.low) for row in scored(case, [intervention]) if row.of == "all"]


def told(scores: np.ndarray) -> tuple[str, ...]:
    """Cells of scores [unit, of whom, value and low]."""
    value, low = scores[..., 0], scores[:, :1, 1]
    above = low > value[:, 1:]
    shares = (*above.mean(0), above.all(1).mean())
    return (str(len(scores)), *(mean(column) for column in value.T), *(f"{share:.2f}" for share in shares))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--model", default="smollm2-135m", help="also the name of the pack of its dictionaries")
    parser.add_argument("--sites", nargs="+", default=["resid.3", "resid.9", "resid.15", "resid.21"])
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--sigma", type=float, default=0.1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = clew.open(given.model, dtype=torch.float32).through(*clew.Dictionary.load(given.model))
    on_index(clew.Index.load(given.index), model, given.sites, given.units, given.sigma)


if __name__ == "__main__":
    main()
