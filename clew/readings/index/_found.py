"""What a file of another format holds of an index, before rows of units are made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from clew.labels import Labels
from clew.readings.index._firings import Firings, by_token, narrow
from clew.readings.index._text import Text


@dataclass(frozen=True, eq=False)
class Found:
    """A text and what fires in it."""

    format: str
    model: str
    """Its name, as far as it is said."""
    text: Text
    words: Mapping[int, str]
    """What ids stand for; empty where that is not said."""
    firings: Mapping[str, Firings]
    """By site."""
    units: Mapping[str, int]
    """How many units there are at each site."""
    labels: Labels = field(default_factory=Labels)
    whole: bool = True
    """Whether all that fires in the text is there; contexts of each unit alone are not."""


def text_of(tokens: Int[np.ndarray, " token"], lengths: Sequence[int]) -> Text:
    """Windows side by side, each a document of its own, all of whose tokens count."""
    ends = np.append(0, np.cumsum(np.asarray(lengths, np.int64)))
    origin = np.arange(len(lengths), dtype=np.int32)
    return Text(tokens.astype(np.int32), ends, ends.copy(), origin, np.ones(len(tokens), bool))


def sorted_firings(
    place: Int[np.ndarray, " firing"], unit: Int[np.ndarray, " firing"], value: np.ndarray, tokens: int, units: int
) -> Firings:
    """Firings in whatever order, as rows of tokens. Raises: ValueError for one that stands there twice."""
    by = np.lexsort((unit, place))
    place, unit, value = place[by], unit[by], value[by]
    if bool(((place[1:] == place[:-1]) & (unit[1:] == unit[:-1])).any()):
        raise ValueError("a unit fires twice at one token")
    return by_token(place, unit, narrow(value.astype(np.float32)), tokens, units)
