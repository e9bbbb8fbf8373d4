"""Eleven jobs of eleven kinds, each planned and then run: how far off `clew plan` was.

Every job is a command on SmolLM2-135M of a minute or more. It is planned from small parts, then run whole, each in processes
of its own; what is compared is time from start to end, seconds of processors, and the memory of the process at most. Where
other work runs beside it, the processors' seconds alone tell much. Writes docs/results/planned_jobs.json and prints a table;
a job that is in it already is not done again. About an hour.

    python recipes/planned_jobs.py WORK [--only verify]
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from clew.files import read_any_json, write_json

RESULT = Path(__file__).parent.parent / "docs" / "results" / "planned_jobs.json"
SEEN = "--through smollm2-135m --layers 5 11 17 23 28"
JOBS = {
    "find": f"find smollm2-135m agreement/across_rc {SEEN} --examples 300 --out circuit.json",
    "find, edges": "find smollm2-135m ioi --by eap_ig_inputs --examples 200 --out edges.json",
    "find, exact": "find smollm2-135m agreement/simple --heads --by exact_patching --examples 80 --out heads.json",
    "verify": f"verify smollm2-135m agreement/across_rc circuit.json --by curve {SEEN} --examples 200",
    "bench": "bench circuits --model smollm2-135m --behaviours agreement/simple --examples 120 --out bench.json",
    "record": "record smollm2-135m wikipedia --sites resid.5 resid.11 --to store --tokens 80000",
    "train": "train store --by topk --k 32 --units 4608 --to learnt --steps 1500 --sites resid.11",
    "verify, dictionary": "verify smollm2-135m --dictionary learnt --text wikipedia --tokens 40000",
    "index": "index smollm2-135m smollm2-135m wikipedia --layers 5 11 --to index --tokens 80000",
    "explain": "explain index --units {units}",
    "atlas": f"atlas smollm2-135m wikipedia --to atlas {SEEN} --each window --positions 60000 --k 80 --otherwise resample",
}
UNITS = " ".join(f"resid.{layer}/{unit}" for layer in (5, 11) for unit in range(0, 1500, 10))
WITHIN = 240
"""Seconds of planning at most; more than the usual 120, for a machine that does other work."""
TOLD = ("seconds", "cpu", "memory")


def done(words: str, work: Path) -> dict[str, Any]:
    """What was foretold of a command, and what it took."""
    command = [
        sys.executable,
        "-m",
        "clew.apps.cli",
        "plan",
        "--go",
        "--json",
        "--within",
        str(WITHIN),
        *shlex.split(words),
    ]
    made = subprocess.run(command, cwd=work, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(made.stdout)


def row(told: dict[str, Any]) -> dict[str, Any]:
    """Of one job, its size, what each number was foretold as, what it was, and how far off that is."""
    numbers = {name: {"foretold": told[name]["value"], "took": told["took"][name]} for name in TOLD}
    for number in numbers.values():
        number["off"] = number["took"] / number["foretold"] - 1
    about = {"command": "clew " + " ".join(told["command"])[:300], "of": told["of"], "n": told["n"]}
    return {
        **about,
        **numbers,
        "trials": [{"items": one["items"]} | {n: one[n] for n in TOLD} for one in told["trials"]],
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row for each job."""
    head = [cell for name in ("time", "processors", "memory") for cell in (f"{name} foretold", "took")]
    lines = ["| " + " | ".join(["job", "of", *head]) + " |", "|---" * 8 + "|"]
    for name, one in rows.items():
        cells = [name, f"{one['n']:,} {one['of']}"]
        for what, unit, word in (("seconds", 1, "s"), ("cpu", 1, "s"), ("memory", 2**20, "MiB")):
            foretold, took, off = one[what].values()
            cells += [f"{foretold / unit:,.0f} {word}", f"{took / unit:,.0f} {word} ({off:+.0%})"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="a folder for what the jobs make")
    parser.add_argument(
        "--only", nargs="*", default=list(JOBS), help="of the jobs these, anew; what they read must be there"
    )
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    held: dict[str, Any] = read_any_json(RESULT)["jobs"] if RESULT.exists() else {}
    for job in asked.only:
        if job in held and asked.only == list(JOBS):
            continue
        held[job] = row(done(JOBS[job].format(units=UNITS), asked.work))
        ordered = {name: held[name] for name in JOBS if name in held}
        write_json(RESULT, {"model": "smollm2-135m", "cores": os.cpu_count(), "jobs": ordered})
        print(table(ordered), flush=True)
