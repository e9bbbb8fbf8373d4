"""Rows whose directions are known."""

import torch
from torch import Tensor

from clew.sites import Site

WIDTHS = {Site.parse("resid.1"): 12, Site.parse("resid.2"): 9}
"""Of two sites that are read together."""


def rows(n: int, units: int = 24, d: int = 12, active: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Sums of a few unit directions, and the directions."""
    g = torch.Generator().manual_seed(1000 + seed)
    true = torch.nn.functional.normalize(torch.randn(units, d, generator=g), dim=1)
    code = torch.zeros(n, units).scatter(1, torch.rand(n, units, generator=g).argsort(1)[:, :active], 1.0)
    return (code * (1 + torch.rand(n, units, generator=g))) @ true, true


def two_sites(n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows at two sites from one code of 24 units, and their directions: the first six units write the first site
    alone, the next six the second alone."""
    g = torch.Generator().manual_seed(5)
    one, two = (torch.nn.functional.normalize(torch.randn(24, d, generator=g), dim=1) for d in WIDTHS.values())
    one[6:12], two[:6] = 0, 0
    code = torch.zeros(n, 24).scatter(1, torch.rand(n, 24, generator=g).argsort(1)[:, :2], 1.0)
    code = code * (1 + torch.rand(n, 24, generator=g))
    return code @ one, code @ two, one, two


def pairs(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """x, what a sparse layer of 24 units with known rows makes of it, and those rows."""
    x, read = rows(n)
    g = torch.Generator().manual_seed(7)
    written = torch.nn.functional.normalize(torch.randn(24, 16, generator=g), dim=1)
    return x, (x @ read.T - 0.8).relu() @ written, written
