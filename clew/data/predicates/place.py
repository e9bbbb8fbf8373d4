"""Where a token stands: in its document, line and sentence, inside quotes and brackets, and whether it was met before."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float

from clew.data.predicates.before import previous
from clew.data.text.tokenised import Tokenised

Column = Bool[np.ndarray, " token"]
FIRST = 8
"""How many tokens of a document are its first ones."""


def _each(text: Tokenised, says: Callable[[str], float]) -> Float[np.ndarray, " token"]:
    """A number of each token's piece."""
    return np.array([float(says(piece)) for piece in text.pieces])[text.kinds]


def _starts(text: Tokenised) -> Column:
    found = np.zeros(len(text), bool)
    found[text.documents[:-1][np.diff(text.documents) > 0]] = True
    return found


def _after(flags: Column) -> Column:
    """Whether the token before is flagged."""
    return np.concatenate([[False], flags[:-1]]) if len(flags) else flags


def first_of_document(text: Tokenised) -> Column:
    """The first token of each document."""
    return _starts(text)


def early_in_document(text: Tokenised) -> Column:
    """The first eight."""
    return np.arange(len(text)) - text.documents[:-1][text.document] < FIRST


def first_of_line(text: Tokenised) -> Column:
    """The first token of a document, and those after a line break."""
    return _starts(text) | _after(_each(text, lambda piece: "\n" in piece) > 0)


def first_of_sentence(text: Tokenised) -> Column:
    """The first token of a document, and those after a mark that ends a sentence, quotes and brackets aside."""
    plain = _each(text, lambda piece: bool(piece.strip().strip("\"'”’“‘)(]["))) > 0
    ends = _each(text, lambda piece: piece.strip().rstrip("\"'”’)]")[-1:] in {".", "!", "?"}) > 0
    seen = np.maximum.accumulate(np.where(plain, np.arange(len(text)), -1))
    last = np.concatenate([[-1], seen[:-1]]) if len(text) else seen
    start = text.documents[:-1][text.document]
    return plain & ((last < start) | (ends[last] & (last >= 0)))


def _depth(text: Tokenised, steps: Float[np.ndarray, " token"], lines: bool) -> Float[np.ndarray, " token"]:
    """The sum of the steps before each token, from the start of its document, or of its line."""
    sums = np.concatenate([[0.0], np.cumsum(steps)])[:-1]
    begins = first_of_line(text) if lines else _starts(text)
    start = np.maximum.accumulate(np.where(begins, np.arange(len(text)), 0))
    return sums - sums[start]


def inside_quotes(text: Tokenised) -> Column:
    """Between double quotation marks of one line; the marks themselves are not inside."""
    straight = _depth(text, _each(text, lambda piece: piece.count('"')), True) % 2 == 1
    curled = _depth(text, _each(text, lambda piece: piece.count("“") - piece.count("”")), True) > 0
    return (straight | curled) & (_each(text, lambda piece: any(c in piece for c in '"”')) == 0)


def inside_brackets(text: Tokenised) -> Column:
    """Between brackets of one line; the brackets themselves are not inside."""
    steps = _each(text, lambda piece: sum((c in "([{") - (c in ")]}") for c in piece))
    return (_depth(text, steps, True) > 0) & (_each(text, lambda piece: any(c in piece for c in ")]}")) == 0)


def met_before(text: Tokenised) -> Column:
    """The same token stands earlier in the document."""
    return previous(text) >= 0


def repeats(text: Tokenised) -> Column:
    """The same token stands directly before."""
    here = np.arange(len(text))
    return (previous(text) == here - 1) & (here > 0)


def continues(text: Tokenised) -> Column:
    """The two last tokens stood like that before: the nearest earlier occurrence of the token before was followed by this."""
    last = np.concatenate([[-1], previous(text)[:-1]]) if len(text) else previous(text)
    inside = (last >= 0) & ~_starts(text)
    return inside & (text.kinds[last + 1] == text.kinds)


PLACES: Mapping[str, Callable[[Tokenised], Column]] = {
    "at the start of a document": first_of_document,
    f"among the first {FIRST} tokens of a document": early_in_document,
    "at the start of a line": first_of_line,
    "at the start of a sentence": first_of_sentence,
    "inside quotation marks": inside_quotes,
    "inside brackets": inside_brackets,
    "met earlier in the document": met_before,
    "equal to the token before": repeats,
    "continuing a pair of tokens met before": continues,
}
"""Each by the words that follow "tokens"."""
