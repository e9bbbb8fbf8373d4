"""A relation of Hernandez et al. 2024 (arXiv:2308.09124)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clew.data.facts.counterfactuals import counterfactuals, samples_of, templates_of
from clew.data.facts.facts import Fact


def matches(value: Any) -> bool:
    return isinstance(value, dict) and {"prompt_templates", "samples"} <= value.keys()


def read(value: Mapping[str, Any], *, name: str, seed: int, template: int) -> tuple[str, list[Fact], str]:
    """Its zero-shot prompts first, for no examples go before."""
    prompts = [*templates_of(value, name, "prompt_templates_zs"), *templates_of(value, name)]
    templates = list(dict.fromkeys(prompt.strip() for prompt in prompts))
    if not templates:
        raise ValueError(f"{name} has no prompt template")
    if not 0 <= template < len(templates):
        raise ValueError(
            f"{name} has the templates {', '.join(map(repr, templates))}; template={template} is none of them"
        )
    asks = templates.pop(template)
    answers: dict[str, str] = {}
    for subject, answer in (samples := samples_of(value, name)):
        answers.setdefault(subject, answer)
    again = len(samples) - len(answers)
    note = f"{again} samples ask of a subject that was asked before." if again else ""
    return name, counterfactuals([asks, *templates], answers, seed=seed), note
