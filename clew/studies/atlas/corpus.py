"""The text of an atlas: named sources, so that what may be shown of it can be told from what may not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clew.data.text.texts import shuffled_texts
from clew.evidence import digest


@dataclass(frozen=True)
class Corpus:
    """Texts of several sources, mixed."""

    names: tuple[str, ...]
    texts: tuple[str, ...]
    source: tuple[int, ...]
    """Of each text the number of its source."""

    @classmethod
    def of(cls, texts: Mapping[str, Iterable[str]], *, seed: int = 0) -> Corpus:
        """The texts of every source in a seeded random order, so that a part is a fair sample of all.

        >>> Corpus.of({"poems": ["a rose"], "prose": ["it is"]}).names
        ('poems', 'prose')
        """
        names = tuple(texts)
        listed = [(number, text) for number, name in enumerate(names) for text in texts[name]]
        if not listed:
            raise ValueError("there is no text; give at least one source with one")
        order = [int(i) for i in shuffled_texts(map(str, range(len(listed))), seed)]
        return cls(names, tuple(listed[i][1] for i in order), tuple(listed[i][0] for i in order))

    @property
    def hash(self) -> str:
        """Of every text and its source."""
        return digest([list(self.names), list(self.texts), list(self.source)])
