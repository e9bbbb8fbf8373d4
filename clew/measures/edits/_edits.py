"""What measures of edits share: random edits of the same size as a control, prompts of any evidence, means and intervals."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from math import nan

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clew.changes import ActivationEdit, Add, Edit, Project, Update
from clew.data.behaviours.behaviour import Behaviour
from clew.data.facts.facts import Facts
from clew.data.facts.secrets import Secrets
from clew.data.labels.labelled import Labelled
from clew.data.text.lists import Texts
from clew.data.text.windows import Windows
from clew.evidence import Prompt
from clew.models import Model
from clew.models.tokens import ids_of, in_words, text_of
from clew.report import Row, bootstrap
from clew.stack import Stack


class NoTwin(ValueError):
    """An edit has no random edit of its size, so there is no control."""


def random_twin(model: Model, stack: Stack, seed: int) -> Stack:
    """A stack of the same shape that knows nothing: what any change of this size would do.

    An `Add` gets a random direction of the same norm (in each row, where it has several), an `Update` random factors of
    the same rank whose product has the same Frobenius norm, a `Project` as many random directions, and any other edit of
    some units as many other units. Positions, gates and strengths stay.

    Raises: NoTwin for an edit of a whole site that is none of these.
    """
    generator = torch.Generator().manual_seed(seed)
    edits = tuple(_twin(model, edit, generator) for edit in stack)
    return Stack(edits, f"random edits like {stack.name}", {"seed": seed})


def _twin(model: Model, edit: Edit, generator: torch.Generator) -> Edit:
    if isinstance(edit, Add):
        return replace(edit, vector=_like(edit.vector, generator))
    if isinstance(edit, Project):
        return replace(edit, directions=_like(edit.directions, generator))
    if isinstance(edit, Update):
        left, right = (None if f is None else _gaussian(f, generator) for f in (edit.left, edit.right))
        assert left is not None
        size = product_norm(edit.left, edit.right) / product_norm(left, right)
        return replace(edit, left=left * size, right=right)
    if isinstance(edit, ActivationEdit) and edit.units is not None and edit.basis != "error":
        site = model.body.site(edit.at)
        width = model.body.widths[site] if edit.basis == "value" else model.dictionaries[site].n_units
        others = sorted(set(range(width)) - set(edit.units))
        if len(others) >= len(edit.units):
            chosen = torch.randperm(len(others), generator=generator)[: len(edit.units)].tolist()
            return replace(edit, units=tuple(others[i] for i in chosen))
    raise NoTwin(f"{edit} has no random edit of the same size; a direction, factors or some of many units have one")


def _gaussian(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.device)


def _like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Random directions in float64, each row as long as that of x."""
    drawn = _gaussian(x, generator)
    return drawn * (x.double().norm(dim=-1, keepdim=True) / drawn.norm(dim=-1, keepdim=True))


def product_norm(left: Float[Tensor, "out rank"], right: Float[Tensor, "rank in"] | None) -> float:
    """Frobenius norm of left @ right (of left alone without right), from the factors: tr(left^T left right right^T)."""
    left = left.double()
    if right is None:
        return float(left.norm())
    right = right.double()
    return float(((left.T @ left) * (right @ right.T)).sum().clamp(min=0).sqrt())


def random_twins(model: Model, stack: Stack, n: int, seed: int) -> tuple[list[Stack], str]:
    """n random twins of a stack and a sentence for the notes; none, and why, where it has no twin."""
    if n < 0:
        raise ValueError(f"controls={n}: give the number of random edits to compare with, 0 for none")
    if not n:
        return [], "without a control, as controls=0 says"
    try:
        twins = [random_twin(model, stack, seed + i) for i in range(n)]
    except NoTwin as error:
        return [], f"without a control: {error}"
    said = f"mean of {n} random edits" if n > 1 else "a random edit"
    return twins, f"random: {said} of the same shape, norm and positions; seeds from {seed}"


def control_models(model: Model, stack: Stack, n: int, seed: int) -> tuple[list[Model], str]:
    """The model under each of n random twins of the stack, and that sentence."""
    twins, note = random_twins(model, stack, n, seed)
    return [model.edited(twin) for twin in twins], note


def mean_row(
    measure: str, values: Sequence[float] | np.ndarray, of: str, *, asked: Sequence[Hashable] | None = None, seed: int
) -> Row:
    """The mean over examples, without those that are not a number, and its interval.

    Args: asked: the prompt of each, by which copies of one prompt are known; all are different by default.
    """
    every = np.asarray(values, dtype=float)
    finite = np.flatnonzero(np.isfinite(every))
    if not len(finite):
        return Row(measure, nan, nan, nan, of)
    known, prompts = every[finite], [i if asked is None else asked[i] for i in finite.tolist()]
    low, high = bootstrap(lambda i: float(known[i].mean()), prompts, seed=seed)
    return Row(measure, float(known.mean()), low, high, of, examples=len(set(prompts)))


Prompted = Behaviour | Facts | Labelled | Secrets | Texts | Windows
"""Evidence whose prompts, or the first tokens of whose texts, can be continued."""


def prompts_of(model: Model, evidence: Prompted, n: int, lead: int) -> list[str]:
    """At most n prompts of any evidence: what is asked, or the first `lead` tokens of a running text.

    Raises: ValueError for evidence that holds no text.
    """
    asked = evidence.asked()[:n]
    if not evidence.running and not all(map(in_words, asked)):
        raise ValueError(f"{evidence!r} holds no prompts in words to be continued; give texts, facts or a behaviour")
    texts = [_cut(model, lead, p) if evidence.running else text_of(model.tokenizer, p) for p in asked]
    if not texts or not all(texts):
        raise ValueError(f"{evidence!r} holds no prompts in words to be continued; give texts, facts or a behaviour")
    return texts


def _cut(model: Model, lead: int, text: Prompt) -> str:
    return str(model.tokenizer.decode(ids_of(model.tokenizer, text)[:lead], skip_special_tokens=True))
