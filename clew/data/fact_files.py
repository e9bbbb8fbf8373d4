"""Facts from files: our own JSON, CounterFact, and relations of the LRE set; and how a relation becomes counterfactuals."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clew.data.facts import FORMAT, VERSION, Fact

NEIGHBOURS = 4
"""How many neighbours a fact made from a relation has at most."""


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


def read(path: Path, seed: int, template: int) -> tuple[str, list[Fact], str]:
    """(name, facts, note) of a file. Raises: ValueError naming the file, what was expected and what was found."""
    if not path.is_file():
        raise ValueError(f"there is no file {path} of facts")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error})") from error
    try:
        if isinstance(value, dict) and value.get("format") == FORMAT:
            return _ours(value)
        if isinstance(value, list) and value and isinstance(value[0], dict) and "requested_rewrite" in value[0]:
            return path.stem, [_counterfact(row) for row in value], ""
        if isinstance(value, dict) and {"prompt_templates", "samples"} <= value.keys():
            return _relation(value, path.stem, seed, template)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} starts like a file of facts but has no {error} where one is due") from error
    found = sorted(value) if isinstance(value, dict) else type(value).__name__
    raise ValueError(
        f"{path} holds no facts that can be read: expected ours, a CounterFact list (requested_rewrite) or a "
        f"relation of the LRE set (prompt_templates, samples); found {found!s:.80}"
    )


def _ours(value: Mapping[str, Any]) -> tuple[str, list[Fact], str]:
    if value["version"] > VERSION:
        raise ValueError(f"the facts are of version {value['version']}, newer than {VERSION}, which this clew reads")
    rows = [dict(row) for row in value["facts"]]
    for row in rows:
        row["paraphrases"], row["neighbours"] = tuple(row["paraphrases"]), tuple((a, b) for a, b in row["neighbours"])
    return value["name"], [Fact(**row) for row in rows], value["note"]


def _counterfact(row: Mapping[str, Any]) -> Fact:
    """One record of CounterFact (Meng et al. 2022, arXiv:2202.05262); its neighbours share the true answer."""
    asks = row["requested_rewrite"]
    new, true = asks["target_new"]["str"].strip(), asks["target_true"]["str"].strip()
    neighbours = tuple((prompt, true) for prompt in row.get("neighborhood_prompts", ()))
    return Fact(asks["prompt"], asks["subject"], new, true, tuple(row.get("paraphrase_prompts", ())), neighbours)


def _relation(value: Mapping[str, Any], name: str, seed: int, template: int) -> tuple[str, list[Fact], str]:
    """A relation of Hernandez et al. 2024 (arXiv:2308.09124): its zero-shot prompts first, for no examples go before."""
    prompts = [*value.get("prompt_templates_zs", ()), *value["prompt_templates"]]
    templates = list(dict.fromkeys(t.strip() for t in prompts if t.count("{}") == 1))
    if not templates:
        raise KeyError("prompt template with one {}")
    if not 0 <= template < len(templates):
        raise ValueError(
            f"{name} has the templates {', '.join(map(repr, templates))}; template={template} is none of them"
        )
    asks = templates.pop(template)
    answers: dict[str, str] = {}
    for sample in value["samples"]:
        answers.setdefault(sample["subject"], sample["object"])
    again = len(value["samples"]) - len(answers)
    note = f"{again} samples ask of a subject that was asked before." if again else ""
    return name, counterfactuals([asks, *templates], answers, seed=seed), note
