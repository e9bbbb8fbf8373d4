"""Facts to edit: what a model says, what it shall say instead, and what must stay as it is."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from clew.data.likelihood import likelihoods
from clew.data.spans import token_of
from clew.data.words import ANTONYMS, CLASSES, COLOR_OF, COUNTRIES, CURRENCIES
from clew.files import write_json
from clew.models import Model
from clew.sites import near

FORMAT, VERSION = "clew facts", 1


@dataclass(frozen=True)
class Fact:
    """One statement about a subject and its counterfactual.

    >>> Fact("The capital of {} is", "France", "Rome", "Paris").asked
    'The capital of France is'
    """

    prompt: str
    """With one {} where the subject goes."""
    subject: str
    target: str
    """What the edit shall make the model say, without a leading space."""
    old: str = ""
    """What is true, or what the model says now; empty where it is not known."""
    paraphrases: tuple[str, ...] = ()
    """Whole prompts that ask the same in other words."""
    neighbours: tuple[tuple[str, str], ...] = ()
    """(whole prompt, its right answer): what must not change."""

    def __post_init__(self) -> None:
        if self.prompt.count("{}") != 1:
            raise ValueError(
                f"the prompt {self.prompt!r} needs one {{}} where the subject goes: 'The capital of {{}} is'"
            )
        for name in ("subject", "target"):
            if not getattr(self, name).strip():
                raise ValueError(f"the fact {self.prompt!r} has no {name}")
        if self.target.strip() == self.old.strip():
            raise ValueError(f"{self.asked!r}: target and old are both {self.target!r}; give a target that is new")

    @property
    def asked(self) -> str:
        """The prompt with its subject."""
        return self.prompt.replace("{}", self.subject)


@dataclass(frozen=True)
class Facts:
    """A set of facts, as evidence for `clew.edit` and for the measures of an edit."""

    name: str
    facts: tuple[Fact, ...]
    note: str = ""
    """How many fell out on the way here and why, in words."""

    def __post_init__(self) -> None:
        if not self.facts:
            raise ValueError(f"{self.name} holds no facts. {self.note}".strip())

    def __len__(self) -> int:
        return len(self.facts)

    def __iter__(self) -> Iterator[Fact]:
        return iter(self.facts)

    def __getitem__(self, index: int) -> Fact:
        return self.facts[index]

    def __repr__(self) -> str:
        return f"Facts({self.name}, {len(self)} fact{'s' * (len(self) != 1)})"

    @property
    def hash(self) -> str:
        """Of all that is asked: equal hashes edit and test the same."""
        return hashlib.sha256(json.dumps([asdict(f) for f in self]).encode()).hexdigest()[:16]

    def first(self, n: int) -> Facts:
        """At most the first n facts."""
        return self.pick(range(min(n, len(self))))

    def pick(self, indices: Sequence[int]) -> Facts:
        """The facts at these indices, in this order."""
        return replace(self, facts=tuple(self.facts[i] for i in indices))

    def known(self, model: Model) -> Facts:
        """The facts whose `old` is what the model says greedily, token for token, after `asked`.

        Raises: ValueError when it says none of them, or when a fact has no `old`.
        """
        if bare := [f.asked for f in self if not f.old]:
            raise ValueError(f"{bare[0]!r} has no `old`, so whether the model knows it cannot be asked")
        says = _says(model, [(f.asked, f.old) for f in self])
        lost = says.count(False)
        note = (
            f"{self.note} {lost} of {len(self)} fell out: the model does not know them.".strip() if lost else self.note
        )
        return Facts(self.name, tuple(f for f, s in zip(self, says, strict=True) if s), note)

    @classmethod
    def one(cls, prompt: str, subject: str, target: str, old: str = "") -> Facts:
        """A single fact.

        >>> Facts.one("The capital of {} is", "France", "Rome", "Paris")
        Facts(The capital of France is Rome, 1 fact)
        """
        fact = Fact(prompt, subject, target, old)
        return cls(f"{fact.asked} {target}", (fact,))

    def save(self, path: str | Path) -> Path:
        """As JSON, which `load` reads."""
        facts = [asdict(f) for f in self]
        return write_json(
            path, {"format": FORMAT, "version": VERSION, "name": self.name, "note": self.note, "facts": facts}
        )

    @classmethod
    def load(cls, path: str | Path, *, seed: int = 0, template: int = 0) -> Facts:
        """Facts of a file: our JSON, a CounterFact JSON, or a relation of the LRE set.

        Args:
            seed: a relation file says no counterfactuals, so each target is drawn from the other subjects' answers,
                and a third of the subjects only serve as neighbours.
            template: which of a relation file's prompts asks, its zero-shot ones counted first; the others are
                paraphrases.
        Raises: ValueError naming the file, what was expected and what was found.
        """
        from clew.data.fact_files import read

        name, found, note = read(Path(path), seed, template)
        return cls(name, tuple(found), note)


def answer_ids(tokenizer: Any, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    """The ids of a prompt, and those of the answer as the tokenizer writes it after the prompt.

    One space comes between them unless the prompt ends or the answer starts with white space.
    Raises: ValueError where the first token of the answer fuses with the last one of the prompt.
    """
    space = "" if prompt[-1:].isspace() or answer[:1].isspace() else " "
    asked, whole = (list(ids) for ids in tokenizer([prompt, f"{prompt}{space}{answer}"])["input_ids"])
    if whole[: len(asked)] != asked or len(whole) == len(asked):
        show = tokenizer.convert_ids_to_tokens
        raise ValueError(f"{answer!r} has no tokens of its own after {prompt!r}: {show(asked)} becomes {show(whole)}")
    return asked, whole[len(asked) :]


def subject_last(tokenizer: Any, fact: Fact, before: str = "") -> int:
    """Index of the token that holds the last character of the subject in `before` + the fact's prompt.

    Raises: ValueError for a tokenizer that keeps no offsets.
    """
    end = len(before) + fact.prompt.index("{}") + len(fact.subject.rstrip())
    return token_of(tokenizer, before + fact.asked, end - 1)


RELATIONS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "capital": (
        (
            "The capital of {} is the city of",
            "The capital city of {} is",
            "The seat of government of {} is in the city of",
        ),
        {country: capital for country, capital, _, _ in COUNTRIES},
    ),
    "language": (
        ("The official language of {} is", "Most people in {} speak", "In {}, people mostly speak"),
        {country: language for country, _, language, _ in COUNTRIES},
    ),
    # "America" is two continents, and no one-token answer tells which.
    "continent": (
        ("{} is located on the continent of", "{} belongs to the continent of", "{} is a country in"),
        {country: where for country, _, _, where in COUNTRIES if where != "America"},
    ),
    "currency": (("The official currency of {} is the", "The currency of {} is the"), dict(CURRENCIES)),
    "kind": (("A {} is a type of", "The {} is a kind of", "Every {} is a"), dict(CLASSES)),
    "color": (("The usual color of the {} is", "The color of the {} is"), COLOR_OF),
    "opposite": (("The antonym of {} is", "The opposite of {} is"), dict(ANTONYMS)),
}
"""Our own tables as relations: prompt templates, of which the first asks and the others are paraphrases; answers."""


def facts(n: int = 100, *, model: Model | None = None, relation: str | None = None, seed: int = 0) -> Facts:
    """n counterfactuals about countries and everyday things, each with paraphrases and neighbours.

    A third of all subjects is never edited and serves as neighbours, so that also a hundred edits leave some untouched.

    Args:
        model: keep only what it knows: facts whose old answer, and neighbours whose right answer, it says greedily.
        relation: one of RELATIONS; all of them by default.
    Raises: ValueError when there are fewer than n, or for an unknown relation.

    >>> [fact.asked for fact in facts(2)]  # doctest: +SKIP
    ['The currency of Canada is the', 'Most people in Peru speak']
    """
    from clew.data.fact_files import counterfactuals

    if relation is not None and relation not in RELATIONS:
        raise ValueError(f"there is no relation {relation!r}; {near(relation, RELATIONS)}")
    made: list[Fact] = []
    for name, (templates, answers) in RELATIONS.items():
        if relation in (None, name):
            knows = _knows(model, templates[0], answers)
            made += counterfactuals(templates, knows, seed=seed)
    made = random.Random(seed).sample(made, len(made))
    times: Counter[str] = Counter()
    rank = [
        times.update([fact.subject]) or times[fact.subject] for fact in made
    ]  # a new subject before one seen already
    order = sorted(range(len(made)), key=rank.__getitem__)
    if len(made) < n:
        whose = "in our tables" if model is None else "that the model knows"
        raise ValueError(f"there are {len(made)} facts {whose}; n={n} is too many")
    return Facts(relation or "everyday facts", tuple(made[i] for i in order[:n]))


def _knows(model: Model | None, template: str, answers: dict[str, str]) -> dict[str, str]:
    """The subjects whose answer the model says greedily; all of them without a model."""
    if model is None:
        return answers
    says = _says(model, [(template.replace("{}", s), a) for s, a in answers.items()])
    return {subject: answers[subject] for subject, yes in zip(answers, says, strict=True) if yes}


def _says(model: Model, questions: Sequence[tuple[str, str]]) -> list[bool]:
    """Whether the model says each answer greedily after its prompt."""
    return [found.greedy for found in likelihoods(model, [answer_ids(model.tokenizer, *q) for q in questions])]
