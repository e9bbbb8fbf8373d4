"""Answers that SmolLM2-135M knows and gets wrong: led astray by three wrong examples, steered back by gated vectors.

Claim (Simhi et al. 2024, arXiv:2404.09971): a model answers some questions wrong though it knows the answer (HK+). The mean
difference between grounded answers (known, and right in the same setting) and HK+, added only where a probe says "HK+"
(dynamic), puts some of them right and harms less than adding it always (static).
Published: of Llama-2-7B's to Gemma-2-9B's known answers 16 to 24 % are lost after three wrong examples, counted in the sets
that were released.
Not the same here: everyday facts of our own tables; an answer is what the model says greedily, token for token, after
"The capital of Peru is the city of". Of the five samples at temperature 0.5 that must all be right beside the greedy answer,
each is right with the chance that the model gives that answer, so they are drawn without being written. Examples are of the
question's own kind and are never asked. Half of the subjects teach, the other half are judged. There are as many grounded
answers as HK+ of each wording, so that no probe can go by the kind of question. Beside that evidence another: the same HK+
questions after right and after wrong examples.
Expected here: 31 % of the known answers are lost after wrong examples, 5 % after right ones. Vectors from grounded answers
against HK+ do not repeat the claim: at scale 5 they put .10 (attention) to .15 (heads) right, as do random ones (.15), and
another split of the subjects gave .00 and .02; 43 examples a side are few and the probes weak (.73, .78 at best, of many).
Vectors from right against wrong examples put .79 (heads) to .85 (attention) right at scale 2, which was chosen among 1, 2
and 5 on such questions, at .07 to .10 of the grounded broken; random ones .10. There the gate is what saves answers after
right examples at scale 5: .55 and .72 are broken without it, .10 and .07 with it. But it knows the examples (.98, .99), not
the wrong answer.
Minutes: about 7 on one core; `--tiny` asks few. Needs clew[probes].
Writes docs/results/hallucinations.json and .md; prints the table.
"""

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import torch

import clew
from clew.data.facts import RELATIONS, answer_ids
from clew.data.likelihood import likelihoods
from clew.files import write_text
from clew.report import Row, bootstrap

RESULTS = Path(__file__).parent.parent / "docs" / "results"
ASKED = {"capital": 1, "language": 1, "kind": 2, "opposite": 2}
"""Relations, and in how many wordings."""
POOL, SHOTS = 8, 3
"""Facts of each wording that only serve as examples, and how many stand before a question."""
SCALES = (2.0, 5.0)
JUDGED = 40
"""At most so many grounded answers are judged, and of those after right examples."""

JUDGEMENTS = ("HK+ put right", "grounded broken", "broken after right examples")


@dataclass(frozen=True)
class Question:
    """One fact and three ways to ask it; each prompt ends where the answer begins."""

    wording: str
    subject: str
    group: str
    """What learning and judging are split by: the subject, or a pair of opposites."""
    answer: str
    first: str
    """After three right examples, to see whether it is known."""
    right: str
    """After three other right ones."""
    wrong: str
    """After the same three with wrong answers."""


def questions(each: int | None, seed: int = 0) -> Iterator[Question]:
    """All facts, or `each` of every wording."""
    for relation, wordings in ASKED.items():
        templates, answers = RELATIONS[relation]
        if relation == "opposite":
            answers = {b: a for a, b in answers.items()} | answers
        for template in templates[:wordings]:
            rng = random.Random(f"{seed} {template}")
            subjects = rng.sample(sorted(answers), len(answers))
            lies = {s: rng.choice(sorted({*answers.values()} - {answers[s]})) for s in subjects[:POOL]}

            def after(shots: Sequence[str], said: dict[str, str], subject: str, template: str = template) -> str:
                lines = [f"{template.replace('{}', shot)} {said[shot]}." for shot in shots]
                return "\n".join([*lines, template.replace("{}", subject)])

            for subject in subjects[POOL:][:each]:
                shots = rng.sample(subjects[:POOL], 2 * SHOTS)
                group = min(subject, answers[subject]) if relation == "opposite" else subject
                prompts = [(shots[:SHOTS], answers), (shots[SHOTS:], answers), (shots[SHOTS:], lies)]
                yield Question(template, subject, group, answers[subject], *(after(*p, subject) for p in prompts))


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
    """Stacks at scale 1 from each evidence: with gates, the same without, and random vectors of the same lengths without."""
    made: dict[str, clew.Stack] = {}
    for (of, evidence), (part, heads) in product(learnt.items(), (("attention", False), ("heads", True))):
        gated = clew.edit(model, evidence, by="probe_gated", heads=heads, scale=1.0)
        made[f"{of}: {part}, dynamic"] = gated
        made[f"{of}: {part}, static"] = always = replace(gated, edits=tuple(replace(e, gate=None) for e in gated))
        if heads:
            made[f"{of}: {part}, random"] = replace(always, edits=tuple(at_random(always)))
    return made


