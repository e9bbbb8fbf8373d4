"""Modules of experts: those that give what their experts give one by one, added up."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from clew.models.experts import Chosen, biases, count, down_of, each, neurons, put_out
from clew.models.inference._proof import far
from clew.models.inference._seen import Seen, run
from clew.models.state import Held, in_state


def experts_in(seen: Seen, rooms: Iterable[str]) -> dict[str, bool]:
    """Paths below these of modules that are called as mixtures call their experts, and give the sum of them.

    Of each, whether what its experts give is their output projections of their hidden units.
    """
    found: list[tuple[str, bool]] = []

    def work(held: Held) -> None:
        for path, module in seen.module.named_modules():
            if count(module) and any(f"{path}.".startswith(room) for room in rooms):
                held.hook(module, partial(_note, found, path), kwargs=True)
        run(seen.module, seen.tokens)

    in_state(seen.module, work)
    paths = [path for path, _ in found]
    return {path: units for path, units in found if paths.count(path) == 1}


def _note(found: list[tuple[str, bool]], path: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
    chosen = Chosen.of(args, kwargs)
    if chosen is None or not isinstance(output, Tensor) or output.shape != chosen.x.shape or not bool(output.any()):
        return
    if int(chosen.index.max()) < count(module):
        with torch.no_grad():
            given = each(module, chosen)
            if not far(given.sum(1).to(output), output):
                found.append((path, _by_units(module, chosen, given)))


def _by_units(module: nn.Module, chosen: Chosen, given: Tensor) -> bool:
    """Whether hidden units, through output projections, and their biases times the weights, are what experts give."""
    if down_of(module) is None:
        return False
    try:
        whole = put_out(module, neurons(module, chosen))
    except Exception:  # whatever a module that was made for other projections raises
        return False
    return not far(whole + biases(module, chosen).to(whole), given)
