"""Plain lists of texts as evidence, and two sides of texts: what is wanted and what is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, overload

from clew.evidence import Given, Prompt, Side, digest, in_half, is_chat, is_prompt, prompt_of


@dataclass(frozen=True)
class TwoSides:
    """The two sides of some evidence, for estimators of what leads from one to the other."""

    wanted: tuple[Given, ...]
    unwanted: tuple[Given, ...]
    name: str
    hash: str
    """Name and hash of the evidence."""
    paired: bool = False
    """Whether text i of one side is the other of text i, but for what is wanted."""
    position: int | None = None
    """The token that the evidence says to read; None where it says nothing."""

    @property
    def about(self) -> dict[str, Any]:
        """What they are, as plain JSON."""
        sizes = {"wanted": len(self.wanted), "unwanted": len(self.unwanted), "paired": self.paired}
        return {"evidence": self.name, "evidence_hash": self.hash, **sizes}


@dataclass(frozen=True)
class Texts(Sequence[tuple[Prompt, ...]]):
    """One list of texts, or two: the wanted ones and the unwanted ones. What a verb makes of the lists it is given.

    >>> wanted, unwanted = Texts.of((["a good day"], ["a bad day"]))
    """

    splits: ClassVar[bool] = False
    running: ClassVar[bool] = True

    lists: tuple[tuple[Prompt, ...], ...]

    @classmethod
    def of(cls, given: Any) -> Any:
        """Lists as Texts: of texts, chats or token ids, or two lists of such; anything else as it is.

        Raises: ValueError where a side is one text, which would be read letter by letter, or one chat.
        """
        if not isinstance(given, list | tuple) or not given:
            return given
        if is_chat(given):
            raise ValueError("this is one chat, which would be read message by message; give a list of chats")
        if all(map(is_prompt, given)):
            return cls((tuple(map(prompt_of, given)),))
        if any(isinstance(side, str) for side in given):
            raise ValueError("a side is one text, which would be read letter by letter; give two lists of texts")
        return cls(tuple(tuple(map(prompt_of, side)) for side in given))

    @overload
    def __getitem__(self, index: int) -> tuple[Prompt, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[Prompt, ...], ...]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self.lists[index]

    def __len__(self) -> int:
        return len(self.lists)

    def __iter__(self) -> Iterator[tuple[Prompt, ...]]:
        return iter(self.lists)

    @property
    def name(self) -> str:
        return "two lists of texts" if len(self) == 2 else "a list of texts"

    @property
    def hash(self) -> str:
        """Of all texts in their order."""
        return digest(self.lists)

    def card(self) -> dict[str, Any]:
        """See `Evidence.card`."""
        return {"evidence": self.name, "evidence_hash": self.hash, "texts": [len(some) for some in self]}

    @property
    def train(self) -> Texts:
        """About half of the texts, of both lists."""
        return self._half("train")

    @property
    def test(self) -> Texts:
        """The other texts."""
        return self._half("test")

    def _half(self, which: Side) -> Texts:
        kept = {self.prompts()[i] for i in in_half(self.name, [[text] for text in self.prompts()], which)}
        return replace(self, lists=tuple(tuple(text for text in some if text in kept) for some in self))

    def prompts(self) -> list[Prompt]:
        """All texts."""
        return [text for some in self for text in some]

    def asked(self) -> list[Prompt]:
        """All texts."""
        return self.prompts()

    def two_sides(self, labelling: str | None = None, positive: str | None = None) -> TwoSides:
        """The first list, which is wanted, and the second. Raises: ValueError unless there are two."""
        if len(self) != 2:
            raise ValueError(
                f"{self.name} has no two sides, and one text is not read letter by letter; give two lists of texts"
            )
        return TwoSides(self[0], self[1], self.name, self.hash)
