"""Answers that SmolLM2-135M knows and gets wrong: led astray by three wrong examples, steered back by gated vectors.

Claim (Simhi et al. 2024, arXiv:2404.09971): a model answers some questions wrong though it knows the answer (HK+). The mean
difference between grounded answers (known, and right in the same setting) and HK+, added only where a probe says "HK+"
(dynamic), puts some of them right and harms less than adding it always (static).
Published: of Llama-2-7B's to Gemma-2-9B's known answers 16 to 24 % are lost after three wrong examples, counted in the sets
that were released.
Not the same here: everyday facts of our own tables; an answer is what the model says greedily, token for token, after
"The capital of Peru is the city of". Of the five samples at temperature 0.5 that must all be right beside the greedy answer,
each is right with the chance that the model gives that answer, so they are drawn without being written. Half of the subjects
teach, the other half are judged; each half has a pool of examples of its own for each relation, which are never asked about
there, and its own words to lie with, so no example that is judged was seen in learning. There are as many grounded answers
as HK+ of each wording, so that no probe can go by the kind of question. Beside that evidence another: the same HK+ questions
after right and after wrong examples. The learning half also chooses the scale among 1, 2 and 5, without gates, as that which
leaves most of its first 40 HK+ and 40 grounded answers right. Static is at the best 5 layers or 30 heads; dynamic only at
those whose probe is right on more than .65.
Expected here: 39 % of the known answers are lost after wrong examples, 3 % after right ones. Vectors from grounded answers
against HK+ do not repeat the claim: no layer's probe passes .65 and two heads' just do, and these put .03 right; 30 heads
without gates put .33 right and random ones .17, whose intervals overlap. Only 31 examples a side are learnt from and 30 HK+
judged. Vectors from right against wrong examples put .67 (attention, scale 2) and .60 (heads, scale 1) right with gates, .70
without, at .00 to .07 of the grounded broken; random ones .07. The gates spare answers after right examples: at scale 5 all
or nearly all are broken without them, .03 and .05 with them. On examples they never saw .92 and .89 of them open before
HK+, .07 and .17 after right examples; but as .72 and .74 open before grounded answers too, they know wrong examples more
than the wrong answer. One split and one draw of the pools; the intervals, over subjects, do not hold that.
Minutes: about 8 on one core; `--tiny` asks few. Needs clew[probes].
Writes docs/results/hallucinations.json and .md; prints the table.
"""

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import exp
from pathlib import Path

import numpy as np
import torch

import clew
from clew.data.facts.everyday import RELATIONS
from clew.data.facts.facts import answer_ids
from clew.files import write_text
from clew.models.likelihood import likelihoods
from clew.report import Row, bootstrap

RESULTS = Path(__file__).parent.parent / "docs" / "results"
ASKED = {"capital": 1, "language": 1, "kind": 2, "opposite": 2}
"""Relations, and in how many wordings."""
POOL, SHOTS = 8, 3
"""Facts of each relation and half that only serve as examples, and how many stand before a question."""
SCALES = (1.0, 2.0, 5.0)
"""Among which the learning half chooses; the last, as published, is judged beside it."""
JUDGED = 40
"""At most so many grounded answers are judged, and of those after right examples."""

JUDGEMENTS = ("HK+ put right", "grounded broken", "broken after right examples")


@dataclass(frozen=True)
class Question:
    """One fact and three ways to ask it; each prompt ends where the answer begins."""

    wording: str
    learning: bool
    """Whether it teaches, or is judged."""
    group: str
    """What stays in one half and is resampled as one: a subject in all its questions, or a pair of opposites."""
    answer: str
    first: str
    """After three right examples, to see whether it is known."""
    right: str
    """After three other right ones."""
    wrong: str
    """After the same three with wrong answers."""


def questions(each: int | None, seed: int = 0) -> Iterator[Question]:
    """All facts but those of the pools, or `each` of every wording in each half.

    A half has its own subjects, its own pool of examples for each relation and its own words to lie with.
    """
    for (relation, wordings), half in product(ASKED.items(), (0, 1)):
        templates, answers = RELATIONS[relation]
        opposite = relation == "opposite"
        # Shuffled alike, so that a country is in one half for its capital and its language.
        groups = random.Random(seed).sample(sorted(answers), len(answers))[half::2]
        truth = {b: a for a, b in answers.items()} | answers if opposite else answers
        words = random.Random(seed).sample(sorted({*truth.values()}), len({*truth.values()}))[half::2]
        asked = [(group, subject) for group in groups[POOL:] for subject in [group, answers[group]][: 1 + opposite]]
        for template in templates[:wordings]:
            rng = random.Random(f"{seed} {half} {template}")
            for group, subject in rng.sample(asked, len(asked))[:each]:
                shots = rng.sample(groups[:POOL], 2 * SHOTS)
                lies = {shot: rng.choice([w for w in words if w not in (shot, truth[shot])]) for shot in shots}
                lines = [
                    "".join(f"{template.replace('{}', shot)} {said[shot]}.\n" for shot in some)
                    for some, said in ((shots[:SHOTS], truth), (shots[SHOTS:], truth), (shots[SHOTS:], lies))
                ]
                posed = [shown + template.replace("{}", subject) for shown in lines]
                yield Question(template, half == 0, group, truth[subject], *posed)


