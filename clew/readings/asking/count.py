"""What asking costs: questions and tokens, estimated before and counted after."""

from __future__ import annotations

from dataclasses import dataclass

LETTERS = 4
"""Characters of a token, about, where nobody has counted."""


@dataclass(frozen=True)
class Count:
    """What was asked.

    >>> print(Count(requests=12, cached=3, read=4000, written=80, unread=1))
    12 requests, 3 answers from the cache, 4,000 tokens read, 80 written, 1 answer that could not be read
    """

    requests: int = 0
    cached: int = 0
    """Questions whose answers were kept from before."""
    read: int = 0
    """Tokens of the questions that were sent."""
    written: int = 0
    """Tokens of their answers."""
    unread: int = 0
    """Answers in which what was asked for could not be found, in part or in whole, those from the cache included."""

    def __add__(self, other: Count) -> Count:
        return Count(*(a + b for a, b in zip(self._all(), other._all(), strict=True)))

    def __str__(self) -> str:
        said = [_many(self.requests, "request"), f"{_many(self.cached, 'answer')} from the cache"]
        said += [f"{_many(self.read, 'token')} read", f"{self.written:,} written"]
        return ", ".join([*said, f"{_many(self.unread, 'answer')} that could not be read"])

    def _all(self) -> tuple[int, ...]:
        return self.requests, self.cached, self.read, self.written, self.unread


def tokens_in(characters: int) -> int:
    """How many tokens so many characters are, about."""
    return -(-characters // LETTERS)


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"
