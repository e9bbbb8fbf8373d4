"""The prompts of a fact in tokens, and where in them its subject ends: what the editors of facts run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.data.facts.facts import Fact, answer_ids, subject_last
from clew.data.facts.spans import token_of
from clew.models import Model
from clew.models.likelihood import meeting
from clew.models.tokens import ids_of
from clew.models.tokens import padded as side_by_side
from clew.sites import Site

SEEDS = ("The", "Therefore", "Because", "I", "You")
"""Words that prefixes start with."""
TOKENS = 1024
"""How many tokens run at once."""


@dataclass(frozen=True)
class Question:
    """One prompt with all of its answer but the last token."""

    ids: tuple[int, ...]
    subject: int
    """Where the last token of the subject is."""
    answer: tuple[int, ...]


def prefixes(model: Model, n: int, *, seed: int = 0) -> tuple[str, ...]:
    """The empty prefix, and n that the model writes itself, half of 5 and half of 10 tokens, each ended by a full stop.

    Sampled after the words in SEEDS in turn, at temperature 1.
    """
    if n < 0:
        raise ValueError(f"contexts={n}: give the number of prefixes, 0 for the bare prompt alone")
    generator, written = torch.Generator().manual_seed(seed), [""]
    for i, length in enumerate([5] * ((n + 1) // 2) + [10] * (n // 2)):
        tokens = model.tokens(SEEDS[i % len(SEEDS)])[0]
        for _ in range(length):
            with torch.no_grad():
                logits = model.run(tokens, logits=1).logits
            assert logits is not None
            drawn = torch.multinomial(logits[0].double().softmax(-1).cpu(), 1, generator=generator)
            tokens = torch.cat([tokens, drawn.to(tokens)], dim=1)
        text = " ".join(str(model.tokenizer.decode(tokens[0], skip_special_tokens=True)).split())
        written.append(f"{text.replace('{}', '').rstrip('.')}. ")
    return tuple(written)


def asked_after(model: Model, fact: Fact, before: Sequence[str]) -> list[Question]:
    """The fact's prompt after each prefix, with its target."""
    found = []
    for prefix in before:
        prompt, answer = answer_ids(model.tokenizer, prefix + fact.asked, fact.target)
        at = subject_last(model.tokenizer, fact, prefix)
        found.append(Question((*prompt, *answer[:-1]), at, tuple(answer)))
    return found


def subjects_alone(model: Model, fact: Fact, before: Sequence[str]) -> list[Question]:
    """The same prompts as far as the subject's last token: no token after it changes what is read there."""
    return [Question(r.ids[: r.subject + 1], r.subject, ()) for r in asked_after(model, fact, before)]


def at_subjects(model: Model, rows: Sequence[Question], *sites: Site) -> dict[Site, Float[Tensor, "row d"]]:
    """What the sites hold at the subject's last token of each row, float64 on the CPU."""
    found: dict[Site, list[Tensor]] = {site: [] for site in sites}
    for some in _chunks(rows):
        tokens, real, at = padded(model, some)
        with torch.no_grad():
            trace = meeting(model, tokens, real).run(tokens, real=real, read=sites, logits=0)
        for site in sites:
            found[site].append(trace[site][at].double().cpu())
    return {site: torch.cat(parts) for site, parts in found.items()}


def neutral(model: Model, fact: Fact) -> Question:
    """ "{subject} is a", as far as the subject's last token."""
    subject = fact.subject.strip()
    text = f"{subject} is a"
    at = token_of(model.tokenizer, text, len(subject) - 1)
    return Question(tuple(ids_of(model.tokenizer, text)[: at + 1]), at, ())


def padded(
    model: Model, rows: Sequence[Question]
) -> tuple[Int[Tensor, "row seq"], Bool[Tensor, "row seq"], Bool[Tensor, "row seq"]]:
    """Ids, padded on the left; which are real; and where the subjects end."""
    tokens, real = side_by_side([row.ids for row in rows])
    at = torch.zeros_like(real)
    for i, row in enumerate(rows):
        at[i, row.subject - len(row.ids)] = True
    return tokens.to(model.device), real.to(model.device), at.to(model.device)


def _chunks(rows: Sequence[Question]) -> list[list[Question]]:
    """Runs of rows, in order, of at most TOKENS tokens with their padding (but one row)."""
    made: list[list[Question]] = []
    for row in rows:
        longest = max([len(row.ids), *(len(r.ids) for r in made[-1])]) if made else 0
        if made and longest * (len(made[-1]) + 1) <= TOKENS:
            made[-1].append(row)
        else:
            made.append([row])
    return made
