"""Asks: a language model that is asked, with what it has answered kept and what it costs counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import TypeVar

from clew.evidence import Message
from clew.files import cache_folder
from clew.models import Model, open_model
from clew.readings.asking.answer import Answer, Answers, Continuation, Question, Refused, Token, key_of
from clew.readings.asking.count import Count, tokens_in
from clew.readings.asking.endpoint import KEY, Endpoint
from clew.readings.asking.kept import Kept, Remembered
from clew.readings.asking.local import Local

Q = TypeVar("Q", Question, Continuation)
TOP = 5
"""Of how many likely tokens log p is asked for: a yes and a no are among them."""
PROBE = Question((Message("user", "Say the digit 1, and nothing else."),), max_tokens=4, top=TOP, usual="1")
"""What shows whether log-probabilities are answered: some servers take the wish and leave them out."""


class Asks:
    """One that is asked by explainers and scorers.

    >>> asks = Asks(Local(model), Remembered())
    >>> _ = asks.chat([("user", "the old king")], 3), asks.chat([("user", "the old king")], 3)
    >>> asks.count.requests, asks.count.cached
    (1, 1)
    """

    def __init__(self, answers: Answers, kept: Kept | Remembered) -> None:
        """Args: kept: where answers are looked for, and put; a `Remembered` forgets them with the process."""
        self.answers, self.kept, self.count = answers, kept, Count()
        self._room, self._counting = BoundedSemaphore(answers.width), Lock()
        self._soft: bool | None = None

    @classmethod
    def open(
        cls,
        where: str | Path | Model,
        model: str = "",
        *,
        key_from: str = KEY,
        width: int = 8,
        timeout: float = 120.0,
        keep: str | Path | None = None,
    ) -> Asks:
        """An endpoint of the OpenAI protocol, or a model in this process.

        Args:
            where: an address such as http://localhost:8000/v1; or what `clew.open` opens, or has opened.
            model: of an endpoint, the name of the model that is asked.
            key_from: the variable of the environment that holds the key of an endpoint.
            width: how many questions an endpoint is asked at once.
            timeout: seconds that it has to answer.
            keep: a folder for answers; by default one of the cache ($CLEW_CACHE).

        Raises: ValueError for an address without a model, or one with a key in it; as `clew.open`.
        """
        folder = Kept(cache_folder("answers") if keep is None else Path(keep))
        if isinstance(where, Model):
            return cls(Local(where), folder)
        if "://" in str(where):
            return cls(Endpoint(str(where), model, key_from=key_from, width=width, timeout=timeout), folder)
        if model:
            raise ValueError(f"{where} is a model itself; model={model!r} goes with the address of an endpoint")
        return cls(Local(open_model(where)), folder)

    def __repr__(self) -> str:
        """The same of the same model, in every process."""
        return f"Asks({self.name!r}, {sha256(self.answers.identity.encode()).hexdigest()[:16]})"

    @property
    def name(self) -> str:
        """What labels say of who made them."""
        return self.answers.name

    @property
    def soft(self) -> bool:
        """Whether log-probabilities come with answers; it is tried, once."""
        if self._soft is None:
            self._soft = self._answered(PROBE, self._probed).tokens is not None
        return self._soft

    def said(self) -> str:
        """Name and kind of answers, for the origin of a label; it asks nothing."""
        kinds = {None: "", True: ", probabilities", False: ", yes or no alone"}
        return f"{self.name}{kinds[self._soft]}"

    def chat(self, messages: Sequence[tuple[str, str]], max_tokens: int = 200, *, top: int = 0) -> Answer:
        """One answer.

        Args: messages: (role, text). top: of how many likely tokens, at each place, log p is asked for.
        """
        return self.ask([Question(tuple(Message(*m) for m in messages), max_tokens, top)])[0]

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """The answers, in order; what is not kept is asked, several at once. Raises: Refused, OSError; what came is kept."""
        return self._all(questions, self.answers.chat)

    def judge(self, questions: Sequence[Continuation]) -> list[Answer]:
        """The tokens of each text with log p. Raises: Refused where that is not told."""
        return self._all(questions, self.answers.judge)

    def unread(self, n: int = 1) -> None:
        """Count answers in which what was asked for could not be found."""
        self._add(Count(unread=n))

    def estimating(self) -> Asks:
        """One that asks nothing: whatever it is given to is told usual answers, and it counts what asking would cost.

        What is kept already is answered from there and counted as such.
        """
        below = self.kept if isinstance(self.kept, Kept) else None
        return Asks(Usual(self.answers), Remembered(below))

    def _all(self, questions: Sequence[Q], answer: Callable[[Q], Answer]) -> list[Answer]:
        """What stands there twice is asked once."""
        different = list(dict.fromkeys(questions))
        if self.answers.width == 1 or len(different) < 2:
            found = [self._answered(question, answer) for question in different]
        else:
            pool = ThreadPoolExecutor(min(self.answers.width, len(different)))
            try:
                found = list(pool.map(lambda question: self._answered(question, answer), different))
            finally:  # after an error or an interrupt what has not begun is not asked any more, and nobody waits
                pool.shutdown(wait=False, cancel_futures=True)
        answers = dict(zip(different, found, strict=True))
        return [answers[question] for question in questions]

    def _answered(self, question: Q, answer: Callable[[Q], Answer]) -> Answer:
        key = key_of(self.answers.identity, question)
        if (found := self.kept.get(key)) is not None:
            self._add(Count(cached=1))
            return found
        with self._room:
            made = answer(question)
        self.kept.put(key, made)
        self._add(Count(1, 0, made.read, made.written))
        return made

    def _probed(self, question: Question) -> Answer:
        """With log-probabilities if they come, and without them where the wish is refused."""
        try:
            return self.answers.chat(question)
        except Refused:
            return replace(self.answers.chat(replace(question, top=0)), tokens=None)

    def _add(self, more: Count) -> None:
        with self._counting:
            self.count += more


class Usual:
    """Stands for a model while costs are estimated."""

    def __init__(self, answers: Answers) -> None:
        self.name, self.identity, self.width = answers.name, answers.identity, 1

    def chat(self, question: Question) -> Answer:
        """What the question says an answer may look like."""
        tokens = () if question.top else None
        return Answer(question.usual, tokens, tokens_in(len(question)), tokens_in(len(question.usual)))

    def judge(self, question: Continuation) -> Answer:
        """All texts are equally likely."""
        return Answer(question.text, (Token(question.text, 0.0),), tokens_in(len(question)))
