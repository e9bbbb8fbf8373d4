"""Contexts: beginnings of text of which a model is sure how they go on, and the token that follows each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.files import check_whole, parse_json, typed, whole
from clew.tensors import check_finite, check_held, read_tensors, write_tensors

TOKENS = 2048
FORMAT = "clew contexts"
COUNTED = ("judged", "sure", "right", "not repeated", "chosen", "sure in so many tokens", "different")
COLUMNS = ("ids", "length", "answer", "loss", "document")


@dataclass(frozen=True, eq=False)
class Contexts:
    """Beginnings of text, and the token that follows each."""

    ids: Int[np.ndarray, "context seq"]
    """Left padded by 0 where they differ in length."""
    length: Int[np.ndarray, " context"]
    answer: Int[np.ndarray, " context"]
    loss: Float[np.ndarray, " context"]
    """-log p(answer), in nats; nan where nobody asked."""
    document: Int[np.ndarray, " context"]
    """Which text each is from."""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many places were left after each rule, in its order."""

    def __len__(self) -> int:
        return len(self.answer)

    def __repr__(self) -> str:
        return f"Contexts({len(self)} of {len(np.unique(self.document))} documents)"

    @classmethod
    def of(cls, prompts: Sequence[Sequence[int]], answers: Sequence[int]) -> Contexts:
        """Contexts that are given, each a document of its own.

        >>> Contexts.of([[5, 6], [7]], [1, 2]).ids.tolist()
        [[5, 6], [0, 7]]
        """
        if not prompts or len(prompts) != len(answers) or not all(map(len, prompts)):
            raise ValueError(
                f"{len(prompts)} contexts and {len(answers)} answers; give as many of both, and none empty"
            )
        longest = max(map(len, prompts))
        ids = np.array([[0] * (longest - len(one)) + list(one) for one in prompts], np.int64)
        length, answer = np.array(list(map(len, prompts))), np.array(answers, np.int64)
        return cls(ids, length, answer, np.full(len(answer), np.nan, np.float32), np.arange(len(answer)))

    def take(self, index: Int[np.ndarray, " some"] | Bool[np.ndarray, " context"]) -> Contexts:
        """Some of them."""
        return replace(self, **{name: getattr(self, name)[index] for name in COLUMNS})

    def prompt(self, i: int) -> list[int]:
        """The ids of one, without padding."""
        ids: list[int] = self.ids[i, self.ids.shape[1] - self.length[i] :].tolist()
        return ids

    def batches(self, tokens: int = TOKENS) -> Iterator[tuple[Int[np.ndarray, " row"], Tensor, Tensor, Tensor]]:
        """Which contexts, their ids and which of these are real, [row, seq], and their answers; of like length together."""
        order = np.argsort(self.length, kind="stable")
        first = 0
        while first < len(order):
            last = first + 1
            while last < len(order) and (last + 1 - first) * self.length[order[last]] <= tokens:
                last += 1
            index, first = order[first:last], last
            longest = int(self.length[index].max())
            ids = torch.from_numpy(self.ids[index, self.ids.shape[1] - longest :])
            real = torch.arange(longest) >= longest - torch.from_numpy(self.length[index])[:, None]
            yield index, ids, real, torch.from_numpy(self.answer[index])

    @cached_property
    def hash(self) -> str:
        """Of every context and its answer."""
        content = hashlib.sha256()
        for name in ("ids", "length", "answer"):
            content.update(np.ascontiguousarray(getattr(self, name), np.int64).tobytes())
        return content.hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"counts": dict(self.counts), **{name: getattr(self, name).tolist() for name in COLUMNS}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Contexts:
        """What `to_json` gave."""
        kinds = dict.fromkeys(COLUMNS, np.int64) | {"loss": np.float32}
        columns: dict[str, Any] = {name: np.array(value[name], kinds[name]) for name in COLUMNS}
        n, ids = len(columns["answer"]), columns["ids"]
        return cls(**columns | {"ids": ids.reshape(n, ids.size // max(1, n))}, counts=value["counts"])

    def shards(self, size: int) -> Iterator[dict[str, Any]]:
        """The prompts and answers of so many at a time, as plain JSON."""
        for first in range(0, len(self), size):
            some = range(first, min(first + size, len(self)))
            yield {"contexts": [self.prompt(i) for i in some], "answers": self.answer[first : first + size].tolist()}

    def save(self, path: str | Path, made_of: Mapping[str, str] = MappingProxyType({})) -> Path:
        """One file of tensors. Args: made_of: said in its header beside."""
        tensors = {name: torch.from_numpy(np.ascontiguousarray(getattr(self, name))) for name in COLUMNS}
        return write_tensors(path, tensors, {"format": FORMAT, "counts": json.dumps(dict(self.counts)), **made_of})

    @classmethod
    def load(cls, path: str | Path) -> Contexts:
        """Raises: ValueError naming the file and what is wrong with it."""
        with whole(path, "contexts"):
            tensors, about = read_tensors(path)
            check_held(tensors, COLUMNS, str(path))
            check_finite({name: t for name, t in tensors.items() if name != "loss"}, str(path))
            columns: dict[str, Any] = {name: tensors[name].numpy() for name in COLUMNS}
            found = cls(**columns)
            shapes = {getattr(found, name).shape for name in COLUMNS[1:]}
            if found.ids.ndim != 2 or shapes != {(len(found.ids),)} or found.ids.dtype.kind != "i":
                raise ValueError(f"its columns have the shapes {sorted(shapes)} beside ids {found.ids.shape}")
            if not ((found.length > 0) & (found.length <= found.ids.shape[1])).all():
                raise ValueError(f"the lengths are not between 1 and {found.ids.shape[1]}")
            counts = parse_json(about.get("counts", "{}"), "its counts")
            check_whole(counts, COUNTED if counts else (), "its counts")
            return replace(found, counts={name: typed(n, f"counts: {name}", int) for name, n in counts.items()})


def joined(parts: Sequence[Contexts]) -> Contexts:
    """The contexts of several searches of one length, equal ones once. Raises: ValueError where there are none."""
    counts = {name: sum(part.counts.get(name, 0) for part in parts) for name in COUNTED}
    if not any(map(len, parts)):
        raise ValueError(f"no place of this text is left by the rules ({_said(counts)}); ask less, or give more text")
    full = [part for part in parts if len(part)]
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in full]) for name in COLUMNS}
    found = Contexts(**columns)
    first = {(*found.prompt(i), int(found.answer[i])): i for i in range(len(found) - 1, -1, -1)}
    return replace(found.take(np.array(sorted(first.values()))), counts={**counts, "different": len(first)})


def _said(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in counts.items())