def at_random(stack: clew.Stack, seed: int = 0) -> Iterator[clew.Add]:
    """Vectors that know nothing, as long as those of the stack."""
    generator = torch.Generator().manual_seed(seed)
    for edit in stack:
        assert isinstance(edit, clew.Add)
        drawn = torch.randn(edit.vector.shape, generator=generator)
        yield replace(edit, vector=drawn * edit.vector.norm() / drawn.norm())


def steering(about: Mapping[str, Any]) -> str:
    """How many parts of the model steer, and how good the best probe is."""
    accuracies = [*(said["accuracy"] for said in about["sites"].values()), *about["left_out"].values()]
    return f"{len(about['sites'])} steer; the best probe is right on {max(accuracies):.2f} in five folds"


def row(measure: str, values: np.ndarray, of: str) -> Row:
    """A mean over questions with its interval."""
    low, high = bootstrap(lambda i: float(values[i].mean()), len(values))
    return Row(measure, float(values.mean()), low, high, of, examples=len(values))


def table(report: clew.Report) -> str:
    """Markdown: how many answers are lost, then what each way of steering does to those judged."""
    shown = {(r.of, r.measure): f"{r.value:.2f} [{r.low:.2f}, {r.high:.2f}]" for r in report.rows}
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
        row("wrong after three wrong examples (HK+)", ~after_wrong, ""),
        row("wrong after three right examples", ~after_right, ""),
        row("difference", after_right.astype(float) - after_wrong, ""),
    ]
    print(f"{len(facts)} of {len(asked)} known", *rows, sep="\n", flush=True)
    groups = random.Random(0).sample(names := sorted({q.group for q in facts}), len(names))
    learning = set(groups[::2])
    sides = [[q for q, fine in zip(facts, after_wrong, strict=True) if fine == good] for good in (True, False)]
    before, after = ([[q for q in side if (q.group in learning) == half] for side in sides] for half in (True, False))
    learnt = {
        "grounded against HK+": even(*before),
        "right against wrong examples": ([q.right for q in before[1]], [q.wrong for q in before[1]]),
    }
    grounded, lost = after
    fine_after_right = [q for q, fine in zip(facts, after_right, strict=True) if fine and q.group not in learning]
    some, others = (random.Random(0).sample(qs, min(JUDGED, len(qs))) for qs in (grounded, fine_after_right))
    found = conditions(model, learnt)
    for (name, stack), scale in product(found.items(), SCALES[-1:] if tiny else SCALES):
        steered = model.edited(stack.scaled(scale))
        judged = (right(steered, lost, "wrong"), ~right(steered, some, "wrong"), ~right(steered, others, "right"))
        rows += [row(m, values, f"{name}, {scale:g}") for m, values in zip(JUDGEMENTS, judged, strict=True)]
        print(*rows[-3:], sep="\n", flush=True)
    dynamic = {name: stack.about for name, stack in found.items() if name.endswith("dynamic")}
    notes = (
        f"{len(facts)} of {len(asked)} questions are known; of these {int((~after_wrong).sum())} are HK+",
        f"learnt on {len(learnt['grounded against HK+'][1])} HK+ and as many grounded answers, or on {len(before[1])} HK+ "
        f"questions after right and after wrong examples; judged on {len(lost)} HK+ and {len(some)} grounded answers, and "
        f"on {len(others)} after right examples",
        *(f"{name}: {steering(about)}" for name, about in dynamic.items()),
    )
    sites = {name: about["sites"] for name, about in dynamic.items()}
    provenance = {"model": model.name, "weights": model.body.fingerprint, "sites": sites}
    report = clew.Report("answers known and lost", tuple(rows), notes, provenance)
    print(table(report), *notes, sep="\n")
    if not tiny:
        report.save(RESULTS / "hallucinations.json")
        head = "".join(f"- {note}.\n" for note in notes)
        write_text(RESULTS / "hallucinations.md", f"# Answers known and lost\n\n{head}\n{table(report)}")


if __name__ == "__main__":
    main()
