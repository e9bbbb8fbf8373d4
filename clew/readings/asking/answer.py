"""What a language model is asked, and what it answers: values, and the protocol of whoever answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import Any, Protocol, runtime_checkable

from clew.evidence import Message
from clew.files import check_whole, entries, entry, typed


@dataclass(frozen=True)
class Question:
    """A chat that is to be gone on with, greedily."""

    messages: tuple[Message, ...]
    max_tokens: int = 200
    """Of the answer."""
    top: int = 0
    """At each token of the answer, of how many likely ones log p is asked for; 0: of none."""
    usual: str = ""
    """What an answer may look like; it is not sent, and stands for the answer where costs are estimated."""

    def asked(self) -> dict[str, Any]:
        """All that the answer depends on, as plain JSON."""
        messages = [[message.role, message.content] for message in self.messages]
        return {"messages": messages, "max_tokens": self.max_tokens, "top": self.top}

    def __len__(self) -> int:
        """Characters that are sent."""
        return sum(len(message.content) for message in self.messages)


@dataclass(frozen=True)
class Continuation:
    """A text after another, of which log p is asked."""

    prompt: str
    text: str

    def asked(self) -> dict[str, Any]:
        """All that the answer depends on, as plain JSON."""
        return {"prompt": self.prompt, "text": self.text}

    def __len__(self) -> int:
        """Characters that are sent."""
        return len(self.prompt) + len(self.text)


@dataclass(frozen=True)
class Token:
    """One token of an answer, or of a text that was judged."""

    text: str
    log_p: float
    """In nats, given all before it."""
    top: tuple[tuple[str, float], ...] = ()
    """The likeliest in its place, each with its log p."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    text: str
    tokens: tuple[Token, ...] | None = None
    """None: log-probabilities were not given."""
    read: int = 0
    """Tokens of the question."""
    written: int = 0
    """Tokens of the answer."""

    @property
    def log_p(self) -> float:
        """Of all its tokens together."""
        return sum(token.log_p for token in self.tokens or ())

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        tokens = None if self.tokens is None else [[t.text, t.log_p, [list(one) for one in t.top]] for t in self.tokens]
        return {"text": self.text, "tokens": tokens, "read": self.read, "written": self.written}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], origin: str = "this JSON") -> Answer:
        """Build from what `to_json` gave. Raises: ValueError naming the origin and what is wrong with it."""
        check_whole(value, ("text", "tokens", "read", "written"), origin)
        read, written = (entry(value, name, int, origin=origin, at_least=0) for name in ("read", "written"))
        tokens = None if value["tokens"] is None else entries(value, "tokens", list, origin=origin)
        made = None if tokens is None else tuple(_token(one, f"{origin}: tokens[{i}]") for i, one in enumerate(tokens))
        return cls(entry(value, "text", str, origin=origin), made, read, written)


def _token(held: Sequence[Any], origin: str) -> Token:
    if len(held) != 3:
        raise ValueError(f"{origin} has {len(held)} entries; a token, its log p and the likeliest are due there")
    top = tuple(_pair(pair, f"{origin}[2]") for pair in typed(held[2], origin, list))
    return Token(*_pair(held[:2], origin), top)


def _pair(held: Any, origin: str) -> tuple[str, float]:
    if len(typed(held, origin, list)) != 2:
        raise ValueError(f"{origin} holds {held!r:.80}; a token and its log p are due there")
    return typed(held[0], origin, str), float(typed(held[1], origin, float))


class Refused(ValueError):
    """What was asked is not answered there, however often it is asked."""


@runtime_checkable
class Answers(Protocol):
    """A language model that can be asked."""

    @property
    def name(self) -> str:
        """What labels say of who made them."""
        ...

    @property
    def identity(self) -> str:
        """What its answers depend on beside the question; two models have never the same."""
        ...

    @property
    def width(self) -> int:
        """How many questions it is asked at once."""
        ...

    def chat(self, question: Question) -> Answer:
        """Raises: Refused; OSError where it cannot be reached."""
        ...

    def judge(self, question: Continuation) -> Answer:
        """The tokens of the text, each with its log p. Raises: Refused where log p of a given text is not told."""
        ...


def key_of(identity: str, question: Question | Continuation) -> str:
    """The name under which an answer is kept: a digest of all that it depends on, the model's identity first."""
    return sha256(dumps([identity, question.asked()], sort_keys=True).encode()).hexdigest()
