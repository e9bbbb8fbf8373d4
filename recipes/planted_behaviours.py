"""Ten known behaviours, mixed: how well each kind of vector tells them apart, SmolLM2-135M seen in its pack.

Prompts of ten of clew's behaviours, as many of each, are put into ten clusters by every kind of vector and by both ways to
cluster; the adjusted Rand index says how well the clusters are the behaviours (1: they are; 0: as chance would have it).
Expected: activations and features near 1, since templates look alike; effects and gradients, which look at why the answer
comes and not at how the prompt is worded, well above 0. Prompts of one template are easier to tell from those of another than
behaviours in running text are.
Writes docs/results/planted_behaviours.json and prints a table. About two minutes on a quiet machine.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import clew
from clew.files import jsonable, write_json
from clew.finder import load, names
from clew.studies.atlas._sklearn import sklearn
from clew.studies.atlas._vectors import centred
from clew.studies.atlas.clustering import clustered
from clew.studies.atlas.contexts import Contexts

RESULT = Path(__file__).parent.parent / "docs" / "results" / "planted_behaviours.json"
BEHAVIOURS = (
    "agreement/across_rc",
    "ioi",
    "greater_than",
    "capitals",
    "pronouns/names",
    "antonyms",
    "tense",
    "induction",
    "relations/language",
    "mcqa/letters",
)
VECTORS, CLUSTERS = "studies.atlas.vectors", "studies.atlas.clusters"
SEEDS = (0, 1, 2)


def mixed(model: clew.Model, behaviours: tuple[str, ...], each: int) -> tuple[Contexts, np.ndarray]:
    """Prompts with right answers, as many of each behaviour, and which behaviour each is of."""
    prompts, answers, truth = list[list[int]](), list[int](), list[int]()
    for k, name in enumerate(behaviours):
        task = clew.Behaviour.load(name, model=model, n=4 * each)
        task = task if name.startswith("mcqa") else task.filter(model)
        rows = [
            row
            for batch in task.batches(model)
            for row in zip(batch.clean.tolist(), batch.answers[:, 0].tolist(), strict=True)
        ]
        chosen = np.random.default_rng(0).permutation(len(rows))[:each]
        prompts += [rows[i][0] for i in chosen]
        answers += [rows[i][1] for i in chosen]
        truth += [k] * len(chosen)
    return Contexts.of(prompts, answers), np.array(truth)


def measured(view: clew.Model, kind: str, given: Contexts, truth: np.ndarray) -> list[dict[str, Any]]:
    """The adjusted Rand index of one kind of vector, by each way to cluster."""
    made = centred(kind, load(VECTORS, kind)(view, given))
    score, k = sklearn("metrics").adjusted_rand_score, int(truth.max()) + 1
    rows = list[dict[str, Any]]()
    for by in names(CLUSTERS):
        values = [float(score(truth, clustered(made, k, by=by, seed=seed).which)) for seed in SEEDS]
        rows.append(
            {"vectors": kind, "clusters": by, "ari": float(np.mean(values)), "least": min(values), "most": max(values)}
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a row for each kind of vector and way to cluster."""
    lines = ["| vectors | clusters | adjusted Rand index | least and most of three seeds |", "|---|---|---|---|"]
    return "\n".join(
        [
            *lines,
            *(
                f"| {r['vectors']} | {r['clusters']} | {r['ari']:.2f} | {r['least']:.2f} to {r['most']:.2f} |"
                for r in rows
            ),
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="three behaviours, few prompts")
    tiny = parser.parse_args().tiny
    model = clew.open("smollm2-135m")
    view = model.through(*clew.Dictionary.load("smollm2-135m"))
    given, truth = mixed(model, BEHAVIOURS[: 3 if tiny else None], 6 if tiny else 24)
    found: list[dict[str, Any]] = []
    for kind in names(VECTORS):
        found += measured(view, kind, given, truth)
        print(table(found), flush=True)
    if not tiny:
        prompts = {name: int((truth == k).sum()) for k, name in enumerate(BEHAVIOURS)}
        write_json(RESULT, jsonable({"model": "smollm2-135m", "prompts": prompts, "rows": found}))
