"""AbsTopK: two directions per unit."""

import torch

from clew.dictionaries import AbsTopK
from clew.training import Plan, train
from tests.training.planted_rows import rows


def test_axes_are_found_with_both_signs_where_topk_finds_half_lines() -> None:
    x, true = rows(6000)
    g = torch.Generator().manual_seed(5)
    signs = torch.randint(0, 2, (6000, 1), generator=g) * 2 - 1
    y = x * signs
    plans = [Plan(by, "resid.1", options={"units": 24, "k": 2, "half": False}) for by in ("abstopk", "topk")]
    both, one = train({"resid.1": 10 * y}, plans, steps=600, batch=256)
    assert isinstance(both, AbsTopK)
    code = both.encode(10 * y)
    assert (code > 0).any(0).float().mean() > 0.8 and (code < 0).any(0).float().mean() > 0.8
    left = [(d.reconstruct(10 * y) - 10 * y).square().sum() for d in (both, one)]
    assert left[0] < 0.7 * left[1]
    assert (true @ both.W_dec.T).abs().max(1).values.mean() > 0.9
