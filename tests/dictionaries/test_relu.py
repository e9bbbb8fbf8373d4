import torch

from clew.dictionaries import ReLU


def by_hand(kind: type = ReLU, **more) -> ReLU:
    """Units that read x0, -x0 and x0 + x1 - 1."""
    W, b = torch.tensor([[1.0, -1.0, 1.0], [0.0, 0.0, 1.0]]), torch.tensor([0.0, 0.0, -1.0])
    return kind("resid.0", W_enc=W, b_enc=b, W_dec=W.T.contiguous(), b_dec=torch.zeros(2), centred=False, **more)


def test_what_is_negative_is_off():
    assert by_hand().encode(torch.tensor([[2.0, 0.5], [-1.0, 0.0]])).tolist() == [[2.0, 0.0, 1.5], [0.0, 1.0, 0.0]]


def test_the_gradient_goes_through_units_that_are_on():
    x = torch.tensor([2.0, -3.0], requires_grad=True)
    by_hand().encode(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1.0, 0.0]
