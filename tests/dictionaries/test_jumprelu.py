import pytest
import torch

from clew.dictionaries import JumpReLU, ReLU
from tests.dictionaries.test_relu import by_hand


def test_what_is_above_its_threshold_keeps_its_value():
    given = by_hand(JumpReLU, threshold=torch.tensor([3.0, 0.5, 1.0]))
    assert given.encode(torch.tensor([[2.0, 0.5], [-1.0, 0.0]])).tolist() == [[0.0, 0.0, 1.5], [0.0, 1.0, 0.0]]


def test_a_threshold_of_nothing_is_relu():
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(by_hand(JumpReLU, threshold=torch.zeros(3)).encode(x), by_hand(ReLU).encode(x))


def test_there_is_a_threshold_for_every_unit():
    with pytest.raises(ValueError, match=r"one value per unit is needed: \(3,\)"):
        by_hand(JumpReLU, threshold=torch.zeros(2))
