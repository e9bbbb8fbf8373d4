"""Transcoders with a linear skip; loss and folding are held to their formulas in test_transcoder.py."""

import pytest
import torch

from clew.training import Plan, train
from clew.training.objectives.skip_transcoder import skip_transcoder
from tests.training.planted_rows import pairs


def test_a_linear_map_is_left_to_the_skip() -> None:
    x, _, _ = pairs(3000)
    y = x @ torch.randn(12, 16, generator=torch.Generator().manual_seed(3)) + 4
    options = {"units": 24, "k": 2, "half": False}
    plans = [Plan(by, "mlp_in.1", "mlp.1", options) for by in ("skip_transcoder", "transcoder")]
    skip, plain = train({"mlp_in.1": 9 * x - 2, "mlp.1": y}, plans, steps=60, batch=256)
    left = [d.meta["trained"]["last"]["unexplained"] for d in (skip, plain)]
    assert left[0] < 0.01 < left[1]
    assert (skip.reconstruct(9 * x - 2) - y).square().mean() < 0.02 * y.var()


def test_the_skip_starts_at_least_squares() -> None:
    x = pairs(500)[0].double()
    A = torch.randn(12, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    fit = skip_transcoder(units=24, k=2, half=False)
    fit.start(x, x @ A + 4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(fit.tensors["W_skip"], A, rtol=0.05, atol=0.05)
    torch.testing.assert_close(fit.reconstruct(x), x @ A + 4, rtol=0.05, atol=0.05)


def test_k_beyond_the_units_is_refused() -> None:
    with pytest.raises(ValueError, match="k is 9"):
        skip_transcoder(units=4, k=9)
