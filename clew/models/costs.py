"""Costs: what some work asked of a model, counted where it happens.

The unit is one token through one block. A block counts when the first of its parts runs: one that a resumed run hands
on from its record is free, and a run that stops inside one pays for all of it. What lies outside the blocks (embedding,
unembedding, the arithmetic of a method) shows in the seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clew.models.model import Model
from clew.models.state import state


@dataclass
class Cost:
    """What was spent; seconds and memory are known when the block ends."""

    layers: int
    """Blocks of the model: a token through all of them is one forward of a token."""
    forward_tokens: int = 0
    """Tokens that went into a block, summed over blocks."""
    backward_tokens: int = 0
    """Tokens whose gradient went into a block from above, summed over blocks."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Processor time of this process, all its threads together."""
    memory: int | None = None
    """Bytes by which the peak exceeds what was held at the start: of the GPU's memory if the model is there, else of
    this process; None where the system does not say. Memory that the process already had and uses again is not seen."""

    def forwards(self, tokens: int) -> float:
        """In passes of the whole model over that many tokens."""
        return self.forward_tokens / (self.layers * tokens)

    def backwards(self, tokens: int) -> float:
        """Likewise; a backward through the upper half of the model is half a pass."""
        return self.backward_tokens / (self.layers * tokens)


@contextmanager
def counted(model: Model) -> Iterator[Cost]:
    """Count what happens to the model's module inside, through whichever view of it; other threads wait meanwhile.

    Example: `with counted(model) as cost: eap(model, behaviour)`, then `cost.forwards(tokens)`.
    """
    body, cost, open, at_the_door = model.body, Cost(model.n_layers), True, 0
    _ = body.widths, body.block_returns_tuple  # known from a run of their own, made once

    def called(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal at_the_door
        x = args[0] if args else kwargs["hidden_states"]
        at_the_door = x.numel() // x.shape[-1]

    def entered(part: nn.Module, args: tuple[Any, ...]) -> None:
        nonlocal at_the_door
        cost.forward_tokens += at_the_door
        at_the_door = 0

    def left(block: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        x = output[0] if isinstance(output, tuple) else output
        if x.requires_grad:
            width = x.shape[-1]
            x.register_hook(lambda grad: returned(grad, width))

    def returned(grad: Tensor, width: int) -> None:
        if open:  # a graph may outlive the count
            cost.backward_tokens += _unbatched(grad).numel() // width

    with state(body.module) as held:
        for block in body.blocks:
            held.hook(block, called, before=True, kwargs=True)
            for part in block.children():
                held.hook(part, entered, before=True)
            held.hook(block, left)
        grown = _memory(body.device)
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield cost
        finally:
            open = False
            cost.memory = grown()
            cost.seconds, cost.cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu


def _unbatched(grad: Tensor) -> Tensor:
    """All of the gradients that `torch.autograd.grad` pulls back together (`is_grads_batched`); a hook sees one of them."""
    inside: Any = torch  # torch says this in private names alone
    return inside._remove_batch_dim(grad, 1, 0, 0) if inside._C._functorch.is_legacy_batchedtensor(grad) else grad


def _memory(device: torch.device) -> Callable[[], int | None]:
    """A function that tells by how many bytes the peak since now exceeds what is held now."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)

        def grown() -> int:
            torch.cuda.synchronize(device)
            return torch.cuda.max_memory_allocated(device) - held

        return grown
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark falls to what is held now
        start = _status("VmRSS")
        return lambda: max(0, _status("VmHWM") - start)
    except (OSError, KeyError):
        before = _highest()
        return lambda: None if before is None else (_highest() or before) - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)[name].split()[0]) * 1024


def _highest() -> int | None:
    """The most that this process ever held, so a growth below an earlier peak reads as 0; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
