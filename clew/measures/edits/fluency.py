"""Fluency: whether an edited model still writes text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log2, nan
from typing import Any

import numpy as np

from clew.evidence import half
from clew.measures.edits._edits import Prompted, control_models, mean_row, prompts_of
from clew.models import Model, Receipt
from clew.models.likelihood import likelihoods
from clew.report import Report, Row, bootstrap
from clew.stack import Stack
from clew.tables import many


def fluency(
    model: Model,
    evidence: Prompted,
    stack: Stack,
    *,
    prompts: int = 32,
    length: int = 40,
    lead: int = 12,
    controls: int = 1,
    held_out: bool | None = None,
    seed: int = 0,
) -> Report:
    """Continue prompts greedily by the unedited, the edited and a randomly edited model, and judge what they wrote.

    - perplexity: of the continuations under the unedited model: exp of the mean -log p of their tokens. Text that
      repeats itself is likely too, so read it together with
    - repetition: share of the 3-grams of a continuation that it held before.
    - n-gram entropy: mean of 2/3 and 4/3 times the entropy of its 2-grams and 3-grams, in bits; ROME's "fluency".
    - length: tokens before the end-of-text token, at most `length`.

    Args:
        evidence: its prompts are continued, of lists, Labelled and Windows the first `lead` tokens of each text.
        prompts: at most so many, continued together, so that memory is bounded by them.
        controls: random edits of the same shape, norm and positions, to average over; 0 for none.
        held_out: continue the prompts of the test half; by default of a Behaviour, and all prompts of others.
        seed: of the first random edit, and of the intervals.

    Returns: a Report with rows by "unedited", "edited" and "random", intervals over prompts. The notes hold the receipts:
        at how many positions each edit was at work, in the prompts and in what was written.
    Raises: EditDidNotFire for an edit that meets no position in any of this; ValueError for prompts without words.
    Source: Meng et al. 2022, ROME, arXiv:2202.05262 (generation entropy). Differs: n-grams of the model's tokens, not of
    words; greedy, not sampled.
    """
    if prompts < 1 or length < 1 or lead < 1:
        raise ValueError(f"prompts={prompts}, length={length}, lead={lead}: give at least 1 of each")
    texts = prompts_of(model, half(evidence, "test", held_out), prompts, lead)
    others, note = control_models(model, stack, controls, seed)
    written = {"unedited": [_written(model, model, texts, length)]}
    written["edited"] = [_written(model.edited(stack), model, texts, length)]
    if others:
        written["random"] = [_written(other, model, texts, length) for other in others]
    rows = [row for of, some in written.items() for row in _rows(of, some, texts, seed)]
    receipts = [f"edited: {receipt}" for receipt in written["edited"][0].receipts]
    notes = (
        f"{many(len(texts), 'prompt')} continued by at most {length} tokens, greedily; intervals over prompts",
        note,
        *receipts,
    )
    return Report(f"fluency of {stack.name or 'an edit'}: {model.name}", tuple(rows), notes)


@dataclass(frozen=True)
class Written:
    """What one model wrote after each prompt."""

    ids: list[list[int]]
    loss: list[float]
    """-log p of each continuation under the unedited model; 0 for an empty one."""
    receipts: tuple[Receipt, ...]


def _written(writer: Model, reader: Model, texts: Sequence[str], length: int) -> Written:
    done = writer.generate(texts, max_new_tokens=length)
    start, real = writer.tokens(texts)
    settings: Any = writer.body.module.generation_config
    ends = settings.eos_token_id
    stops = [ends] if isinstance(ends, int) else list(ends or [])
    ids = [_until(row, stops) for row in done.tokens[:, start.shape[1] :].tolist()]
    asked = [row[mask].tolist() for row, mask in zip(start, real, strict=True)]
    said = [(i, (asked[i], new)) for i, new in enumerate(ids) if new]
    loss = [0.0] * len(ids)
    for (i, _), found in zip(said, likelihoods(reader, [posed for _, posed in said]), strict=True):
        loss[i] = -found.total
    return Written(ids, loss, done.receipts)


def _until(ids: list[int], stops: Sequence[int]) -> list[int]:
    return ids[: next((at for at, token in enumerate(ids) if token in stops), len(ids))]


def _rows(of: str, some: Sequence[Written], texts: Sequence[str], seed: int) -> Iterator[Row]:
    loss = np.array([w.loss for w in some])
    count = np.array([[len(ids) for ids in w.ids] for w in some])

    def perplexity(index: np.ndarray) -> float:
        n = count[:, index].sum()
        return exp(loss[:, index].sum() / n) if n else nan

    ends, n = bootstrap(perplexity, texts, seed=seed), len(set(texts))
    yield Row("perplexity", perplexity(np.arange(len(texts))), *ends, of, examples=n)
    for measure, function in (("repetition", repetition), ("n-gram entropy", ngram_entropy), ("length", len)):
        yield mean_row(
            measure, np.mean([[function(ids) for ids in w.ids] for w in some], axis=0), of, asked=texts, seed=seed
        )


def repetition(ids: Sequence[int], n: int = 3) -> float:
    """Share of n-grams that are no new ones; not a number for fewer than n tokens.

    >>> repetition([7, 7, 7, 7])
    0.5
    """
    grams = _ngrams(ids, n)
    return 1 - len(grams) / grams.total() if grams else nan


def ngram_entropy(ids: Sequence[int]) -> float:
    """Mean of 2/3 H(2-grams) and 4/3 H(3-grams), in bits; not a number for fewer than 3 tokens.

    >>> ngram_entropy([7, 7, 7, 7])
    0.0
    """
    return (2 / 3 * _entropy(_ngrams(ids, 2)) + 4 / 3 * _entropy(_ngrams(ids, 3))) / 2


def _ngrams(ids: Sequence[int], n: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(ids[i : i + n]) for i in range(len(ids) - n + 1))


def _entropy(counts: Counter[tuple[int, ...]]) -> float:
    if not counts:
        return nan
    return abs(sum(c / counts.total() * log2(c / counts.total()) for c in counts.values()))
