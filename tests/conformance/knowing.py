"""The model of tests/stage.py, which knows capitals and the number of a subject: evidence in its words, and what it says."""

from typing import Any

from clew.circuits.verdicts import Verdicts
from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.facts.facts import answer_ids
from clew.data.facts.secrets import Secret, Secrets
from clew.data.labels.labelled import Labelled
from clew.models import Model
from clew.models.likelihood import likelihoods
from tests import stage

NAMES: dict[str, Any] = stage.names()
MODEL, VIEW, FACTS, TEXT, TASK, CIRCUIT, SECRETS = (
    NAMES[name] for name in ("model", "view", "facts", "text", "task", "circuit", "secrets")
)
OF = "old boat pack roses blue sea girl rained".split()
MANY, ONE = [f"The {word} keys to the cabinet" for word in OF], [f"The {word} key to the cabinet" for word in OF]
NUMBER = Labelled("number", (*MANY, *ONE), {"number": ("many",) * len(OF) + ("one",) * len(OF)})
PAIRS = Behaviour("number", tuple(Pair(*both, " are", " is") for both in zip(MANY, ONE, strict=True)), aligned=True)
LIES = Secrets(
    "lies", tuple(Secret(secret.prompt, city) for secret, city in zip(SECRETS, ("Rome", "Paris"), strict=False))
)
SINGULAR, PLURAL = 17, 76 + 17
"""The units of VIEW at resid.2 that are on at a noun of that number."""


def log_p(model: Model, *asked: tuple[str, str]) -> float:
    """log p of these answers, each after its prompt, added up."""
    return sum(found.total for found in likelihoods(model, [answer_ids(model.tokenizer, *one) for one in asked]))


def plural(model: Model) -> float:
    """How much rather it says "are" than "is", after a subject of either number."""
    return log_p(model, (MANY[0], "are"), (ONE[0], "are")) - log_p(model, (MANY[0], "is"), (ONE[0], "is"))


def number(model: Model) -> float:
    """How much the number of the subject matters to that."""
    return log_p(model, (MANY[0], "are"), (ONE[0], "is")) - log_p(model, (MANY[0], "is"), (ONE[0], "are"))


def told(model: Model) -> float:
    """Of two facts, what they shall become."""
    return log_p(model, *((fact.asked, fact.target) for fact in FACTS.first(2)))


def first_told(model: Model) -> float:
    return log_p(model, (FACTS[0].asked, FACTS[0].target))


def capitals(model: Model) -> float:
    """All facts as they are."""
    return log_p(model, *((fact.asked, fact.old) for fact in FACTS))


def secrets(model: Model, of: Secrets = SECRETS) -> float:
    return log_p(model, *((secret.prompt, secret.secret) for secret in of))


def dropped() -> Verdicts:
    """The verdict that the unit of one number goes."""
    return Verdicts.of(CIRCUIT).drop(f"resid.2/{SINGULAR}", "tells one from many", judge="Ada")
