import pytest
import torch

from clew.dictionaries import BatchTopK, JumpReLU


def test_only_what_is_above_the_threshold_survives():
    w = {"W_enc": torch.eye(3), "b_enc": torch.zeros(3), "W_dec": torch.eye(3), "b_dec": torch.zeros(3)}
    made = BatchTopK("resid.0", threshold=torch.tensor(1.0), centred=False, **w)
    assert made.encode(torch.tensor([[1.0, 1.5, -3.0]])).tolist() == [[0, 1.5, 0]]


def test_it_is_jumprelu_with_one_threshold(weights, x):
    w = weights("b_enc")
    one = BatchTopK("resid.0", threshold=torch.tensor([0.7], dtype=torch.float64), centred=True, **w)
    many = JumpReLU("resid.0", threshold=torch.full((7,), 0.7, dtype=torch.float64), centred=True, **w)
    assert one.threshold.shape == ()
    assert torch.equal(one.encode(x), many.encode(x))


def test_a_threshold_per_unit_is_refused(weights):
    with pytest.raises(ValueError, match="one for all units"):
        BatchTopK("resid.0", centred=True, **weights("b_enc", "threshold"))
