import pytest
import torch

from clew.dictionaries import JumpReLU, ReLU, TopK


def eye(**changes):
    """Three units that read the three coordinates, and write them doubled."""
    weights = {"W_enc": torch.eye(3), "b_enc": torch.zeros(3), "W_dec": 2 * torch.eye(3), "b_dec": torch.ones(3)}
    return weights | {"centred": False} | changes


def test_each_activation_on_one_vector():
    x = torch.tensor([3.0, -1.0, 2.0])
    assert ReLU("resid.0", **eye()).encode(x).tolist() == [3, 0, 2]
    assert ReLU("resid.0", **eye(centred=True)).encode(x).tolist() == [2, 0, 1]
    assert TopK("resid.0", k=1, **eye()).encode(x).tolist() == [3, 0, 0]
    assert JumpReLU("resid.0", threshold=torch.tensor([4.0, -5.0, 1.0]), **eye()).encode(x).tolist() == [0, 0, 2]
    assert ReLU("resid.0", **eye()).reconstruct(x).tolist() == [7, 1, 5]
    assert ReLU("resid.0", **eye(W_skip=10 * torch.eye(3))).reconstruct(x).tolist() == [37, -9, 25]


def test_pull_is_the_transpose_of_write(weights):
    dictionary = ReLU("resid.0", centred=True, **weights("b_enc"))
    code, grad = torch.randn(7, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    torch.testing.assert_close(dictionary.write(code) @ grad, code @ dictionary.pull(grad))
    torch.testing.assert_close(dictionary.decode(code) - dictionary.decode(0 * code), dictionary.write(code))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("W_dec", (7, 5), r"W_dec .* has shape \(7, 5\).* must be \(7, 4\)"),
        ("b_enc", (6,), r"b_enc .* has shape \(6,\).* must be \(7,\)"),
        ("W_enc", (4,), r"W_enc .* must have 2 axes"),
        ("b_dec", (), r"b_dec .* must have 1 axis"),
    ],
)
def test_a_wrong_shape_is_named(weights, name, shape, message):
    with pytest.raises(ValueError, match=message):
        ReLU("resid.0", centred=True, **weights("b_enc") | {name: torch.zeros(shape)})
