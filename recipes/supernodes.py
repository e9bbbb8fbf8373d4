"""Supernodes of SmolLM2-135M: do groups of features that are wired alike act as one, and as their scores predict?

Circuits of features at every fourth residual site (the pack's dictionaries), found by integrated gradients, wired, and
grouped by the signed edges of their nodes; on prompts that nothing was found on each group is ablated as a whole, and one
half of it stands in for the other, beside random groups of the same sizes at the same sites (`supernodes` of the measures).
Expected: groups do what is predicted more often than random ones of equal size, if wiring tells what belongs together.
Writes docs/results/supernodes.json and prints a table. About ten minutes on a quiet machine.
"""

import argparse
from pathlib import Path
from typing import Any

import clew
from clew.circuits.grouping import grouped
from clew.files import jsonable, write_json
from clew.progress import Progress

RESULT = Path(__file__).parent.parent / "docs" / "results" / "supernodes.json"
BEHAVIOURS = ("agreement/simple", "agreement/across_rc", "ioi")
SIMILAR = (0.7,)
REPEATS = 2


def measured(view: clew.Model, name: str, nodes: int, examples: int, draws: int) -> list[dict[str, Any]]:
    """What came of the groups of one behaviour's circuit, at each similarity."""
    task = clew.Behaviour.load(name, model=view, n=2 * examples).filter(view)
    found = clew.find(view, task, steps=5, progress=Progress(f"{name}: nodes"))
    units = found.keep(found.unit >= 0).top(nodes)
    wired = clew.find(view, task, units, by="edges", examples=examples, progress=Progress(f"{name}: edges"))
    rows: list[dict[str, Any]] = []
    for similar in SIMILAR:
        circuit = grouped(wired, similar=similar)
        row: dict[str, Any] = {
            "behaviour": name,
            "nodes": len(wired),
            "similar": similar,
            "groups": len(circuit.supernodes),
        }
        if circuit.supernodes:
            said = Progress(f"{name}: groups of {similar}")
            report = clew.verify(view, task, circuit, by="supernodes", draws=draws, repeats=REPEATS, progress=said)
            row |= {"members": sum(len(node.members) for node in circuit.supernodes)}
            row |= {
                f"{r.measure}, {r.of.split(maxsplit=1)[1]}": r.value for r in report.rows if r.of.endswith("groups")
            }
            row |= {
                "tests": [[r.measure, r.of, r.value, r.low, r.high] for r in report.rows if not r.of.endswith("groups")]
            }
        rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a row for each behaviour and similarity."""
    lines = [
        "| behaviour | nodes | similar | groups (members) | within 20 % | random | kept | random | accepted | random |"
    ]
    lines.append("|---|" + "---|" * 9)
    for row in rows:
        pairs = [
            f"{row.get(f'{name}, {of}') or 0:.2f}"
            for name in ("within", "kept", "accepted")
            for of in ("groups", "random groups")
        ]
        said = [row["behaviour"], row["nodes"], row["similar"], f"{row['groups']} ({row.get('members', 0)})", *pairs]
        lines.append("| " + " | ".join(map(str, said)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="one behaviour, few nodes and prompts")
    tiny = parser.parse_args().tiny
    model = clew.open("smollm2-135m")
    view = model.through(*clew.Dictionary.load("smollm2-135m")[3:24:4])
    found: list[dict[str, Any]] = []
    for name in BEHAVIOURS[: 1 if tiny else None]:
        found += measured(view, name, *((15, 6, 1) if tiny else (50, 8, 2)))
        print(table(found), flush=True)
        if not tiny:
            write_json(RESULT, jsonable({"model": "smollm2-135m", "rows": found}))
