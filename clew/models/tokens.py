"""From text to tokens, and rows of tokens as tensors: the one rule for prompts, texts and answers.

Text is what the tokenizer makes of it, with the special tokens that it adds itself, and with its start token once, also
where a template has written it already. A chat is rendered by the tokenizer's template, and is text then. Ids are taken as
they are.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from clew.evidence import Given, Message, Prompt, is_chat, is_prompt, prompt_of


def ids_of(tokenizer: Any, prompt: Given, name: str = "the prompt") -> list[int]:
    """The token ids of a prompt. Raises: ValueError for one without a token, or that is none, under its name."""
    known = prompt_of(prompt, name)
    ids = tokenised(tokenizer, [text_of(tokenizer, known)])[0] if in_words(known) else list(known)
    return _not_empty(ids, prompt, name)


def rows_of(holder: Any, prompts: Sequence[Given], name: str = "prompt") -> list[list[int]]:
    """The token ids of several prompts. Raises: as `ids_of`.

    Args: holder: of the tokenizer, such as a model; it is asked for one only where there are words. name: of one of them.
    """
    known = [prompt_of(prompt, f"{name} {i}") for i, prompt in enumerate(prompts)]
    words = [prompt for prompt in known if in_words(prompt)]
    read = iter(tokenised(holder.tokenizer, [text_of(holder.tokenizer, prompt) for prompt in words]) if words else ())
    rows = [next(read) if in_words(prompt) else list(prompt) for prompt in known]
    return [_not_empty(row, prompts[i], f"{name} {i}") for i, row in enumerate(rows)]


def _not_empty(ids: Any, prompt: Given, name: str) -> list[int]:
    if not ids:
        raise ValueError(f"{name} ({prompt!r}) has no tokens")
    return ids


def listed(prompts: Given | Sequence[Given]) -> list[Prompt]:
    """One prompt, or several, as a list.

    >>> listed("a text"), listed([5, 6]), listed(["two", "texts"])
    (['a text'], [(5, 6)], ['two', 'texts'])
    """
    return [prompt_of(prompts)] if is_prompt(prompts) else [prompt_of(p, f"prompt {i}") for i, p in enumerate(prompts)]


def in_words(prompt: Given) -> bool:
    """Whether a prompt is text or a chat, and not token ids."""
    return isinstance(prompt, str) or is_chat(prompt)


def text_of(tokenizer: Any, prompt: Given) -> str:
    """A prompt in words as text.

    A chat that ends in words of the assistant goes on there; after any other message its turn is opened.
    Raises: ValueError for a tokenizer without a chat template.
    """
    if isinstance(prompt, str):
        return prompt
    chat: Any = prompt_of(prompt)
    turn = {"continue_final_message": True} if chat[-1].role == "assistant" else {"add_generation_prompt": True}
    return as_text(tokenizer, chat, **turn)


def as_text(tokenizer: Any, chat: Sequence[Any], **turn: bool) -> str:
    """A chat as its tokenizer's template writes it. Raises: ValueError for a tokenizer without one."""
    check_template(tokenizer)
    messages = [m._asdict() if isinstance(m, Message) else dict(m) for m in chat]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, **turn))


def check_template(tokenizer: Any) -> None:
    """Raises: ValueError for a tokenizer that cannot render chats."""
    if not tokenizer.chat_template:
        raise ValueError("this tokenizer has no chat template; open an instruct model, or set tokenizer.chat_template")


