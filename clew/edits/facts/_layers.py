"""Which layers to edit: those whose MLPs bring a fact back when they alone are whole, found by causal tracing."""

from __future__ import annotations

from clew.data.facts.facts import Facts
from clew.models import Model
from clew.readings.tracing import trace_facts

FACTS, SAMPLES = 8, 5
"""How many facts are traced, with how many samples of noise: enough for a ranking, at some seconds each."""


def suggest_layers(model: Model, facts: Facts, n: int = 5, *, seed: int = 0) -> list[int]:
    """The n layers whose MLPs, restored in a window around them at the subject's last token, do most; the best first.

    A guide, not a proof: where a fact is recalled and where it is edited best need not agree (Hase et al. 2023,
    arXiv:2301.04213). Costs about two forwards of ten prompts per layer and fact, for at most eight of the facts.
    Raises: ValueError for facts without an `old` answer.
    """
    return trace_facts(model, facts.first(FACTS), samples=SAMPLES, seed=seed).ranked(n)
