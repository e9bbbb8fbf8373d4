import pytest
import torch

from clew.dictionaries import TopK
from tests.dictionaries.test_relu import by_hand


def test_the_k_largest_survive_rectified():
    x = torch.tensor([[2.0, 0.5], [-1.0, 0.0]])
    assert by_hand(TopK, k=1).encode(x).tolist() == [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert by_hand(TopK, k=3).encode(x).tolist() == [[2.0, 0.0, 1.5], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize("k", [0, 4])
def test_k_lies_among_the_units(k):
    with pytest.raises(ValueError, match=f"k is {k}, but the dictionary at resid.0 has 3 units"):
        by_hand(TopK, k=k)