def right(model: clew.Model, asked: Sequence[Question], way: str) -> np.ndarray:
    """Whether the model answers each right, greedily."""
    posed = [answer_ids(model.tokenizer, getattr(q, way), q.answer) for q in asked]
    return np.array([found.greedy for found in likelihoods(model, posed)], dtype=bool)


def known(model: clew.Model, asked: Sequence[Question], seed: int = 0) -> list[Question]:
    """Those answered right greedily and in five of five samples at temperature 0.5, where all logits are doubled."""
    rng = random.Random(seed)
    posed = [answer_ids(model.tokenizer, q.first, q.answer) for q in asked]
    cold = likelihoods(model.edited(clew.Scale("final", factor=2.0)), posed)
    return [
        q for q, a in zip(asked, cold, strict=True) if a.greedy and all(rng.random() < exp(a.total) for _ in range(5))
    ]


def even(grounded: Sequence[Question], lost: Sequence[Question]) -> tuple[list[str], list[str]]:
    """Prompts to learn from: of every wording as many of one side as of the other."""
    sides: tuple[list[str], list[str]] = ([], [])
    for wording in dict.fromkeys(q.wording for q in lost):
        both = [[q.wrong for q in some if q.wording == wording] for some in (grounded, lost)]
        for side, prompts in zip(sides, both, strict=True):
            side += prompts[: min(map(len, both))]
    return sides


def conditions(model: clew.Model, learnt: dict[str, tuple[list[str], list[str]]]) -> dict[str, clew.Stack]:
    """Stacks at scale 1 from each evidence: without gates at the best parts, random vectors there, and gated ones.

    The gated are fewer, or none, for a probe must be good enough.
    """
    made: dict[str, clew.Stack] = {}
    for (of, evidence), (part, heads) in product(learnt.items(), (("attention", False), ("heads", True))):
        edit = partial(clew.edit, model, evidence, by="probe_gated", heads=heads, steer=clew.Steer(scale=1.0))
        made[f"{of}: {part}, static"] = always = edit(dynamic=False)
        if heads:
            made[f"{of}: {part}, random"] = replace(always, edits=tuple(at_random(always)))
        made[f"{of}: {part}, dynamic"] = edit()
    return made


def at_random(stack: clew.Stack, seed: int = 0) -> Iterator[clew.Add]:
    """Vectors that know nothing, as long as those of the stack."""
    generator = torch.Generator().manual_seed(seed)
    for edit in stack:
        assert isinstance(edit, clew.Add)
        drawn = torch.randn(edit.vector.shape, generator=generator)
        yield replace(edit, vector=drawn * edit.vector.norm() / drawn.norm())


def choose(model: clew.Model, stack: clew.Stack, sides: Sequence[Sequence[Question]]) -> float:
    """The scale that puts most HK+ right, less the grounded that it breaks."""
    grounded, lost = sides

    def good(scale: float) -> float:
        steered = model.edited(stack.scaled(scale))
        return float(right(steered, lost, "wrong").mean() + right(steered, grounded, "wrong").mean())

    return max(SCALES, key=good)


def steering(model: clew.Model, stack: clew.Stack, ends: Mapping[str, Sequence[str]]) -> str:
    """How many parts steer, how good the best probe is, and how many gates open after prompts while nothing is moved."""
    accuracies = [*(said["accuracy"] for said in stack.about["sites"].values()), *stack.about["left_out"].values()]
    said = f"{len(stack)} steer with gates; the best probe is right on {max(accuracies):.2f} in five folds"
    for name, prompts in ends.items() if stack else ():
        receipts = model.edited(stack.scaled(0.0)).run(prompts, logits=1).receipts
        said += f"; {sum(r.fired for r in receipts) / sum(r.reached for r in receipts):.2f} of the gates open {name}"
    return said


