"""Labelled texts: what a measure needs that asks whether units know a property people have a word for."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from jaxtyping import Bool

from clew.data.facts.facts import answer_ids
from clew.data.labels.classified import Classified
from clew.data.text.lists import TwoSides
from clew.evidence import Given, Prompt, in_half, prompt_of
from clew.files import check_whole, entry, json_lines, read_text, typed, whole
from clew.near import near


@dataclass(frozen=True)
class Task:
    """One question with a yes or a no: is this text of the class?"""

    labelling: str
    name: str
    """The class that counts as yes."""
    index: tuple[int, ...]
    """The texts to which the question applies."""
    positive: Bool[np.ndarray, " example"]
    """The answer for each of them."""


@dataclass(frozen=True)
class Labelled:
    """Texts, and for each labelling one class per text.

    >>> Labelled("two", ("a dog", "a rose"), {"kind": ("animal", "plant")}).classes("kind")
    ('animal', 'plant')
    """

    splits: ClassVar[bool] = False
    running: ClassVar[bool] = True

    name: str
    texts: tuple[Given, ...]
    """As text, as chats (lists of messages, kept as tuples) or as token ids."""
    labels: Mapping[str, tuple[str, ...]]
    """One or more labellings; "" where a labelling does not apply to a text (a name has no tense)."""
    position: int | None = None
    """The token that is labelled, -1 for the last one; None where it is the text as a whole."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", tuple(prompt_of(text, f"text {i}") for i, text in enumerate(self.texts)))
        if not self.texts or not self.labels:
            raise ValueError(
                f"{self.name} has {len(self.texts)} texts and {len(self.labels)} labellings; give some of each"
            )
        for labelling, labels in self.labels.items():
            if len(labels) != len(self.texts):
                raise ValueError(f"{self.name} has {len(self.texts)} texts but {len(labels)} labels of {labelling!r}")

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, labelling: str) -> tuple[str, ...]:
        """The labels of one labelling. Raises: ValueError naming the labellings there are."""
        if labelling not in self.labels:
            raise ValueError(f"{self.name} has no labelling {labelling!r}; {near(labelling, self.labels)}")
        return self.labels[labelling]

    def classes(self, labelling: str) -> tuple[str, ...]:
        """The classes of a labelling, sorted."""
        return tuple(sorted(set(self[labelling]) - {""}))

    def tasks(self, labelling: str) -> Iterator[Task]:
        """One class against the rest, for each class; a single task where there are two classes.

        Raises: ValueError when there is only one class.
        """
        labels, classes = np.array(self[labelling]), self.classes(labelling)
        if len(classes) < 2:
            raise ValueError(
                f"the labelling {labelling!r} of {self.name} has the classes {classes}; it takes two to tell apart"
            )
        index = np.flatnonzero(labels != "")
        for name in classes[: 1 if len(classes) == 2 else None]:
            yield Task(labelling, name, tuple(index.tolist()), labels[index] == name)

    def pick(self, index: Sequence[int]) -> Labelled:
        """Only these texts, in this order."""
        labels = {labelling: tuple(labels[i] for i in index) for labelling, labels in self.labels.items()}
        return replace(self, texts=tuple(self.texts[i] for i in index), labels=labels)

    def halves(self, fraction: float = 0.7, seed: int = 0) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Which texts are to learn from and which to judge on: `fraction` and the rest, of every combination of labels.

        Raises: ValueError for a fraction that leaves one side empty, or a text that occurs twice.
        """
        if again := [text for text, times in Counter(self.texts).items() if times > 1]:
            raise ValueError(f"{self.name} holds {again[0]!r} more than once, so the two sides would share texts")
        rng, rows = random.Random(seed), list(zip(*self.labels.values(), strict=True))
        order = rng.sample(range(len(self)), len(self))
        order.sort(key=lambda i: rows[i])
        start = rng.random()
        learn = [floor((at + 1) * fraction + start) > floor(at * fraction + start) for at in range(len(order))]
        sides = tuple(
            tuple(sorted(i for i, ours in zip(order, learn, strict=True) if ours is side)) for side in (True, False)
        )
        if not all(sides):
            raise ValueError(
                f"fraction={fraction} of {len(self)} texts leaves {[len(s) for s in sides]}; both sides need some"
            )
        return sides[0], sides[1]

    def split(self, fraction: float = 0.7, seed: int = 0) -> tuple[Labelled, Labelled]:
        """(to learn from, to judge on), as `halves` says."""
        learn, judge = self.halves(fraction, seed)
        return self.pick(learn), self.pick(judge)

    @property
    def hash(self) -> str:
        """A hash of the texts, the labels and the position."""
        return hashlib.sha256(json.dumps([self.texts, dict(self.labels), self.position]).encode()).hexdigest()[:16]

    def card(self) -> dict[str, Any]:
        """See `Evidence.card`."""
        return {"labelled": self.name, "texts": self.hash}

    @property
    def train(self) -> Labelled:
        """About half of the texts; `split` draws another share, alike in each combination of labels."""
        return self.pick(in_half(self.name, [[text] for text in self.texts], "train"))

    @property
    def test(self) -> Labelled:
        """The other texts."""
        return self.pick(in_half(self.name, [[text] for text in self.texts], "test"))

    def prompts(self) -> list[Prompt]:
        """The texts."""
        return [cast("Prompt", text) for text in self.texts]

    def asked(self) -> list[Prompt]:
        """The texts."""
        return self.prompts()

    def two_sides(self, labelling: str | None = None, positive: str | None = None) -> TwoSides:
        """The texts of one class of a labelling, which are wanted, and those of its others.

        Raises: ValueError naming the labellings or classes there are.
        """
        both = list(zip(self.texts, self._chosen(labelling, positive), strict=True))
        wanted = tuple(text for text, label in both if label == positive)
        unwanted = tuple(text for text, label in both if label not in ("", positive))
        return TwoSides(wanted, unwanted, self.name, self.hash, position=self.position)

    def _chosen(self, labelling: str | None, positive: str | None) -> tuple[str, ...]:
        """The labels of one labelling that has the class `positive`."""
        if labelling is None and len(self.labels) > 1:
            raise ValueError(f"{self.name} has the labellings {', '.join(self.labels)}; say which by labelling=")
        labels = self[next(iter(self.labels)) if labelling is None else labelling]
        classes = sorted(set(labels) - {""})
        if positive not in classes:
            given = "say which class is wanted by positive=" if positive is None else f"there is no class {positive!r}"
            raise ValueError(f"{given}; {self.name} has {near(positive or '', classes)}")
        return labels

    def classified(self, tokenizer: Any, labelling: str | None = None) -> Classified:
        """The texts to which a labelling (the first by default) applies; a class is said by its name's first token."""
        labelling = labelling or next(iter(self.labels))
        names = self.classes(labelling)
        index = [i for i, label in enumerate(self[labelling]) if label]
        texts = tuple(self.texts[i] for i in index)
        label = np.array([names.index(self[labelling][i]) for i in index])
        tokens = [answer_ids(tokenizer, texts[0], name)[1][0] for name in names]
        answers = torch.tensor(tokens) if len(set(tokens)) == len(names) else None
        at = "mean" if self.position is None else self.position
        return Classified(texts, label, np.array(index), at, answers, "texts")

    def learning(self, fraction: float, seed: int) -> list[int]:
        """Which texts a probe learns from, as `halves` says; it is judged on the others."""
        return list(self.halves(fraction, seed)[0])

    @classmethod
    def load(
        cls, path: str | Path, *, labels: Sequence[str] | None = None, text: str = "text", position: int | None = None
    ) -> Labelled:
        """Texts of a file of JSON lines.

        Args: labels: the columns that hold a class, by default all of the first row but that of the text; an empty or
                missing value means that it does not apply.
            text: the column that holds the text.
        Raises: ValueError naming the line, what was expected there and what was found.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"there is no file {path} of labelled texts")
        with whole(path, "file of labelled texts"):
            rows = [(place, typed(row, place, dict)) for place, row in json_lines(read_text(path), str(path))]
            columns = {column for _, row in rows for column in row}
            if labels is None:
                labels = [column for column in (rows[0][1] if rows else ()) if column != text]
            for column in (text, *labels):
                if column not in columns:
                    said = f"{near(column, sorted(columns))}; " if columns else "it has no lines; "
                    looks = f'a line looks like {{"{text}": "...", "label": "..."}}'
                    raise ValueError(f"{path} has no column {column!r}; {said}{looks}")
            texts = tuple(entry(row, text, str, origin=place) for place, row in rows)
            for place, row in rows:  # a label may be left out, but then no other name stands there instead
                check_whole(
                    {**row, **dict.fromkeys(labels)}, {**dict.fromkeys(rows[0][1]), **dict.fromkeys(labels)}, place
                )
            told = {
                label: tuple(_label(row.get(label), f"{place}: {label}") for place, row in rows) for label in labels
            }
            for label in labels:
                if len(kinds := {type(row.get(label)).__name__ for _, row in rows} - {"NoneType"}) > 1:
                    raise ValueError(
                        f"the column {label!r} of {path} holds classes of several kinds: {', '.join(sorted(kinds))}"
                    )
            return cls(path.stem, texts, told, position)


def _label(value: Any, place: str) -> str:
    """A class as text, empty where none applies."""
    if not isinstance(value, str | int | float | None):
        raise ValueError(f"{place} is {value!r:.80}; a class is due there, or null")
    return "" if value is None else str(value)
