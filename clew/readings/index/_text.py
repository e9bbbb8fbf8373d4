"""The text of an index: its token ids once, its documents in a shuffled order, and the words that the ids stand for."""

from __future__ import annotations

# torch and transformers leave arguments of their methods without a type:
# pyright: reportUnknownMemberType=false
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int

from clew.data.text.windows import Windows
from clew.files import check_whole, entries, read_json, write_json
from clew.readings.source import permutation
from clew.tensors import check_held, map_tensors, write_tensors

TEXT, WORDS = "text.safetensors", "words.json"
FORMAT = "clew words"


@dataclass(frozen=True, eq=False)
class Text:
    """Tokens, and where windows and documents begin among them."""

    tokens: Int[np.ndarray, " token"]
    windows: Int[np.ndarray, " window_and_one"]
    documents: Int[np.ndarray, " document_and_one"]
    origin: Int[np.ndarray, " document"]
    """Which of the texts that were given each document is."""
    kept: Bool[np.ndarray, " token"]
    """The positions that were looked at."""

    @classmethod
    def of(cls, windows: Windows) -> Text:
        """Of windows whose documents lie together."""
        document = windows.document.numpy()
        first = np.flatnonzero(np.append(True, document[1:] != document[:-1]))
        ends = np.append(0, windows.lengths.cumsum(0).numpy())
        starts = np.append(ends[first], ends[-1])
        tokens = windows.flat.numpy().astype(np.int32)
        return cls(tokens, ends, starts, document[first].astype(np.int32), windows.kept.numpy())

    def save(self, folder: Path) -> None:
        """Write the file."""
        held = {"tokens": self.tokens, "windows": self.windows, "documents": self.documents, "origin": self.origin}
        write_arrays(folder / TEXT, {**held, "kept": self.kept.view(np.uint8)})

    @classmethod
    def load(cls, folder: Path) -> Text:
        """Map what `save` wrote. Raises: ValueError naming the file and what is wrong with it."""
        path = folder / TEXT
        held = map_tensors(path)
        check_held(held, ("tokens", "windows", "documents", "origin", "kept"), str(path))
        for name, array in held.items():
            kinds = {"windows": "i8", "documents": "i8", "kept": "u1"}
            if array.dtype != np.dtype(kinds.get(name, "i4")) or array.ndim != 1:
                raise ValueError(f"{name} in {path} is of {array.dtype} and {array.ndim} axes; it is no column of such")
        tokens, kept = held["tokens"], held["kept"]
        check_offsets(held["windows"], len(tokens), f"windows in {path}")
        check_offsets(held["documents"], len(tokens), f"documents in {path}")
        if len(kept) != len(tokens) or bool((kept > 1).any()) or bool((tokens < 0).any()):
            raise ValueError(f"tokens and kept in {path} are no ids from 0 on and a true or false for each")
        if len(held["origin"]) != len(held["documents"]) - 1 or not np.isin(held["documents"], held["windows"]).all():
            raise ValueError(f"documents in {path} are not made of its windows, each of one text")
        return cls(tokens, held["windows"], held["documents"], held["origin"], kept.view(bool))


def check_offsets(offsets: np.ndarray, end: int, what: str) -> None:
    """Raises: ValueError unless these begin at 0, end there and never fall."""
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != end or bool((np.diff(offsets) < 0).any()):
        raise ValueError(f"{what} do not go from 0 to {end}")


def write_arrays(path: Path, arrays: dict[str, np.ndarray], about: dict[str, str] | None = None) -> Path:
    """Arrays of numpy's in a file of tensors."""
    held = {name: torch.from_numpy(np.require(array, requirements=["C", "W"])) for name, array in arrays.items()}
    return write_tensors(path, held, about or {})


def arranged(windows: Windows, seed: int) -> Windows:
    """The windows of each document together, the documents in a seeded random order."""
    documents, which = windows.document.unique(return_inverse=True)
    turn = torch.empty(len(documents), dtype=torch.long)
    turn[permutation(len(documents), seed, 0)] = torch.arange(len(documents))
    return windows.take(turn[which].argsort(stable=True))


def words_of(tokenizer: Any, tokens: Int[np.ndarray, " token"]) -> dict[int, str]:
    """What each id in a text stands for, with the space before it; `<7>` where there is no tokenizer."""
    ids: list[int] = np.unique(tokens).tolist()
    if tokenizer is None:
        return {i: f"<{i}>" for i in ids}
    lead = tokenizer.decode(ids[:1])  # after which a word keeps the space before it, whatever the tokenizer
    said = (str(tokenizer.decode([ids[0], i])) for i in ids)
    return {
        i: text[len(lead) :] if text.startswith(lead) else str(tokenizer.decode([i]))
        for i, text in zip(ids, said, strict=True)
    }


def save_words(folder: Path, words: dict[int, str]) -> None:
    """Write the file."""
    write_json(folder / WORDS, {"format": FORMAT, "ids": list(words), "words": list(words.values())})


def load_words(folder: Path) -> dict[int, str]:
    """Read what `save_words` wrote. Raises: ValueError naming the file and what is wrong with it."""
    path = folder / WORDS
    held = read_json(path, FORMAT)
    check_whole(held, ("format", "ids", "words"), str(path))
    ids, words = (entries(held, name, kind, origin=str(path)) for name, kind in (("ids", int), ("words", str)))
    if len(ids) != len(words) or ids != sorted(set(ids)) or (ids and ids[0] < 0):
        raise ValueError(f"{path} has {len(words)} words for {len(ids)} ids, which count up from 0; each has one")
    return dict(zip(ids, words, strict=True))
