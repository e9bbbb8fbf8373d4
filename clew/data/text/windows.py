"""Windows: texts and chats as runs of tokens that are ready for a model, and which of their positions count.

How a text is cut decides what a dictionary learns (FAST, arXiv:2506.07691), so every Windows says how it was cut:
its `policy` goes into stores and reports, with a hash of all that is in the windows.
"""

from __future__ import annotations

# torch and transformers leave arguments of their methods without a type:
# pyright: reportUnknownMemberType=false
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar, Literal, cast, get_args

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from clew.data.text.texts import CLASSES, Chat, rendered, sentences, token_classes, windows
from clew.doors import door
from clew.evidence import Given, Prompt, Side, in_half, is_chat, is_prompt
from clew.models.tokens import SHOWN, as_text, lead_of, twice

Packing = Literal["sentences", "documents", "blocks", "none"]
AT_ONCE = 128
"""Texts that are read and encoded together."""


@dataclass(frozen=True)
class WindowBatch:
    """Windows of like length, padded, as `model.run` takes them."""

    ids: Int[Tensor, "batch seq"]
    real: Bool[Tensor, "batch seq"]
    """False on padding."""
    keep: Bool[Tensor, "batch seq"]
    """The positions that count; never padding."""
    document: Int[Tensor, " batch"]
    index: Int[Tensor, " batch"]
    """Which window of the whole each row is."""
    classes: Int[Tensor, "batch seq"] | None = None
    """Of chats: index into CLASSES; -1 on padding."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Token windows of texts; made by `cut` and `chats`. One flat tensor holds all of them."""

    splits: ClassVar[bool] = False
    running: ClassVar[bool] = True
    shows_edits: ClassVar[str] = "locality"

    flat: Int[Tensor, " token"]
    """The tokens of all windows, one window after the other."""
    lengths: Int[Tensor, " window"]
    kept: Bool[Tensor, " token"]
    """The positions that count: not the first `skip` of a window, nor what the policy leaves out."""
    document: Int[Tensor, " window"]
    """Which text each window came from, counted from 0."""
    policy: Mapping[str, Any]
    """How the texts were cut, and a hash of the outcome."""
    flat_classes: Int[Tensor, " token"] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def __repr__(self) -> str:
        return f"Windows({len(self)} windows, {self.tokens} positions that count, {self.policy['packing']})"

    @property
    def name(self) -> str:
        return "text"

    @cached_property
    def hash(self) -> str:
        """Of all that is in the windows."""
        content = hashlib.sha256()
        for tensor in (self.flat, self.lengths, self.kept, self.document, self.flat_classes):
            content.update(b"" if tensor is None else tensor.numpy().tobytes())
        return content.hexdigest()[:16]

    def card(self) -> dict[str, Any]:
        """See `Evidence.card`."""
        return {"text": {**self.policy, "hash": self.hash}}

    @property
    def train(self) -> Windows:
        """The windows of about half of the documents; `split` draws another share."""
        return self._half("train")

    @property
    def test(self) -> Windows:
        """The windows of the other documents."""
        return self._half("test")

    def _half(self, which: Side) -> Windows:
        """Documents that hold an equal window stay together. Under "blocks" a window goes where its first document goes."""
        documents = dict[int, list[Prompt]]()
        for document, prompt in zip(cast("list[int]", self.document.tolist()), self.prompts(), strict=True):
            documents.setdefault(document, []).append(prompt)
        chosen = torch.tensor(list(documents))[in_half(self.name, list(documents.values()), which)]
        return self.take(torch.isin(self.document, chosen).nonzero()[:, 0]).hashed(half=which)

    def prompts(self) -> list[Prompt]:
        """The ids of each window."""
        return [tuple(cast("list[int]", ids.tolist())) for ids in self.ids]

    def asked(self) -> list[Prompt]:
        """The ids of each window."""
        return self.prompts()

    @cached_property
    def tokens(self) -> int:
        """How many positions count."""
        return int(self.kept.sum())

    @cached_property
    def ids(self) -> tuple[Int[Tensor, " token"], ...]:
        """The tokens of each window."""
        return self._each(self.flat)

    @cached_property
    def keep(self) -> tuple[Bool[Tensor, " token"], ...]:
        """For each window, which positions count."""
        return self._each(self.kept)

    @cached_property
    def classes(self) -> tuple[Int[Tensor, " token"], ...] | None:
        """Of chats: for each window, the token class of each position, as an index into CLASSES."""
        return None if self.flat_classes is None else self._each(self.flat_classes)

    def _each(self, flat: Tensor) -> tuple[Tensor, ...]:
        return torch.split(flat, cast("list[int]", self.lengths.tolist()))

    @cached_property
    def starts(self) -> Int[Tensor, " window"]:
        """Where each window starts in `flat`."""
        return self.lengths.cumsum(0) - self.lengths

    @cached_property
    def kept_lengths(self) -> Int[Tensor, " window"]:
        """How many positions of each window count."""
        counted = torch.cat([torch.zeros(1, dtype=torch.long), self.kept.cumsum(0)])
        return counted[self.starts + self.lengths] - counted[self.starts]

    def batches(self, tokens: int = 2048, *, left: bool = True) -> Iterator[WindowBatch]:
        """Every window once, longest first, alike lengths together; about `tokens` with the padding in each batch.

        Args: left: on which side they are padded; for a model that reads both ways, not on the left.
        """
        order, first = self.lengths.argsort(descending=True, stable=True), 0
        while first < len(order):
            longest = int(self.lengths[order[first]])
            index = order[first : first + max(1, tokens // longest)]
            first += len(index)
            lengths = self.lengths[index, None]
            column = torch.arange(longest) + (lengths - longest if left else torch.zeros_like(lengths))
            real = (column >= 0) & (column < lengths)
            place = self.starts[index, None] + column.clamp(min=0).minimum(lengths - 1)
            classes = None if self.flat_classes is None else self.flat_classes[place].long().masked_fill(~real, -1)
            ids, keep = self.flat[place].long() * real, self.kept[place] & real
            yield WindowBatch(ids, real, keep, self.document[index], index, classes)

    def take(self, index: Int[Tensor, " some"]) -> Windows:
        """Some of the windows, in this order; the policy stays that of the whole."""
        lengths = self.lengths[index]
        ends = lengths.cumsum(0)
        place = torch.arange(int(lengths.sum())) + (self.starts[index] - ends + lengths).repeat_interleave(lengths)
        classes = None if self.flat_classes is None else self.flat_classes[place]
        return Windows(self.flat[place], lengths, self.kept[place], self.document[index], self.policy, classes)

    def first(self, tokens: int) -> Windows:
        """The first windows, until `tokens` positions count."""
        enough = self.kept_lengths.cumsum(0) - self.kept_lengths < tokens
        return self if bool(enough.all()) else self.take(enough.nonzero()[:, 0]).hashed(first=tokens)

    def shuffled(self, seed: int) -> Windows:
        """The same windows in a seeded random order."""
        g = torch.Generator().manual_seed(seed)
        return self.take(torch.randperm(len(self), generator=g)).hashed(shuffled=seed)

    def split(self, fraction: float, seed: int = 0) -> tuple[Windows, Windows]:
        """Two parts, the first of `fraction` of the documents; no document is in both.

        Under "blocks" a window that holds several documents goes where its first one goes.
        Raises: ValueError when a part would be empty.
        """
        documents = cast("Tensor", self.document.unique())
        first = round(fraction * len(documents))
        if not 0 < first < len(documents):
            raise ValueError(
                f"{fraction} of {len(documents)} documents leaves one part empty; give more texts or a fraction in between"
            )
        order = documents[torch.randperm(len(documents), generator=torch.Generator().manual_seed(seed))]
        inside = torch.isin(self.document, order[:first])
        parts = ((inside, "first"), (~inside, "second"))
        one, two = (self.take(i.nonzero()[:, 0]).hashed(split=[name, fraction, seed]) for i, name in parts)
        return one, two

    def hashed(self, **also: Any) -> Windows:
        """The same windows, whose policy also says this, how many there are, and a hash of all that is in them."""
        documents = cast("Tensor", self.document.unique())
        counts = {"documents": len(documents), "windows": len(self), "positions": self.tokens}
        return replace(self, policy={**self.policy, **also, **counts, "hash": self.hash})


@door()
def cut(
    texts: Given | Iterable[Given],
    tokenizer: PreTrainedTokenizerBase,
    *,
    context: int = 64,
    packing: Packing = "sentences",
    bos: bool | None = None,
    special: Literal["keep", "drop"] = "keep",
    skip: int = 1,
    limit: int | None = None,
) -> Windows:
    """Cut texts into token windows.

    Args:
        texts: read only as far as `limit` needs; a chat among them is text as the tokenizer's template renders it (`chats`
            keeps chats whole, and knows who wrote which token).
        context: longest window, in tokens.
        packing: "sentences": a window starts where a sentence starts and never crosses texts; "documents": each text
            is cut every `context` tokens; "blocks": texts are joined by the end-of-text token and cut every
            `context` tokens, the way most dictionaries were trained; "none": each text is one window, the rest cut off.
        bos: whether every window starts with the beginning-of-text token; None is what the tokenizer does to a text. A text
            that begins with it gets no second one.
        special: whether special tokens count.
        skip: leave out this many first positions of a window: the first token is an attention sink whose
            norm is far from all others.
        limit: stop when this many positions count, at the end of a window.

    Raises: ValueError for a packing that is none, a token that the tokenizer lacks, or texts without a position that counts.
    """
    if packing not in get_args(Packing):
        raise ValueError(f"there is no packing {packing!r}; choose from {', '.join(get_args(Packing))}")
    if special not in ("keep", "drop"):
        raise ValueError(f"special={special!r}: special tokens are either 'keep' or 'drop'")
    lead = _lead(tokenizer, bos)
    room = context - len(lead)
    if context <= skip or room < 1:
        raise ValueError(
            f"context={context} leaves no position that counts, with skip={skip} and {len(lead)} tokens to "
            "start a window; give a longer context"
        )
    numbered = _numbered([texts] if is_prompt(texts) else texts, tokenizer)
    if packing == "sentences":
        pieces = _sentences(numbered, tokenizer, room)
    elif packing == "blocks":
        pieces = _blocks(numbered, tokenizer, room)
    else:
        pieces = _documents(numbered, tokenizer, room, whole=packing == "documents")
    counts = np.ones(_vocabulary(tokenizer), dtype=bool)
    if special == "drop":
        counts[tokenizer.all_special_ids] = False
    policy = {
        "packing": packing,
        "context": context,
        "bos": bool(lead),
        "special": special,
        "skip": skip,
        "limit": limit,
    }
    made = (([*lead, *ids[twice(lead, [*lead, *ids]) :]], document, None) for document, ids in pieces)
    return _pile(made, lambda ids, _: counts[ids], skip, limit, policy)


def chats(
    conversations: Iterable[Chat],
    tokenizer: PreTrainedTokenizerBase,
    *,
    context: int = 8192,
    roles: Sequence[str] | None = None,
    skip: int = 1,
    limit: int | None = None,
) -> Windows:
    """Conversations through the tokenizer's chat template, one window each, whole and in order.

    A window starts as every text does: with the tokens that the tokenizer puts there itself, once.

    Args:
        conversations: lists of messages {"role": ..., "content": ...}.
        context: longest window; what is beyond is cut off, and the policy says of how many windows.
        roles: which token classes count, of "special" (what the template adds, and special tokens), "user",
            "assistant" and "other" (system prompts, tools); all by default.
        skip, limit: as for `cut`.

    Raises: ValueError for a tokenizer without a chat template or without offsets, or a message that is none.
    """
    chosen = CLASSES if roles is None else tuple(roles)
    unknown = [r for r in chosen if r not in CLASSES]
    if unknown or not chosen:
        raise ValueError(f"roles={roles}: choose from {', '.join(CLASSES)}")
    if context <= skip:
        raise ValueError(f"context={context} leaves no position that counts, with skip={skip}; give a longer context")
    counts = np.array([name in chosen for name in CLASSES])
    lead, cut_off = lead_of(tokenizer), 0

    def made() -> Iterator[tuple[Sequence[int], int, np.ndarray]]:
        nonlocal cut_off
        for some in _chunks(enumerate(conversations)):
            texts, spans = zip(*(rendered(chat, tokenizer, f"conversation {i}") for i, chat in some), strict=True)
            coded = tokenizer(
                list(texts),
                add_special_tokens=False,
                return_offsets_mapping=True,
                return_attention_mask=False,
                verbose=False,
            )
            for (i, _), ids, offsets, where in zip(
                some, coded["input_ids"], coded["offset_mapping"], spans, strict=True
            ):
                missing = lead[twice(lead, [*lead, *ids]) :]
                ids, offsets = [*missing, *ids], [*[(0, 0)] * len(missing), *offsets]
                cut_off += len(ids) > context
                classes = token_classes(ids, offsets, where, tokenizer.all_special_ids)
                yield ids[:context], i, classes[:context]

    policy = {"packing": "chats", "context": context, "roles": list(chosen), "skip": skip, "limit": limit}
    found = _pile(made(), lambda _, classes: counts[classes], skip, limit, policy)
    return replace(found, policy={**found.policy, "cut off": cut_off})


def of_ids(rows: Iterable[Sequence[int]], *, skip: int = 0, limit: int | None = None) -> Windows:
    """Rows of ids as windows, each whole and as it is: token ids, or what `model.show` gives for pictures.

    Args: skip, limit: as for `cut`. Raises: ValueError for rows without a position that counts.

    >>> of_ids([[5, 6, 7], [8, 9]])
    Windows(2 windows, 5 positions that count, ids)
    """
    made = ((row, i, None) for i, row in enumerate(rows))
    policy = {"packing": "ids", "skip": skip, "limit": limit}
    return _pile(made, lambda ids, _: np.ones(len(ids), dtype=bool), skip, limit, policy)


def _lead(tokenizer: PreTrainedTokenizerBase, bos: bool | None) -> list[int]:
    """What every window starts with."""
    if bos is None:
        return lead_of(tokenizer)
    first: Any = tokenizer.bos_token_id
    if bos and first is None:
        raise ValueError("bos=True, but this tokenizer has no beginning-of-text token; leave bos out, or say False")
    return [int(first)] if bos else []


def _vocabulary(tokenizer: PreTrainedTokenizerBase) -> int:
    return 1 + max([len(tokenizer), *tokenizer.get_vocab().values(), *tokenizer.all_special_ids])


Pieces = Iterator[tuple[int, list[int]]]


def _encoded(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    if not texts:
        return []
    return tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]


def _numbered(texts: Iterable[Any], tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[int, str]]:
    for i, text in enumerate(texts):
        if is_chat(text):
            text = as_text(tokenizer, text)
        if not isinstance(text, str):
            raise ValueError(f"text {i} is no text but {text!r:.60}")
        yield i, text


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    items = iter(items)
    while some := list(islice(items, AT_ONCE)):
        yield some


def _sentences(texts: Iterable[tuple[int, str]], tokenizer: PreTrainedTokenizerBase, room: int) -> Pieces:
    """As `texts.windows`, with the sentences of many texts encoded at once: to start a window and within one."""
    for some in _chunks(texts):
        strings = list({form for _, text in some for s in sentences(text) for form in (s, f" {s}")})
        table = dict(zip(strings, _encoded(strings, tokenizer), strict=True))
        for document, text in some:
            yield from ((document, window) for window in windows([text], table.__getitem__, room))


def _documents(
    texts: Iterable[tuple[int, str]], tokenizer: PreTrainedTokenizerBase, room: int, *, whole: bool
) -> Pieces:
    for some in _chunks(texts):
        for (document, _), ids in zip(some, _encoded([text for _, text in some], tokenizer), strict=True):
            for first in range(0, len(ids) if whole else min(len(ids), 1), room):
                yield document, ids[first : first + room]


def _blocks(texts: Iterable[tuple[int, str]], tokenizer: PreTrainedTokenizerBase, room: int) -> Pieces:
    end: Any = tokenizer.eos_token_id
    if end is None:
        raise ValueError(
            "packing='blocks' joins texts by the end-of-text token, which this tokenizer does not have; use 'documents'"
        )
    ids: list[int] = []
    owner: list[int] = []
    for some in _chunks(texts):
        for (document, _), row in zip(some, _encoded([text for _, text in some], tokenizer), strict=True):
            ids += [*row, int(end)]
            owner += [document] * (len(row) + 1)
        full = len(ids) - len(ids) % room
        yield from ((owner[first], ids[first : first + room]) for first in range(0, full, room))
        ids, owner = ids[full:], owner[full:]
    if ids:
        yield owner[0], ids


def _pile(
    made: Iterable[tuple[Sequence[int], int, np.ndarray | None]],
    counting: Callable[[np.ndarray, Any], np.ndarray],
    skip: int,
    limit: int | None,
    policy: dict[str, Any],
) -> Windows:
    """All windows with a position that counts, until `limit` positions count."""
    rows: list[np.ndarray] = []
    keeps: list[np.ndarray] = []
    classes: list[np.ndarray] = []
    documents: list[int] = []
    total = 0
    for ids, document, kinds in made:
        row = np.array(ids, dtype=np.int32 if max(ids, default=0) < SHOWN else np.int64)
        keep = counting(row, kinds)
        keep[:skip] = False
        found = int(keep.sum())
        if found:
            rows.append(row)
            keeps.append(keep)
            documents.append(document)
            if kinds is not None:
                classes.append(kinds)
            total += found
            if limit is not None and total >= limit:
                break
    if not rows:
        raise ValueError(
            f"there is nothing to record or to learn from: the texts gave no window with a position that "
            f"counts beyond the first {skip}"
        )
    flat = [torch.as_tensor(np.concatenate(parts)) for parts in (rows, keeps)]
    lengths = torch.tensor([len(row) for row in rows])
    kinds = torch.as_tensor(np.concatenate(classes)) if classes else None
    return Windows(flat[0], lengths, flat[1], torch.tensor(documents), policy, kinds).hashed()