def row(measure: str, values: np.ndarray, asked: Sequence[Question], of: str = "") -> Row:
    """A mean over questions, with an interval over their groups."""
    names, which = np.unique([q.group for q in asked], return_inverse=True)
    total, count = np.bincount(which, values), np.bincount(which)
    low, high = bootstrap(lambda i: float(total[i].sum() / count[i].sum()), len(names))
    return Row(measure, float(values.mean()), low, high, of, examples=len(values))


def table(report: clew.Report) -> str:
    """Markdown: how many answers are lost, then what each way of steering does to those judged."""
    shown = {(r.of, r.measure): r.said(".2f") for r in report.rows}
    lines = ["| of the known answers | share |", "|---|---|"]
    lines += [f"| {r.measure} | {shown[r.of, r.measure]} |" for r in report.rows if not r.of]
    lines += ["", f"| vectors from, scale | {' | '.join(JUDGEMENTS)} |", "|---" * (len(JUDGEMENTS) + 1) + "|"]
    for of in dict.fromkeys(r.of for r in report.rows if r.of):
        lines.append(f"| {of} | {' | '.join(shown[of, measure] for measure in JUDGEMENTS)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    tiny = parser.parse_args().tiny
    model = clew.open("smollm2-135m", dtype=torch.float32)
    asked = list(questions(12 if tiny else None))
    facts = known(model, asked)
    after_wrong, after_right = right(model, facts, "wrong"), right(model, facts, "right")
    rows = [
        row("wrong after three wrong examples (HK+)", ~after_wrong, facts),
        row("wrong after three right examples", ~after_right, facts),
        row("difference", after_right.astype(float) - after_wrong, facts),
    ]
    print(f"{len(facts)} of {len(asked)} known", *rows, sep="\n", flush=True)
    sides = [[q for q, fine in zip(facts, after_wrong, strict=True) if fine == good] for good in (True, False)]
    before, (grounded, lost) = ([[q for q in side if q.learning == half] for side in sides] for half in (True, False))
    learnt = {
        "grounded against HK+": even(*before),
        "right against wrong examples": ([q.right for q in before[1]], [q.wrong for q in before[1]]),
    }
    fine_after_right = [q for q, fine in zip(facts, after_right, strict=True) if fine and not q.learning]
    some, others = (random.Random(0).sample(qs, min(JUDGED, len(qs))) for qs in (grounded, fine_after_right))
    found = conditions(model, learnt)
    parts = {name.removesuffix(", static"): stack for name, stack in found.items() if name.endswith("static")}
    chosen = {part: choose(model, stack, [qs[:JUDGED] for qs in before]) for part, stack in parts.items()}
    for name, stack in found.items():
        for scale in sorted({chosen[name.rpartition(", ")[0]], SCALES[-1]}) if stack else ():
            steered = model.edited(stack.scaled(scale))
            judged = (right(steered, lost, "wrong"), ~right(steered, some, "wrong"), ~right(steered, others, "right"))
            results = zip(JUDGEMENTS, judged, (lost, some, others), strict=True)
            rows += [row(m, values, qs, f"{name}, {scale:g}") for m, values, qs in results]
            print(*rows[-3:], sep="\n", flush=True)
    ends = {
        "on judged HK+": [q.wrong for q in lost],
        "on grounded": [q.wrong for q in some],
        "after right examples": [q.right for q in others],
    }
    gated = {part: found[f"{part}, dynamic"] for part in parts}
    notes = (
        f"{len(facts)} of {len(asked)} questions are known; of these {int((~after_wrong).sum())} are HK+; intervals resample "
        f"their {len({q.group for q in facts})} groups",
        f"learnt on {len(learnt['grounded against HK+'][1])} HK+ and as many grounded answers, or on {len(before[1])} HK+ "
        f"questions after right and after wrong examples; judged on {len(lost)} HK+ and {len(some)} grounded answers, and "
        f"on {len(others)} after right examples",
        *(
            f"{part}: scale {chosen[part]:g} does best on the learning half without gates; {steering(model, stack, ends)}"
            for part, stack in gated.items()
        ),
    )
    sites = {part: stack.about["sites"] for part, stack in gated.items()}
    provenance = {"model": model.name, "weights": model.body.fingerprint, "sites": sites}
    report = clew.Report("answers known and lost", tuple(rows), notes, provenance)
    print(table(report), *notes, sep="\n")
    if not tiny:
        report.save(RESULTS / "hallucinations.json")
        head = "".join(f"- {note}.\n" for note in notes)
        write_text(RESULTS / "hallucinations.md", f"# Answers known and lost\n\n{head}\n{table(report)}")


if __name__ == "__main__":
    main()
