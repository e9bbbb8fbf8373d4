"""Likelihood: what a model thinks of answers that are given, and with which edits.

Nothing is sampled: every token is judged with the given tokens before it (teacher forcing).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from clew.changes import ActivationEdit
from clew.models.model import Model
from clew.scale.budget import at_once

Posed = tuple[Sequence[int], Sequence[int]]
"""A prompt and an answer, in token ids."""


@dataclass(frozen=True)
class Likelihood:
    """What a model thinks of one answer."""

    log_p: tuple[float, ...]
    """log p of each token of the answer, in nats, given the prompt and the tokens before it."""
    top: tuple[int, ...]
    """The most likely token in the place of each."""
    greedy: bool
    """Whether the most likely tokens are the answer."""

    @property
    def mean(self) -> float:
        """Mean log p of a token, so that answers of unequal length compare."""
        return sum(self.log_p) / len(self.log_p)

    @property
    def total(self) -> float:
        """log p of the whole answer: the sum, that is the log of the product."""
        return sum(self.log_p)


def likelihoods(model: Model, posed: Sequence[Posed]) -> list[Likelihood]:
    """How likely each answer is after its prompt, with the model's edits in force wherever they mean a position.

    The positions of an edit are those of the prompt: `Where.at(-1)` is its last token however long the answer is, and
    the answer counts as the response. Questions of one length run together and nothing is padded.

    Returns: one for each question, in their order; computed in float32 or better.
    Raises: ValueError for an empty prompt or answer, or a model that does not say what comes next.
    """
    model.body.check_causal("the likelihood of an answer")
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, (asked, answer) in enumerate(posed):
        if not len(asked) or not len(answer):
            raise ValueError(f"question {i} has {len(asked)} tokens and its answer {len(answer)}; give some of each")
        groups[len(asked), len(answer)].append(i)
    found: dict[int, Likelihood] = {}
    for (prompt, length), group in groups.items():
        rows = min(tokens_at_once(model) // length, 4096 // (prompt + length))
        for some in torch.tensor(group).split(max(1, rows)):
            ids = torch.tensor([[*posed[i][0], *posed[i][1]] for i in some.tolist()], device=model.device)
            with torch.no_grad():
                here = meeting(model, ids[:, :-1], prompt=prompt)
                logits = here.run(ids[:, :-1], logits=length, prompt=prompt).logits
            assert logits is not None
            log_p, wanted = log_softmax(logits), ids[:, prompt:]
            each, top = log_p.gather(-1, wanted[..., None])[..., 0], log_p.argmax(-1)
            for i, row, best, right in zip(
                some.tolist(), each.tolist(), top.tolist(), (top == wanted).all(-1).tolist(), strict=True
            ):
                found[i] = Likelihood(tuple(row), tuple(best), right)
    return [found[i] for i in range(len(posed))]


def tokens_at_once(model: Model, held: int = 2) -> int:
    """How many tokens may run at once so that the logits of this many models stay within the budget."""
    return at_once(
        model.body.vocabulary, copies=8 * (held + 2), most=2**30
    )  # logits come on top of all else: an eighth of it


def meeting(
    model: Model,
    tokens: Int[Tensor, "batch seq"],
    real: Bool[Tensor, "batch seq"] | None = None,
    prompt: int | None = None,
) -> Model:
    """The model without those of its edits that mean no position of these prompts, which a run would refuse."""
    idle = unmet(model.activation_edits, tokens, real, prompt)
    return replace(model, edits=tuple(e for e in model.edits if e not in idle)) if idle else model


def unmet(
    edits: Iterable[ActivationEdit],
    tokens: Int[Tensor, "batch seq"],
    real: Bool[Tensor, "batch seq"] | None = None,
    prompt: int | None = None,
) -> list[ActivationEdit]:
    """Those of the edits whose `where` means no position of these prompts."""
    real = torch.ones_like(tokens, dtype=torch.bool) if real is None else real
    prompt = tokens.shape[1] if prompt is None else prompt
    return [e for e in edits if not bool(e.where.mask(tokens, real, prompt).any())]


def log_softmax(logits: Tensor) -> Tensor:
    """In float32 or better."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
