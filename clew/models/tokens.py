"""From text to tokens, and rows of tokens as tensors: the one rule for prompts, texts and answers.

A prompt is what the tokenizer makes of it, with the special tokens that it adds itself; ids are taken as they are.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

Prompt = str | Sequence[int]


def ids_of(tokenizer: Any, prompt: Prompt, name: str = "the prompt") -> list[int]:
    """The token ids of a prompt. Raises: ValueError for one without a token, under its name."""
    ids = list(tokenizer(prompt)["input_ids"]) if isinstance(prompt, str) else list(prompt)
    if not ids:
        raise ValueError(f"{name} ({prompt!r}) has no tokens")
    return ids


def by_length(rows: Sequence[Sized]) -> list[tuple[int, list[int]]]:
    """(length, indices of the rows of that length), shorter ones first: what may run together without padding.

    >>> by_length(["ab", "c", "de"])
    [(1, [1]), (2, [0, 2])]
    """
    found: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        found.setdefault(len(row), []).append(i)
    return sorted(found.items())


def left_padded(rows: Sequence[Sequence[int]]) -> tuple[Int[Tensor, "row seq"], Bool[Tensor, "row seq"]]:
    """Ids side by side at their ends, and which of them are real; what pads is 0.

    >>> left_padded([[5, 6, 7], [8]])[0]
    tensor([[5, 6, 7],
            [0, 0, 8]])
    """
    longest = max(map(len, rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, longest - len(row) :] = torch.tensor(row)
    return ids, torch.arange(longest) >= longest - torch.tensor([len(row) for row in rows])[:, None]
