"""Rows whose directions are known."""

import torch
from torch import Tensor


def rows(n: int, units: int = 24, d: int = 12, active: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Sums of a few unit directions, and the directions."""
    g = torch.Generator().manual_seed(1000 + seed)
    true = torch.nn.functional.normalize(torch.randn(units, d, generator=g), dim=1)
    code = torch.zeros(n, units).scatter(1, torch.rand(n, units, generator=g).argsort(1)[:, :active], 1.0)
    return (code * (1 + torch.rand(n, units, generator=g))) @ true, true
