"""What can be read of a language model's answer: lists of numbers, digits with their probabilities, a last line.

Whatever is not there is None: nothing is guessed, and what is missing is counted by whoever asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import exp

from clew.readings.asking.answer import Answer, Token

LIST = re.compile(r"\[([^\[\]]*)\]")
LONGEST = 300
"""Characters of an explanation."""


def flags(answer: Answer, n: int) -> list[float | None]:
    """Of each of n things the probability of a 1, from a list of 0 and 1: by log p of both, if it is there, else 1 or 0.

    Of a list that is too short the rest is None; of one that is too long, or holds anything else, all is, for nobody
    knows which entry is whose.

    >>> flags(Answer("I think: [1, 0]"), 3)
    [1.0, 0.0, None]
    """
    found = _last_list(answer.text)
    if found is None:
        return [None] * n
    start, entries = found
    if len(entries) > n or any(entry not in ("0", "1") for _, entry in entries):
        return [None] * n
    said: list[float | None] = [_probability(answer, start + at, entry) for at, entry in entries]
    return said + [None] * (n - len(said))


def numbers(answer: Answer, n: int, most: int) -> list[float] | None:
    """A list of n numbers from 0 to the most."""
    found = _last_list(answer.text)
    words = [entry for _, entry in found[1]] if found else []
    if len(words) != n or not all(re.fullmatch(r"\d+(\.\d+)?", word) for word in words):
        return None
    read = [float(word) for word in words]
    return read if max(read) <= most else None


def choice(answer: Answer, n: int) -> int | None:
    """A number from 1 to n, if one stands there and no other."""
    said = {int(word) for word in re.findall(r"(?<![\d.])\d{1,4}(?![\d.]*\d)", answer.text)}
    return said.pop() if len(said) == 1 and said <= set(range(1, n + 1)) else None


def last_line(answer: Answer, mark: str) -> str | None:
    """What stands after the last mark, on its line; all of an answer that is one line without it.

    >>> last_line(Answer("They are rivers.\\nDESCRIPTION: names of rivers"), "DESCRIPTION:")
    'names of rivers'
    """
    lines = [line.strip() for line in answer.text.strip().split("\n") if line.strip()]
    marked = [line.partition(mark)[2] for line in lines if mark in line]
    said = (marked[-1] if marked else lines[0] if len(lines) == 1 else "").strip(" \t*_`\"'")
    return " ".join(said.split())[:LONGEST] or None


def _last_list(text: str) -> tuple[int, list[tuple[int, str]]] | None:
    """Where the inside of the last list begins, and its entries with where in it they begin."""
    found = [*LIST.finditer(text)]
    if not found or not found[-1][1].strip():
        return None
    inside, at, entries = found[-1][1], 0, list[tuple[int, str]]()
    for part in inside.split(","):
        entries.append((at + len(part) - len(part.lstrip()), part.strip()))
        at += len(part) + 1
    return found[-1].start(1), entries


def _probability(answer: Answer, at: int, digit: str) -> float:
    token = _token_at(answer.tokens or (), answer.text, at)
    if token is None:
        return float(digit)
    weight = {"0": 0.0, "1": 0.0}
    for word, log_p in dict([*token.top, (token.text, token.log_p)]).items():
        if word.strip(" ,[") in weight:
            weight[word.strip(" ,[")] += exp(min(0.0, log_p))
    total = weight["0"] + weight["1"]
    return weight["1"] / total if total else float(digit)


def _token_at(tokens: Sequence[Token], text: str, at: int) -> Token | None:
    """The token that holds the character, where the tokens are those of the text and it holds no more than that digit."""
    whole = "".join(token.text for token in tokens)
    ahead, begins = whole.find(text), 0
    if ahead < 0:
        return None
    for token in tokens:
        if begins <= ahead + at < begins + len(token.text):
            return token if token.text.strip(" ,[") == text[at] else None
        begins += len(token.text)
    return None
