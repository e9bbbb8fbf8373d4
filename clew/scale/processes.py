"""What processes started by torchrun tell each other. Alone, every function here does nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor


def met() -> bool:
    """Whether this process has met others, be it that there are none."""
    return dist.is_available() and dist.is_initialized()


def join() -> None:
    """Meet the other processes that torchrun started, unless that is done; each takes the GPU of its local number."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and dist.is_available() and not met():
        cuda = torch.cuda.is_available()
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if cuda else "gloo")


def count() -> int:
    """How many processes learn together."""
    return dist.get_world_size() if met() else 1


def rank() -> int:
    """Which of them this is; 0 writes files."""
    return dist.get_rank() if count() > 1 else 0


def largest(n: int) -> int:
    """The largest n of all processes."""
    if count() == 1:
        return n
    found = torch.tensor([n], device=device())
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found)


def share(tensors: Mapping[str, Tensor]) -> None:
    """Give every process the first one's values, in place."""
    if count() > 1:
        for _, tensor in sorted(tensors.items()):
            dist.broadcast(tensor.detach(), src=0)


def gather(rows: Tensor) -> Tensor:
    """The rows of all processes, one process after the other; they may have different numbers of them."""
    if count() == 1:
        return rows
    most = largest(len(rows))
    padded = torch.cat([rows, rows.new_zeros(most - len(rows), *rows.shape[1:])]).contiguous()
    sizes = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(count())]
    parts = [torch.empty_like(padded) for _ in range(count())]
    dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(n)] for part, n in zip(parts, sizes, strict=True)])


def summed(tensor: Tensor) -> Tensor:
    """The sum over all processes, in place."""
    if count() > 1:
        dist.all_reduce(tensor)
    return tensor


def wait() -> None:
    """Go on when all processes are here."""
    if count() > 1:
        dist.barrier()


def average(gradients: Mapping[str, Tensor], state: Mapping[str, Tensor], *, rows: int) -> None:
    """Average gradients over all rows of all processes, in place. A unit's idle time is the shortest of them;
    other state of floating point (thresholds, running means) is averaged."""
    if count() == 1:
        return
    total = torch.tensor([float(rows)], device=device())
    dist.all_reduce(total)
    for _, grad in sorted(gradients.items()):
        grad *= rows / float(total)
        dist.all_reduce(grad)
    for name, tensor in sorted(state.items()):
        if name == "idle":
            dist.all_reduce(tensor, dist.ReduceOp.MIN)
        elif tensor.is_floating_point():
            dist.all_reduce(tensor)
            tensor /= count()


def device() -> str | None:
    """Where what processes tell each other must lie; None for a process alone, which may learn anywhere."""
    if count() == 1:
        return None
    return f"cuda:{torch.cuda.current_device()}" if dist.get_backend() == "nccl" else "cpu"
