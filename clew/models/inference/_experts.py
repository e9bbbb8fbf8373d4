"""Modules of experts: those that give what their experts give one by one, added up."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from clew.models.experts import Chosen, count, each
from clew.models.inference._proof import far
from clew.models.inference._seen import Seen, run
from clew.models.state import Held, in_state


def experts_in(seen: Seen, rooms: Iterable[str]) -> list[str]:
    """Paths below these of modules that are called as mixtures call their experts, and give the sum of them."""
    found: list[str] = []

    def work(held: Held) -> None:
        for path, module in seen.module.named_modules():
            if count(module) and any(f"{path}.".startswith(room) for room in rooms):
                held.hook(module, partial(_note, found, path), kwargs=True)
        run(seen.module, seen.tokens)

    in_state(seen.module, work)
    return [path for path in found if found.count(path) == 1]


def _note(found: list[str], path: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
    chosen = Chosen.of(args, kwargs)
    if chosen is None or not isinstance(output, Tensor) or output.shape != chosen.x.shape or not bool(output.any()):
        return
    if int(chosen.index.max()) < count(module):
        with torch.no_grad():
            if not far(each(module, chosen).sum(1).to(output), output):
                found.append(path)
