"""The relation files of Hernandez et al. 2024 (arXiv:2308.09124): prompt templates, and (subject, object) samples."""

from __future__ import annotations

import random
from typing import Any

from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.files import Rows, skipped
from clew.data.behaviours.generated import exchanged, generated


def matches(rows: Rows) -> bool:
    return {"prompt_templates", "samples"} <= rows[0].keys()


def lre(rows: Rows, *, name: str, model: Any = None, seed: int = 0, shots: int = 4, template: int = 0) -> Behaviour:
    """Questions in the file's words after `shots` examples, the same in all; the patch prompt asks of another subject.

    Each subject is asked for once; a tokenizer chooses it a partner of its own length.

    Args: template: which of the file's prompt templates.
    """
    relation, rng = rows[0], random.Random(seed)
    templates = relation["prompt_templates"]
    if not 0 <= template < len(templates):
        raise ValueError(f"{name} has {len(templates)} templates, 0 to {len(templates) - 1}; template is {template}")
    samples = relation["samples"]
    facts = {sample["subject"]: sample["object"] for sample in rng.sample(samples, len(samples))}
    if len(facts) < shots + 2:
        raise ValueError(f"{name} has {len(facts)} subjects, too few for {shots} examples and a pair; give fewer shots")
    ask = templates[template].format
    subjects = list(facts)
    examples = "".join(f"{ask(subject)} {facts[subject]}\n" for subject in subjects[:shots])
    asked = {subject: facts[subject] for subject in subjects[shots:]}
    candidates = exchanged(asked, lambda subject: examples + ask(subject), rng)
    n = max(len(asked), 200)  # more than there are, so that short files try every partner
    behaviour = generated(name, candidates, description=relation.get("name", ""), model=model, n=n, seed=seed)
    return skipped(behaviour, len(asked) - len(behaviour), "no partner of their length, or no one-token object")
