"""What the suites ask is asked: each way to leave a module changed is seen."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tests.conformance.shape import untouched


def module() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.Linear(2, 1))


def nudged(m: Any) -> None:
    with torch.no_grad():
        m[2].weight[0, 1] += 1e-6


LEFT: dict[str, Callable[[Any], object]] = {
    "one bit": nudged,
    "a hook": lambda m: m[0].register_forward_hook(lambda *given: None),
    "training": lambda m: m.train(),
    "rest": lambda m: m.eval(),
    "no wish for gradients": lambda m: m[0].weight.requires_grad_(False),
    "a gradient": lambda m: m(torch.ones(1, 2)).sum().backward(),
    "another tensor": lambda m: m.register_buffer("mine", torch.zeros(1)),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_is_left_behind_is_seen(what):
    left = module()
    with pytest.raises(AssertionError), untouched(module(), left):
        LEFT[what](left)


def test_what_comes_back_is_not():
    one = module()
    with untouched(one):
        modes = [m.training for m in one.modules()]
        assert any(modes) and not all(modes)
        hook = one[0].register_forward_hook(lambda *given: None)
        one.eval()(torch.ones(1, 2))
        hook.remove()
        for m, mode in zip(one.modules(), modes, strict=True):
            m.training = mode
    assert not one.training
