import pytest
import torch

from clew.dictionaries import Gated, ReLU


def test_the_gate_decides_and_the_magnitude_counts():
    one = torch.ones(1, 3)
    made = Gated(
        "resid.0",
        W_enc=one,
        W_dec=one.T,
        b_dec=torch.zeros(1),
        b_gate=torch.tensor([-1.0, -3.0, 0.0]),
        b_mag=torch.tensor([0.5, 0.5, -9.0]),
        r_mag=torch.tensor([2.0, 1.0, 1.0]).log(),
        centred=False,
    )
    # z = 2: open, 2 * 2 + 0.5; shut, as 2 - 3 < 0; open, but its magnitude is negative.
    torch.testing.assert_close(made.encode(torch.tensor([2.0])), torch.tensor([4.5, 0.0, 0.0]))


def test_with_one_bias_and_no_rescaling_it_is_relu(weights, x):
    w = weights("b_enc")
    b = w.pop("b_enc")
    gated = Gated("resid.0", b_gate=b, b_mag=b, r_mag=torch.zeros_like(b), centred=True, **w)
    assert torch.equal(gated.encode(x), ReLU("resid.0", b_enc=b, centred=True, **w).encode(x))


def test_a_bias_of_another_length_is_refused(weights):
    with pytest.raises(ValueError, match=r"b_mag .* has shape \(6,\).* one value per unit"):
        Gated("resid.0", centred=True, **weights("b_gate", "b_mag", "r_mag") | {"b_mag": torch.zeros(6)})
