"""Change what a model says of a subject through the inverse of a linear relation.

If z ≈ W s + b relates what is held of a subject to the answer, then s + W⁺ (z' − z) should give the answer z' of another
subject. W⁺ goes through the largest singular values only. Source: Hernandez et al. 2024, arXiv:2308.09124, section 4;
the relation itself is in clew/readings/relation.py.
"""

from __future__ import annotations

from dataclasses import replace

from clew.changes import Add
from clew.data.facts.facts import Facts
from clew.data.facts.spans import last_of
from clew.models import Model
from clew.models.tokens import with_offsets
from clew.readings.relation import fit, lines
from clew.sites import Site, Where
from clew.stack import Stack


def lre(
    model: Model,
    facts: Facts,
    *,
    layer: int,
    edit: int = 0,
    edit_layer: int | None = None,
    rank: int = 64,
    to: Site | str | None = None,
    shots: bool = True,
    dense: bool = True,
    seed: int = 0,
) -> Stack:
    """Make a model answer for one subject as it does for another of the same relation.

    Args:
        facts: of one relation, with their `old` answers. One is edited; the others are the examples from which the
            relation is learnt, and one of those must have the target as its answer.
        layer: where the subject is read; about the middle of the model.
        edit: index of the fact to edit.
        edit_layer: after which block the subject is changed; `layer` by default; the paper takes an earlier one.
        rank: how many singular values the inverse goes through.
        to: where the answer is read; the stream after the last block by default, or `final`.
        shots: show each example the other ones first.
        seed: of the random vectors with which the rank is found.
        dense: work out W as a whole; without, only as much as the rank needs, by products with it.

    Returns: a Stack of one Add at the subject's last token, wherever the subject stands.
    Raises: ValueError for facts of several relations, an index out of range, or a target that no example answers.

    >>> stack = lre(model, facts, layer=1, rank=8)
    >>> stack.name
    'France: Paris -> Rome'
    >>> print(model.edited(stack).generate("The capital of France is", max_new_tokens=1))
    The capital of France is Rome
    """
    if not 0 <= edit < len(facts):
        raise ValueError(f"edit={edit}: {facts.name} has {len(facts)} facts, counted from 0")
    if len(facts) < 2:
        raise ValueError(f"{facts.name} holds one fact; give others of the same relation, to learn it from")
    if not 1 <= rank <= (width := model.body.widths[model.body.site("embed")]):
        raise ValueError(f"rank={rank}: the stream is {width} wide")
    fact, others = facts[edit], facts.pick([i for i in range(len(facts)) if i != edit])
    models = [i for i, other in enumerate(others) if other.old.strip() == fact.target.strip()]
    if not models:
        raise ValueError(
            f"none of the other {len(others)} facts has the answer {fact.target!r}, so there is no subject "
            "to learn it from; add one that has"
        )
    relation = fit(model, others, layer=layer, to=to, rank=None if dense else rank, shots=shots, seed=seed)
    known = others[models[0]]
    apart = lines([other for other in others if other is not known]) if shots else ""  # its answer must not stand there
    s, z = relation.read(model, Facts(facts.name, (fact,)))
    _, wanted = replace(relation, before=apart).read(model, Facts(facts.name, (known,)))
    change = relation.inverse(wanted[0] - z[0], rank)
    at = model.body.site(relation.at if edit_layer is None else f"resid.{edit_layer}")
    about = {
        "relation": fact.prompt,
        "examples": len(others),
        "as": known.subject,
        "read": str(relation.at),
        "rank": rank,
        "relative change": float(change.norm() / s[0].norm()),
    }
    where = Where.phrase_end(_ids(model, fact.asked, fact.subject))
    vector = change.to(model.body.dtype)
    return Stack((Add(at, vector=vector, where=where),), f"{fact.subject}: {fact.old} -> {fact.target}", about)


def _ids(model: Model, asked: str, subject: str) -> list[int]:
    """The tokens of the subject, as they stand in the prompt."""
    last = last_of(model.tokenizer, asked, subject)
    ids, offsets = with_offsets(model.tokenizer, asked)
    start = offsets[last][1] - len(subject.strip())
    first = next(i for i, (_, end) in enumerate(offsets) if end > start)
    return ids[first : last + 1]
