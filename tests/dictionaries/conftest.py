import pytest
import torch


@pytest.fixture
def weights():
    """Random float64 weights in our layout: 4 dimensions, 7 units, and the further names asked for, one per unit."""

    def make(*per_unit: str, d: int = 4, units: int = 7, seed: int = 0) -> dict[str, torch.Tensor]:
        g = torch.Generator().manual_seed(seed)
        shapes = {"W_enc": (d, units), "W_dec": (units, d), "b_dec": (d,)} | dict.fromkeys(per_unit, (units,))
        return {name: torch.randn(shape, generator=g, dtype=torch.float64) for name, shape in shapes.items()}

    return make


@pytest.fixture
def x():
    return torch.randn(50, 4, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
