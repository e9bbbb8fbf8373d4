"""Prose: an explanation in words, which a language model reads to say where the unit fires.

Source: the questions are those of Paulo et al. 2024, arXiv:2410.13928 (detection and fuzzing) and Bills et al. 2023
(simulation), in our own words. Differs: windows are asked about in an order of chance; a short list loses what it leaves out
and not the rest; what cannot be read is neither yes nor no, and is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from json import dumps
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from clew.data.predicates.table import Table
from clew.evidence import Message
from clew.firings import Firings
from clew.labels import Kind
from clew.readings.asking.answer import Question
from clew.readings.asking.asks import TOP, Asks
from clew.readings.asking.reading import flags, numbers
from clew.readings.said import UNKNOWN, Said, Strengths
from clew.readings.unseen import WINDOW, starts_of, window_of

AT_ONCE = 5
"""Windows of one question."""
NOTHING = "no description found"
STRONGEST = 10
FIRES = """\
You are given a description of a part of a language model, and short texts. The part fires on what is described. \
For each text decide whether the part fires anywhere in it. Judge by the description alone; all, some or none may be right.
Answer with one list and nothing else: for each text, in order, 1 if the part fires in it and 0 if not, as in [0, 1, 0]."""
MARKS = """\
You are given a description of a part of a language model, and short texts in which some words are marked by << and >>. \
The part fires on what is described. For each text decide whether what is marked is what the part fires on. Judge by the \
description alone; all, some or none may be marked rightly.
Answer with one list and nothing else: for each text, in order, 1 if it is marked rightly and 0 if not, as in [0, 1, 0]."""
STRENGTHS = """\
You are given a description of a part of a language model, and a text cut into tokens. The part fires on what is described. \
Say for each token how strongly it fires there, from 0 (not at all, as on most tokens) to 10.
Answer with one list of whole numbers and nothing else, one for each token, in order, as in [0, 0, 10, 3]."""


@dataclass(frozen=True)
class Prose:
    """What a unit fires on, in a sentence, and who is asked what that means for a text.

    >>> prose = Prose("names of rivers", asks=clew.Asks.open(model))
    >>> str(prose), bool(prose), bool(Prose("", asks=prose.asks))
    ('names of rivers', True, False)
    """

    text: str
    """Empty: none was found."""
    side: int = 1
    """1 or -1: which of a unit's two signs is meant."""
    asks: Asks = field(kw_only=True, compare=False, repr=False)
    at_once: int = AT_ONCE
    """Windows of one question."""
    kind: ClassVar[Kind] = "prose"

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self.text)

    def __str__(self) -> str:
        return f"{self.text or NOTHING}{' (its negative side)' * (self.side < 0)}"

    def __call__(self, table: Table, firings: Firings | None = None) -> Float[np.ndarray, " token"]:
        """How strongly the unit fires at each token of a text, from 0 to 10: a question for each 32 tokens of it.

        Args: firings: not looked at.
        """
        text = table.text
        window = window_of(text, starts := starts_of(text, np.ones(len(text.documents) - 1, bool)))
        inside = [
            np.flatnonzero(window[start : start + WINDOW] == i) + start for i, start in enumerate(starts.tolist())
        ]
        said, _ = self.strengths([[text.pieces[kind] for kind in text.kinds[tokens]] for tokens in inside])
        found = np.zeros(len(text))
        for tokens, strengths in zip(inside, said, strict=True):
            found[tokens] = strengths
        return found

    @property
    def origin(self) -> str:
        """Who wrote it, and what kind of answers scores are made of."""
        return self.asks.said()

    def fires_in(self, texts: Sequence[str]) -> Said:
        """Whether the unit fires in each."""
        return self._judged(FIRES, texts)

    def fires_on(self, texts: Sequence[str]) -> Said:
        """Whether it fires on what is marked in each."""
        return self._judged(MARKS, texts)

    def strengths(self, texts: Sequence[Sequence[str]]) -> tuple[Strengths, Bool[np.ndarray, " text"]]:
        """Of each token of each text how strongly it fires, from 0 to 10, and which answers could be read.

        Where one could not, stands the mean of all others.
        """
        if not self:
            return [np.zeros(len(text)) for text in texts], np.ones(len(texts), bool)
        asked = [
            self._question(STRENGTHS, dumps(list(text), ensure_ascii=False), 8 + 4 * len(text), 0) for text in texts
        ]
        said = [numbers(a, len(t), STRONGEST) for a, t in zip(self.asks.ask(asked), texts, strict=True)]
        read = np.array([one is not None for one in said], dtype=bool)
        self.asks.unread(int((~read).sum()))
        usual = float(np.mean([x for one in said if one is not None for x in one])) if read.any() else 0.0
        return [np.full(len(t), usual) if o is None else np.array(o) for o, t in zip(said, texts, strict=True)], read

    def _judged(self, task: str, texts: Sequence[str]) -> Said:
        """Answers about all texts, asked in an order of chance, so that their order tells nothing."""
        score, read = np.full(len(texts), UNKNOWN), np.zeros(len(texts), bool)
        if not self:
            return Said(score, score)
        order = np.random.default_rng(0).permutation(len(texts))
        parts = [order[i : i + self.at_once] for i in range(0, len(texts), self.at_once)]
        top = TOP if self.asks.soft else 0
        asked = [self._question(task, _listed([texts[int(i)] for i in part]), 8 + 4 * len(part), top) for part in parts]
        for part, answer in zip(parts, self.asks.ask(asked), strict=True):
            found = flags(answer, len(part))
            self.asks.unread(int(None in found))
            for i, p in zip(part.tolist(), found, strict=True):
                score[i], read[i] = UNKNOWN if p is None else p, p is not None
        return Said(score, np.where(read, (score > UNKNOWN).astype(float), UNKNOWN), read)

    def _question(self, task: str, shown: str, most: int, top: int) -> Question:
        usual = f"[{', '.join('0' * ((most - 8) // 4))}]"
        said = f"Description: {self.text}\n\n{shown}"
        return Question((Message("system", task), Message("user", said)), most, top, usual)


def _listed(texts: Sequence[str]) -> str:
    return "\n".join(f"Text {i}: {text}" for i, text in enumerate(texts, 1))
