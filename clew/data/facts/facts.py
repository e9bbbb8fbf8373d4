"""Facts to edit: what a model says, what it shall say instead, and what must stay as it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

from clew import finder
from clew.data.behaviours.pairs import Example
from clew.data.facts.spans import token_of
from clew.data.text.spaces import space_between
from clew.evidence import Given, Prompt, check_text, in_half
from clew.files import read_any_json, whole, write_json
from clew.models import Model
from clew.models.likelihood import likelihoods
from clew.models.tokens import text_of, tokenised

FORMAT, VERSION = "clew facts", 1
FORMATS = "data.formats.facts"


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
        for prompt in (self.prompt, *self.paraphrases, *(asked for asked, _ in self.neighbours)):
            check_text(prompt, "a prompt of a fact")
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

    splits: ClassVar[bool] = False
    running: ClassVar[bool] = False
    shows_edits: ClassVar[str] = "success"

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

    def card(self) -> dict[str, Any]:
        """See `Evidence.card`."""
        return {"evidence": self.name, "evidence_hash": self.hash}

    @property
    def train(self) -> Facts:
        """The facts of about half of the subjects."""
        return self.pick(in_half(self.name, self._keys(), "train"))

    @property
    def test(self) -> Facts:
        """The facts of the other subjects."""
        return self.pick(in_half(self.name, self._keys(), "test"))

    def _keys(self) -> list[tuple[str, ...]]:
        """What makes two facts stay together: their subject, or a prompt."""
        return [(f.subject.strip().lower(), f.asked, *f.paraphrases) for f in self]

    def prompts(self) -> list[Prompt]:
        """Every fact's prompt and paraphrases; not the neighbours, which several facts may share and no edit learns."""
        return [prompt for fact in self for prompt in (fact.asked, *fact.paraphrases)]

    def asked(self) -> list[Prompt]:
        """The prompts with their subjects."""
        return [fact.asked for fact in self]

    def examples(self, tokenizer: Any) -> list[Example]:
        """What is asked, with its target. Raises: ValueError where the two fuse."""
        posed = [answer_ids(tokenizer, fact.asked, fact.target) for fact in self]
        return [Example(tuple(prompt), (tuple(answer),)) for prompt, answer in posed]

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
        said = says(model, [(f.asked, f.old) for f in self])
        lost = said.count(False)
        note = (
            f"{self.note} {lost} of {len(self)} fell out: the model does not know them.".strip() if lost else self.note
        )
        return Facts(self.name, tuple(f for f, s in zip(self, said, strict=True) if s), note)

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
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"there is no file {path} of facts")
        value = read_any_json(path)
        with whole(path, "file of facts"):
            known = finder.reading(FORMATS, value)
            if known is None:
                found = sorted(cast("dict[str, Any]", value)) if isinstance(value, dict) else type(value).__name__
                formats = ", ".join(finder.names(FORMATS))
                raise ValueError(f"{path} holds no facts that can be read: expected {formats}; found {found!s:.80}")
            name, found, note = known[1].read(value, name=path.stem, seed=seed, template=template)
            return cls(name, tuple(found), note)


def answer_ids(tokenizer: Any, prompt: Given, answer: str) -> tuple[list[int], list[int]]:
    """The ids of a prompt in words, and those of the answer as the tokenizer writes it after the prompt.

    A space comes between them where one is written, see `clew.data.text.spaces`.
    Raises: ValueError where the first token of the answer fuses with the last one of the prompt.
    """
    text = text_of(tokenizer, prompt)
    space = space_between(text, answer, tokenizer.all_special_tokens)
    asked, whole = tokenised(tokenizer, [text, f"{text}{space}{answer}"])
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


def says(model: Model, questions: Sequence[tuple[str, str]]) -> list[bool]:
    """Whether the model says each answer greedily after its prompt."""
    return [found.greedy for found in likelihoods(model, [answer_ids(model.tokenizer, *q) for q in questions])]
