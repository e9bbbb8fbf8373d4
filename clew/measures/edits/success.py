"""Success: whether an edit of facts does what it is for, also in other words, and leaves its neighbours alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, nan
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from clew.data.facts.facts import Facts, answer_ids
from clew.evidence import Prompt
from clew.measures.edits._edits import control_models, mean_row
from clew.models import EditDidNotFire, Model
from clew.models.likelihood import Likelihood, Posed, likelihoods, unmet
from clew.report import Report, Row, bootstrap
from clew.stack import Stack

PARTS_OF_SCORE = ("efficacy", "generalisation", "right at neighbours")


def success(model: Model, facts: Facts, stack: Stack, *, controls: int = 1, seed: int = 0) -> Report:
    """Efficacy, generalisation and specificity of an edit: before it, after it, and after a random one of its size.

    With p of an answer the product over its tokens, each given those before it, and "more likely" by the mean log p of
    a token (the two agree for answers of one token):

    - efficacy: share of facts whose target is more likely than the old answer. Also "greedy": share whose target is
      said token for token; "p(target)"; "log p(target)", the mean of a token, in nats.
    - generalisation: share of a fact's paraphrases where the target is more likely. Also "greedy in paraphrases" and
      "p(target) in paraphrases".
    - specificity: share of a fact's neighbours whose most likely tokens, in the place of the right answer, are those
      from before the edit; so 1 before. "right at neighbours": share whose right answer is more likely than the
      target, which CounterFact calls neighbourhood success. "bleed": p(target) at the neighbours.
    - score: harmonic mean of efficacy, generalisation and right at neighbours, as CounterFact has it.

    Args:
        controls: random edits of the same shape and size, to average over; 0 for none.
        seed: of these, and of the intervals.

    Returns: a Report with a row of each by "before", "after" and "random"; a fact's paraphrases and neighbours are
        averaged first, and intervals are over facts. Costs: 2 + controls short runs for every prompt.
    Raises: ValueError for a fact without an old answer; EditDidNotFire for an edit that meets none of the prompts.
    Source: Meng et al. 2022, ROME, arXiv:2202.05262, section 3.3. Differs: "specificity" asks whether anything changed.

    >>> facts = Facts.one("The capital of {} is", "France", "Rome", "Paris")
    >>> report = success(model, facts, clew.edit(model, facts, by="rome", layer=1, text=text))
    >>> {row.of: row.value for row in report.rows if row.measure == "efficacy"}
    {'before': 0.0, 'after': 1.0, 'random': 0.0}
    """
    if bare := [fact.asked for fact in facts if not fact.old]:
        raise ValueError(
            f"{bare[0]!r} has no `old` answer to compare the target with; give one, as in Fact(old='Paris')"
        )
    posed, questions = _questions(model, facts)
    after = model.edited(stack)
    _check_met(after, [posed[q.wanted] for q in questions if q.kind == "asked"])
    others, note = control_models(model, stack, controls, seed)
    reference = likelihoods(model, posed)

    def columns(*runs: list[Likelihood]) -> dict[str, np.ndarray]:
        tables = [_columns(said, reference, questions, len(facts)) for said in runs]
        return {measure: np.mean([table[measure] for table in tables], axis=0) for measure in tables[0]}

    tables = {"before": columns(reference), "after": columns(likelihoods(after, posed))}
    tables |= {"random": columns(*(likelihoods(other, posed) for other in others))} if others else {}
    asked = facts.asked()
    rows = [
        mean_row(measure, table[measure], of, asked=asked, seed=seed)
        for measure in tables["before"]
        for of, table in tables.items()
    ]
    rows += [_score(table, of, asked, seed) for of, table in tables.items()]
    missing = [what for what in ("paraphrases", "neighbours") if not any(getattr(fact, what) for fact in facts)]
    notes = (
        f"{len(facts)} fact{'s' * (len(facts) > 1)}; 'more likely' is by the mean log p of a token, and p of an answer is "
        "the product over its tokens",
        "score: harmonic mean of efficacy, generalisation and right at neighbours (CounterFact); intervals over facts",
        note,
        *(f"no fact has {what}: what is said of them is not a number, and neither is the score" for what in missing),
    )
    return Report(
        f"success of {stack.name or 'an edit'} on {facts.name}: {model.name}", tuple(rows), notes, {"facts": facts.hash}
    )


Kind = Literal["asked", "paraphrase", "neighbour"]


@dataclass(frozen=True)
class Question:
    """Two answers to one prompt, as indices of what was posed."""

    kind: Kind
    fact: int
    wanted: int
    """The target; the right answer of a neighbour."""
    other: int
    """The old answer; the target where a neighbour is asked."""


def _questions(model: Model, facts: Facts) -> tuple[list[Posed], list[Question]]:
    posed: list[Posed] = []
    questions: list[Question] = []
    for i, fact in enumerate(facts):
        prompts: list[tuple[Kind, str, str, str]] = [("asked", fact.asked, fact.target, fact.old)]
        prompts.extend(("paraphrase", prompt, fact.target, fact.old) for prompt in fact.paraphrases)
        prompts.extend(("neighbour", prompt, right, fact.target) for prompt, right in fact.neighbours)
        for kind, prompt, wanted, other in prompts:
            questions.append(Question(kind, i, len(posed), len(posed) + 1))
            posed += [answer_ids(model.tokenizer, prompt, answer) for answer in (wanted, other)]
    return posed, questions


def _check_met(model: Model, asked: Sequence[Posed]) -> None:
    """Raises: EditDidNotFire if an edit would do nothing to what was to be edited."""
    idle = model.activation_edits
    for prompt, answer in asked:
        idle = unmet(idle, torch.tensor([[*prompt, *answer[:-1]]]), prompt=len(prompt))
    if idle:
        raise EditDidNotFire(
            f"{idle[0]} meets none of the {len(asked)} prompts that were to be edited; check its positions"
        )


def _columns(
    said: Sequence[Likelihood], reference: Sequence[Likelihood], questions: Sequence[Question], n: int
) -> dict[str, Float[np.ndarray, " fact"]]:
    """Each measure by fact; not a number for a fact that has no such prompts."""
    sums, counts = defaultdict(lambda: np.zeros(n)), defaultdict(lambda: np.zeros(n))
    for q in questions:
        wanted, other = said[q.wanted], said[q.other]
        first = float(wanted.mean > other.mean)
        if q.kind == "neighbour":
            same = wanted.top == reference[q.wanted].top
            values = {"specificity": float(same), "right at neighbours": first, "bleed": exp(other.total)}
        else:
            share, where = ("efficacy", "") if q.kind == "asked" else ("generalisation", " in paraphrases")
            values = {share: first, f"greedy{where}": float(wanted.greedy), f"p(target){where}": exp(wanted.total)}
            if q.kind == "asked":
                values["log p(target)"] = wanted.mean
        for measure, value in values.items():
            sums[measure][q.fact] += value
            counts[measure][q.fact] += 1
    return {
        measure: np.where(counts[measure] > 0, total / np.maximum(counts[measure], 1), np.nan)
        for measure, total in sums.items()
    }


def _score(table: Mapping[str, np.ndarray], of: str, asked: Sequence[Prompt], seed: int) -> Row:
    """The harmonic mean of three means over facts, with facts drawn for all three together."""
    if not all(part in table for part in PARTS_OF_SCORE):
        return Row("score", nan, nan, nan, of)
    parts = np.stack([table[part] for part in PARTS_OF_SCORE])

    def score(index: np.ndarray) -> float:
        drawn = parts[:, index]
        known = np.isfinite(drawn)
        if not known.any(1).all():
            return float("nan")
        means = np.where(known, drawn, 0).sum(1) / known.sum(1)
        return 3 / float((1 / means).sum()) if means.all() else 0.0

    low, high = bootstrap(score, asked, seed=seed)
    return Row("score", score(np.arange(parts.shape[1])), low, high, of, examples=len(set(asked)))
