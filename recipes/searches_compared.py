"""Searches for circuits compared: every search by behaviour, with and without the three switches, on two models.

Claim (MIB, arXiv:2504.13151): gradients along a path beat one gradient, and edges beat nodes. Published, EAP-IG on edges:
CPR 1.56 and CMD .07 on average over models and tasks, EAP .90 and .10; bootstrap filter, ratio and integer programming
(arXiv:2510.25786) raise CPR to 1.77 to 2.50 together and lower CMD to .08.
Expected here: the same order on log-k areas; linear areas of signed rankings ruled by single trunk edges.
Hours: about one and a half for a model on one thread. `--tiny` takes one behaviour, two searches and six pairs.
Every finished cell is kept in the cache folder, so that an interrupted run goes on. Writes docs/results/searches.json and
prints the tables.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clew.apps.cli import run
from clew.files import cache_folder, write_json

RESULT = Path(__file__).parent.parent / "docs" / "results" / "searches.json"
MODELS = ("smollm2-135m", "gemma3-270m")
FOUR = "ioi,agreement/simple,agreement/across_rc,greater_than"
QUICK = "eap,clean_corrupted,eap_ig_inputs,information_flow_routes"
NODES = "attribution_patching,integrated_gradients_inputs,hard_concrete:steps=60"
PLAN = (
    (FOUR, "edges", QUICK, "top"),
    (FOUR, "edges", "eap,eap_ig_inputs", "bootstrap,ratio"),
    (FOUR, "components", NODES, "top"),
    ("ioi,agreement/simple", "edges", "eap_ig_inputs", "ilp:time_limit=5,bootstrap+ilp:time_limit=5"),
    ("ioi,agreement/simple", "edges", "eap_ig_activations", "top"),
    ("mcqa/word", "edges", QUICK, "top"),
    ("mcqa/word", "edges", "eap_ig_inputs", "bootstrap,ratio"),
    ("mcqa/word", "components", "attribution_patching,integrated_gradients_inputs", "top"),
)
TINY = (("agreement/simple", "components", "attribution_patching,integrated_gradients_inputs:steps=2", "top"),)
AREAS = (("CPR", "signed"), ("CMD", "absolute"), ("CPR over log k", "signed"), ("CMD over log k", "absolute"))


def measured(model: str, plan: Iterable[tuple[str, ...]], examples: int, out: Path) -> list[dict[str, Any]]:
    """Run a plan, step by step, into one file; then its cells, as short as a table needs."""
    for behaviours, units, searches, select in plan:
        options = {"behaviours": behaviours, "units": units, "searches": searches, "select": select}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        if code := run(["bench", "circuits", "--model", model, "--examples", str(examples), "--out", str(out), *words]):
            sys.exit(code)
    return [short(cell) for cell in json.loads(out.read_text(encoding="utf-8"))["cells"]]


def short(cell: Mapping[str, Any]) -> dict[str, Any]:
    """One cell of the table: what was tried, its areas with intervals, its warnings and its costs."""
    rows = {(row["measure"], row["of"]): row for row in cell["report"].get("rows", [])}
    areas = {f"{m}, {of}": [round(rows[m, of][v], 4) for v in ("value", "low", "high")] for m, of in AREAS if rows}
    flags = [flag.partition(":")[0] for flag in cell["flags"]]
    names = ("model", "behaviour", "unit", "search", "select", "failed")
    costs = {name: cell["cost"].get(name) for name in ("forwards", "backwards", "cpu_seconds")}
    return {**{name: cell[name] for name in names}, **areas, "flags": flags, **costs}


def table(cells: Iterable[Mapping[str, Any]]) -> str:
    """Markdown: a row for each search and selection, four areas, warnings and costs."""
    lines = ["| | CPR | CMD | CPR, log k | CMD, log k | F / B |  |", "|---|---|---|---|---|---|---|"]
    for cell in cells:
        name = cell["search"] if cell["select"] == "top" else f"{cell['search']}, {cell['select']}"
        if cell["failed"]:
            lines.append(f"| {name} | failed: {cell['failed']} | | | | | |")
            continue
        areas = [cell[f"{m}, {of}"] for m, of in AREAS]
        shown = [f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, low, high in areas]
        cost = "" if cell["forwards"] is None else f"{cell['forwards']:.4g} / {cell['backwards']:.4g}"
        lines.append(f"| {name} | {' | '.join(shown)} | {cost} | {', '.join(cell['flags'])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    tiny = parser.parse_args().tiny
    plan, examples, folder = (TINY, 6, cache_folder("tiny")) if tiny else (PLAN, 20, cache_folder("searches"))
    cells = [c for m in MODELS[: 1 if tiny else 2] for c in measured(m, plan, examples, folder / f"{m}.json")]
    if not tiny:
        write_json(RESULT, {"cells": cells})
    for model, behaviour, unit in dict.fromkeys((c["model"], c["behaviour"], c["unit"]) for c in cells):
        chosen = [c for c in cells if (c["model"], c["behaviour"], c["unit"]) == (model, behaviour, unit)]
        print(f"\n#### {model}, {behaviour}, {unit}\n\n{table(chosen)}")