def tokenised(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Texts in tokens."""
    if not texts:
        return []
    lead = lead_of(tokenizer)
    rows = tokenizer(list(texts), return_attention_mask=False, verbose=False)["input_ids"]
    return [row[twice(lead, row) :] for row in rows]


def with_offsets(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """A text in tokens, and which of its characters (from, to) each token holds."""
    coded = tokenizer(text, return_offsets_mapping=True, verbose=False)
    spare = twice(lead_of(tokenizer), coded["input_ids"])
    return coded["input_ids"][spare:], coded["offset_mapping"][spare:]


def lead_of(tokenizer: Any) -> list[int]:
    """What the tokenizer puts before a text by itself: nothing, or its start token."""
    with_special, alone = tokenizer("a")["input_ids"], bare(tokenizer, "a")
    starts = [i for i in range(len(with_special)) if with_special[i : i + len(alone)] == alone]
    return list(with_special[: starts[0]]) if alone and starts else []


def bare(tokenizer: Any, text: str) -> list[int]:
    """A text in tokens, without what the tokenizer adds."""
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def twice(lead: Sequence[int], ids: Sequence[int]) -> int:
    """How many tokens at the start are there a second time: the lead was added to a text that began with it."""
    n = len(lead)
    return n if list(ids[:n]) == list(ids[n : 2 * n]) == list(lead) else 0


def by_length(rows: Sequence[Sized]) -> list[tuple[int, list[int]]]:
    """(length, indices of the rows of that length), shorter ones first: what may run together without padding.

    >>> by_length(["ab", "c", "de"])
    [(1, [1]), (2, [0, 2])]
    """
    found: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        found.setdefault(len(row), []).append(i)
    return sorted(found.items())


def padded(
    rows: Sequence[Sequence[int]], *, left: bool = True, pad: int = 0
) -> tuple[Int[Tensor, "row seq"], Bool[Tensor, "row seq"]]:
    """Ids side by side at their ends, or at their beginnings, and which of them are real.

    >>> padded([[5, 6, 7], [8]])[0]
    tensor([[5, 6, 7],
            [0, 0, 8]])
    """
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    real = torch.zeros_like(ids, dtype=torch.bool)
    for i, row in enumerate(rows):
        here = slice(longest - len(row), longest) if left else slice(0, len(row))
        ids[i, here], real[i, here] = torch.tensor(row), True
    return ids, real


def check_ids(tokens: Tensor, known: int, whose: str, shown: Tensor | None = None) -> None:
    """Raises: ValueError unless these are ids [batch, seq], each of the `known` of a model, or of what it was `shown`."""
    numbers = not (tokens.is_floating_point() or tokens.is_complex() or tokens.dtype == torch.bool)
    if tokens.ndim != 2 or not tokens.numel() or not numbers:
        raise ValueError(f"tokens must be ids [batch, seq]; these are {tuple(tokens.shape)} of {tokens.dtype}")
    strange = (tokens < 0) | (tokens >= known)
    strange = strange if shown is None else strange & ~shown
    if bool((strange & (tokens >= SHOWN)).any()):
        raise ValueError(
            f"a prompt holds ids of something that {whose} was not shown; show it first: model.show(pixel_values=...)"
        )
    if not known and bool(strange.any()):
        raise ValueError(f"{whose} takes no tokens; model.show(...) gives the prompt for what it takes")
    if bool(strange.any()):
        row, column = strange.nonzero()[0].tolist()
        raise ValueError(
            f"{int(strange.sum())} of {tokens.numel()} token ids are not among those of {whose}, 0 to {known - 1}; the "
            f"first is {int(tokens[row, column])}, at position {column} of prompt {row}"
        )


SHOWN = 1 << 62
"""Ids from here on stand for what was shown to a model; see `clew.models.inputs`."""

BREAK = SHOWN
"""Stands in a row between what an encoder is asked and what its decoder has written; no position of either."""


def check_lengths(lengths: Int[Tensor, " prompt"], room: int | None, whose: str) -> None:
    """Raises: ValueError for prompts of more tokens than a model was made for. Args: room: None where nothing limits it."""
    over = torch.zeros_like(lengths) if room is None else lengths > room
    if bool(over.any()):
        first = int(over.nonzero()[0])
        raise ValueError(
            f"{int(over.sum())} of {len(lengths)} prompts are longer than the {room} tokens that {whose} is made for; "
            f"prompt {first} has {int(lengths[first])}: shorten it, or cut it into windows"
        )
