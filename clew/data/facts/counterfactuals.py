"""How a relation becomes counterfactuals: another subject's answer as what the model shall say."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

from clew.data.facts.facts import Fact
from clew.files import check_whole, entries, entry

NEIGHBOURS = 4
"""How many neighbours a fact made from a relation has at most."""
SAMPLE = ("subject", "object")


def counterfactuals(templates: Sequence[str], answers: Mapping[str, str], *, seed: int = 0) -> list[Fact]:
    """A fact for two thirds of the subjects of a relation, with another subject's answer as the target.

    The remaining third are the neighbours. Whether a subject is a neighbour follows from its name and the seed alone,
    so one that two relations share is a neighbour in both.

    Args: templates: prompts with {}; the first asks, the others are paraphrases.
    Raises: ValueError when all subjects have one answer.
    """
    if len(set(answers.values())) < 2 and answers:
        raise ValueError(
            f"all subjects of {templates[0]!r} have the answer {next(iter(answers.values()))!r}; there is "
            "nothing else to say of them"
        )
    rng = random.Random(f"{seed} {templates[0]}")
    kept = {subject: answer for subject, answer in answers.items() if not _is_neighbour(subject, seed)}
    beside = [(templates[0].replace("{}", s), answer) for s, answer in answers.items() if s not in kept]
    made = []
    for subject, old in kept.items():
        target = rng.choice(sorted(set(answers.values()) - {old}))
        near = [(asked, answer) for asked, answer in beside if answer != target]
        paraphrases = tuple(t.replace("{}", subject) for t in templates[1:])
        near = tuple(rng.sample(near, min(NEIGHBOURS, len(near))))
        made.append(Fact(templates[0], subject, target, old, paraphrases, near))
    return made


def _is_neighbour(subject: str, seed: int) -> bool:
    return hashlib.sha256(f"{seed} {subject}".encode()).digest()[0] % 3 == 0


# The relation files of Hernandez et al. 2024 (arXiv:2308.09124), which behaviours and facts are made of.


def templates_of(relation: Mapping[str, Any], origin: str, name: str = "prompt_templates") -> list[str]:
    """Its prompts, each with one {} where the subject goes. Raises: ValueError for any other."""
    found = entries(relation, name, str, origin=origin)
    for i, template in enumerate(found):
        if template.count("{}") != 1:
            raise ValueError(f"{origin}: {name}[{i}] is {template!r}; it needs one {{}} where the subject goes")
    return found


def samples_of(relation: Mapping[str, Any], origin: str) -> list[tuple[str, str]]:
    """Its subjects and their objects. Raises: ValueError for an entry that is no such pair of texts."""
    listed = enumerate(entries(relation, "samples", dict, origin=origin))
    places = [(held, f"{origin}: samples[{i}]") for i, held in listed]
    for held, place in places:
        check_whole(held, SAMPLE, place)
    return [
        (entry(held, "subject", str, origin=place), entry(held, "object", str, origin=place)) for held, place in places
    ]
