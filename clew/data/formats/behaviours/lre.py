"""The relation files of Hernandez et al. 2024 (arXiv:2308.09124): prompt templates, and (subject, object) samples."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.files import Rows, skipped
from clew.data.behaviours.generated import exchanged, generated
from clew.data.facts.counterfactuals import samples_of, templates_of
from clew.files import entry


def matches(rows: Rows) -> bool:
    return {"prompt_templates", "samples"} <= rows[0].keys()


def lre(rows: Rows, *, name: str, model: Any = None, seed: int = 0, shots: int = 4, template: int = 0) -> Behaviour:
    """Questions in the file's words after `shots` examples, the same in all; the patch prompt asks of another subject.

    Each subject is asked for once; a tokenizer chooses it a partner of its own length.

    Args: template: which of the file's prompt templates.
    """
    rng, (relation, *more) = random.Random(seed), rows
    if more:
        raise ValueError(f"{name} holds {len(rows)} records; a relation is one")
    templates, samples = templates_of(relation, name), samples_of(relation, name)
    if not 0 <= template < len(templates):
        raise ValueError(f"{name} has {len(templates)} templates, 0 to {len(templates) - 1}; template is {template}")
    facts = dict(rng.sample(samples, len(samples)))
    if len(facts) < shots + 2:
        raise ValueError(f"{name} has {len(facts)} subjects, too few for {shots} examples and a pair; give fewer shots")
    ask = partial(templates[template].replace, "{}")
    subjects = list(facts)
    examples = "".join(f"{ask(subject)} {facts[subject]}\n" for subject in subjects[:shots])
    asked = {subject: facts[subject] for subject in subjects[shots:]}
    candidates = exchanged(asked, lambda subject: examples + ask(subject), rng)
    n = max(len(asked), 200)  # more than there are, so that short files try every partner
    behaviour = generated(
        name, candidates, description=entry(relation, "name", str, origin=name), model=model, n=n, seed=seed
    )
    return skipped(behaviour, len(asked) - len(behaviour), "no partner of their length, or no one-token object")
