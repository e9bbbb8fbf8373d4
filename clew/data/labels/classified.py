"""What a probe is to tell: texts with classes, and which of them belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from clew.evidence import Given


@dataclass(frozen=True, eq=False)
class Classified:
    """Texts, or the tokens before a secret's next one, each of one class."""

    texts: tuple[Given, ...]
    label: Int[np.ndarray, " example"]
    group: Int[np.ndarray, " example"]
    """Which secret or text each example is of; they are split and resampled as wholes."""
    at: int | Literal["mean"]
    """Which token of a text is read."""
    answers: Int[Tensor, " class"] | None
    """The token that says each class, where one does."""
    of: str
    """What the groups are: "texts" or "secrets"."""

    def pick(self, keep: Bool[np.ndarray, " example"]) -> Classified:
        """Some of the examples, in this order."""
        texts = tuple(t for t, yes in zip(self.texts, keep, strict=True) if yes)
        return replace(self, texts=texts, label=self.label[keep], group=self.group[keep])
