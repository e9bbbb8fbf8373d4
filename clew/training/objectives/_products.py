"""All pre-activations at once, in bfloat16 where the machine is faster at it.

They only say which units are the largest; values and gradients of those are computed in float32 from the master
weights, so nothing is lost but the order of near-equal pre-activations.
"""

from __future__ import annotations

import time
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clew.scale import processes


def all_products(
    x: Float[Tensor, "row d"], W: Float[Tensor, "unit d"], b: Float[Tensor, " unit"], *, half: bool
) -> Float[Tensor, "row unit"]:
    """x W^T + b for every unit."""
    if half:
        return F.linear(x.bfloat16(), W.bfloat16(), b.bfloat16())
    return torch.addmm(b, x, W.T)


def half_pays(W: Float[Tensor, "unit d"]) -> bool:
    """Whether bfloat16 products are at least 1.5 times as fast here as those of W's own precision."""
    if W.dtype != torch.float32:
        return False
    units, d = min(len(W), 8192), W.shape[1]
    # Processes must agree, and the first to finish would otherwise choose otherwise than the last.
    return bool(processes.largest(int(_half_pays(str(W.device), units, d, torch.get_num_threads()))))


@cache
def _half_pays(device: str, units: int, d: int, threads: int) -> bool:
    x, W = torch.ones(1024, d, device=device), torch.ones(units, d, device=device)

    def seconds(y: Tensor, V: Tensor) -> float:
        times = []
        for _ in range(4):  # the first warms up
            start = time.perf_counter()
            float(F.linear(y, V)[0, 0])  # reading a number waits for a device
            times.append(time.perf_counter() - start)
        return min(times[1:])

    return 1.5 * seconds(x.bfloat16(), W.bfloat16()) < seconds(x, W)
