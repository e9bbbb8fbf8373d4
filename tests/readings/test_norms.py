"""A norm is known by what it does: its gain, shift, mean and eps, whatever a family calls them."""

import pytest
import torch
from torch import nn
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm

from clew.readings.norms import gain_of, parts, parts_of
from tests.models.tiny import FAMILIES, model_of

D = 10


def drawn(norm: nn.Module, seed: int = 0) -> nn.Module:
    """With parameters of its own in double precision, none of them small."""
    generator = torch.Generator().manual_seed(seed)
    norm = norm.double()
    with torch.no_grad():
        for p in norm.parameters():
            p.copy_(1 + torch.rand(p.shape, generator=generator).double())
    return norm


def like(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.zeros(D, dtype=dtype)


def test_a_layer_norm_by_its_parameters() -> None:
    norm = drawn(nn.LayerNorm(D, eps=1e-3))
    gain, shift, centres, eps = parts_of(norm, like())
    assert torch.allclose(gain, norm.weight, rtol=1e-6) and torch.allclose(shift, norm.bias) and centres
    assert eps == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize(("norm", "added"), [(nn.RMSNorm(D, eps=1e-5), 0.0), (Gemma2RMSNorm(D, eps=1e-5), 1.0)])
def test_an_rms_norm_by_its_parameters_however_they_are_stored(norm: nn.Module, added: float) -> None:
    gain, shift, centres, eps = parts_of(drawn(norm), like())
    assert torch.allclose(gain, norm.weight.double() + added, rtol=1e-4) and not centres
    assert not shift.any() and eps == pytest.approx(1e-5, rel=0.05)


def test_what_is_found_makes_the_norm_again() -> None:
    norm, x = drawn(nn.LayerNorm(D, eps=0.5)), torch.randn(7, D, generator=torch.Generator().manual_seed(1)).double()
    gain, shift, _, eps = parts_of(norm, like())
    inside = x - x.mean(-1, keepdim=True)
    made = gain * inside / (inside.square().mean(-1, keepdim=True) + eps).sqrt() + shift
    assert torch.allclose(made, norm(x), atol=1e-6)


def test_a_norm_whose_eps_drowns_the_stream_is_told_as_what_it_does_there() -> None:
    """It only scales, as the norms of planted models do; its eps is told as one that is large beside any stream."""
    norm, x = nn.RMSNorm(D, eps=2.0**60).double(), 10 * torch.randn(7, D, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        norm.weight.fill_(2.0**30)
    gain, _, _, eps = parts_of(norm, like())
    made = gain * x / (x.double().square().mean(-1, keepdim=True) + eps).sqrt()
    assert torch.allclose(made, x.double(), rtol=1e-4)


def test_a_coordinate_without_gain_is_no_trouble() -> None:
    norm = drawn(nn.RMSNorm(D, eps=1e-2))
    with torch.no_grad():
        norm.weight[3] = 0.0
    gain, _, _, eps = parts_of(norm, like())
    assert float(gain[3]) == 0 and eps == pytest.approx(1e-2, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_in_less_precision_is_known_as_far_as_that_goes_and_told_in_double(dtype: torch.dtype) -> None:
    for made, centred in ((nn.LayerNorm(D), True), (nn.RMSNorm(D, eps=1e-6), False)):
        norm = drawn(made).to(dtype)
        gain, _, centres, _ = parts_of(norm, like(dtype))
        assert gain.dtype == torch.float64 and centres is centred
        assert torch.allclose(gain, norm.weight.double(), rtol=2e-2)


class Squared(nn.Module):
    """A norm by the fourth power: as long at one size as an RMS norm, and none."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / x.pow(4).mean(-1, keepdim=True).add(1e-6).pow(0.25)


@pytest.mark.parametrize("module", [nn.Linear(D, D), nn.Tanh(), Squared(), nn.Softmax(-1)])
def test_what_is_no_norm_is_refused_by_its_kind(module: nn.Module) -> None:
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=f"a {type(module).__name__} is neither a layer norm nor an RMS norm"):
        parts_of(module.double(), like())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_norms_of_every_family_are_told_and_whether_they_centre(family: str) -> None:
    model = model_of(family, torch.float64)
    for part in ("attn", "mlp"):
        norm = model.body.norm_before(part, 1)
        gain, shift, centres, _ = parts(model, norm)
        assert gain.shape == shift.shape == (32,) and gain.dtype == shift.dtype == torch.float64
        assert centres == ("RMS" not in type(norm).__name__) and bool(shift.any()) == hasattr(norm, "bias")
        assert torch.equal(gain_of(model, norm)[0], gain)
