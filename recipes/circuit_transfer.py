"""Circuits carried between models: from SmolLM2-135M to Gemma-3-270M, on indirect object identification.

Claim: differentiable faithfulness alignment (DFA, published June 2026) carries a circuit of heads and MLPs from a small
model to a larger one. Published, Llama 1B to 3B, CPR: attribution on the target .38, DFA in distribution .38, zero-shot
.44, random .25; in most larger pairs it recovers about a third.
Expected here: in distribution the source adds nothing, for a scrambled source fits as well (only the rows of W are dealt
otherwise); zero-shot the source counts only as far as it beats its scrambled self and the source circuits of the other
behaviours; attribution on the target itself, one or ten backwards, is the bar.
W of "zero-shot" is fitted on two other behaviours. Circuits are found on one half of the prompts, judged on the other.
Minutes: about 15 on two quiet cores. `--tiny` takes few prompts, one epoch and three of the rows.
Writes docs/results/circuit_transfer.json; prints the table.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import clew
from clew.methods.transfer.faithfulness_alignment import scrambled

RESULT = Path(__file__).parent.parent / "docs" / "results" / "circuit_transfer.json"
TASK, OTHERS = "ioi", ("agreement/across_pp", "pronouns/names")
SIZES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares of the target's 90 heads and MLPs: from one to all."""
MEASURES = ("CPR", "CMD", "CPR over log k", "CMD over log k")


def posed(name: str, model: clew.Model, pairs: int) -> clew.Behaviour:
    """A behaviour as this model's tokenizer poses it, where the model knows the answer."""
    return clew.Behaviour.load(name, model=model, n=4 * pairs).filter(model).first(pairs)


def attributed(model: clew.Model, task: clew.Behaviour, steps: int = 5) -> clew.Circuit:
    """Node attribution patching along a path of embeddings."""
    return clew.find(model.components(), task, by="integrated_gradients_inputs", positions=False, steps=steps)


def rankings(source: clew.Model, target: clew.Model, pairs: int, epochs: int) -> dict[str, Callable[[], clew.Circuit]]:
    """How each row of the table comes to its scores of the target's nodes."""
    task = posed(TASK, target, pairs)
    there = attributed(source, posed(TASK, source, pairs))
    direct = attributed(target, task)
    others = {name: attributed(source, posed(name, source, pairs)) for name in OTHERS}
    lessons = [(posed(name, target, pairs).train, circuit) for name, circuit in others.items()]

    def aligned(circuit: clew.Circuit, epochs: int = epochs, on: list | None = None) -> clew.Circuit:
        return clew.find(target, task, circuit, by="faithfulness_alignment", epochs=epochs, on=on)

    return {
        "attribution on the target, along a path": lambda: direct,
        "attribution on the target, one backward": lambda: attributed(target, task, steps=1),
        "DFA, in distribution": lambda: aligned(there),
        "DFA, in distribution, scrambled source": lambda: aligned(scrambled(there)),
        "DFA, zero-shot": lambda: aligned(there, on=lessons),
        "DFA, zero-shot, scrambled source": lambda: aligned(scrambled(there), on=lessons),
        **{
            f"DFA, zero-shot, source of {name}": lambda circuit=circuit: aligned(circuit, on=lessons)
            for name, circuit in others.items()
        },
        "mean of the layer at the same depth": lambda: clew.find(target, task, there, by="transfer_by_depth"),
        "random W": lambda: aligned(there, epochs=0),
        "attribution on the target, dealt anew": lambda: scrambled(direct),
    }


def judged(
    target: clew.Model, task: clew.Behaviour, found: dict[str, Callable[[], clew.Circuit]]
) -> Iterator[tuple[str, clew.Report]]:
    """The areas of every ranking, on the half of the prompts that found none of them."""
    for name, circuit in found.items():
        report = clew.verify(target.components(), task, circuit(), by="areas", sizes=SIZES)
        print(f"{name}\n{report}\n", flush=True)
        yield name, report


def table(reports: dict[str, clew.Report]) -> str:
    """Markdown: a row for each ranking and for no signal; in each cell signed / absolute."""
    lines = ["| scores | " + " | ".join(MEASURES) + " |", "|---" * (len(MEASURES) + 1) + "|"]
    for name, report in reports.items():
        value = {(r.measure, r.of): r.value for r in report.rows}
        cells = [f"{value[m, 'signed']:.2f} / {value[m, 'absolute']:.2f}" for m in MEASURES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    last = {r.measure: r.value for r in next(iter(reports.values())).rows if r.of == "no signal"}
    return "\n".join([*lines, "| no signal | " + " | ".join(f"{last[m]:.2f}" for m in MEASURES) + " |"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    tiny = parser.parse_args().tiny
    source, target = clew.open("smollm2-135m"), clew.open("gemma3-270m")
    pairs = 4 if tiny else 80
    found = rankings(source, target, pairs, epochs=1 if tiny else 3)
    if tiny:
        found = {name: found[name] for name in ("DFA, in distribution", "DFA, zero-shot", "random W")}
    reports = dict(judged(target, posed(TASK, target, pairs), found))
    if not tiny:
        rows = [replace(r, of=f"{name}: {r.of}") for name, report in reports.items() for r in report.rows]
        clew.Report(f"{TASK}: {source.name} to {target.name}", tuple(rows)).save(RESULT)
    print(table(reports))
