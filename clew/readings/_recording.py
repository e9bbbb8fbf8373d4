"""What recordings share: the windows that are read, how they fall into parts, and the plan that stands in the folder."""

from __future__ import annotations

# torch and transformers leave arguments of their methods without a type:
# pyright: reportUnknownMemberType=false
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from clew.data.text.windows import Windows, cut, of_ids
from clew.evidence import Given, is_prompt
from clew.files import write_json
from clew.models import Model
from clew.models.tokens import check_lengths, in_words
from clew.scale.alone import alone
from clew.tensors import open_tensors

MADE_IN: dict[str, type[Any]] = {"model": str, "weights": str, "edits": list, "run in": str}
"""What every plan says of the model that ran."""


def made_in(model: Model) -> dict[str, Any]:
    """The model that runs, its weights, its edits, and the dtype."""
    return {
        "model": model.name,
        "weights": model.body.fingerprint,
        "edits": [str(edit) for edit in model.edits],
        "run in": str(model.body.dtype).removeprefix("torch."),
    }


def windows_of(model: Model, texts: Given | Iterable[Given] | Windows, tokens: int | None) -> Windows:
    """What is recorded: texts are cut, rows of ids are windows as they are.

    Raises: ValueError for windows that are longer than what the model is made for.
    """
    if isinstance(texts, Windows):
        windows = texts if tokens is None else texts.first(tokens)
    elif (rows := _in_ids(texts)) is not None:
        windows = of_ids(rows, limit=100_000 if tokens is None else tokens)
    else:
        windows = cut(texts, model.tokenizer, limit=100_000 if tokens is None else tokens)
    check_lengths(windows.lengths, model.body.context, model.name)
    return windows


def _in_ids(texts: Given | Iterable[Given]) -> Sequence[Sequence[int]] | None:
    """The rows, where ids are given and no texts."""
    given: Any = [texts] if is_prompt(texts) else texts
    if isinstance(given, Sequence) and given and not in_words(cast("Given", given[0])):
        return cast("Sequence[Sequence[int]]", given)
    return None


def groups(windows: Windows, size: int) -> list[Tensor]:
    """The windows of each part: as they come, about `size` positions that count in each."""
    counts = windows.kept_lengths
    number = (counts.cumsum(0) - counts) // size
    _, sizes = cast("tuple[Tensor, Tensor]", number.unique_consecutive(return_counts=True))
    return list(torch.split(torch.arange(len(windows)), cast("list[int]", sizes.tolist())))


def plant(path: Path, about: Mapping[str, Any], read: Callable[[Path], Mapping[str, Any]], what: str) -> None:
    """Write a plan, where no other process has written it yet. Raises: ValueError where that is another."""
    with alone(path.parent, "beginning", lock=".plan.lock", wait=True):
        if path.exists():
            check_same(path.parent, about, read(path.parent), what)
        else:
            write_json(path, about)


def check_same(folder: Path, about: Mapping[str, Any], there: Mapping[str, Any], what: str) -> None:
    """Raises: ValueError where another plan stands in the folder."""
    if other := [key for key in about if there.get(key) != about[key]]:
        raise ValueError(
            f"{folder} holds another {what} (it differs in {', '.join(other)}); choose another folder or remove it"
        )


def is_whole(path: Path) -> bool:
    """Whether a file of tensors is there, all of it."""
    try:
        with open_tensors(path):
            return True
    except ValueError:
        return False
