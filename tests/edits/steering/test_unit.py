import pytest
import torch

from clew.edits.steering.unit import unit
from clew.sites import Site
from tests.models.tiny import model_of, relu_dictionary

TEXT = "the nurse said that she"


def seen(site="resid.1", writes=None):
    model = model_of("llama", torch.float64)
    return model.through(relu_dictionary(model, site, writes, dtype=torch.float64))


@pytest.mark.parametrize("sites", [("resid.1", None), ("mlp_in.1", "mlp.1")], ids=["autoencoder", "transcoder"])
def test_the_decoder_row_is_added(sites):
    view, at = seen(*sites), sites[1] or sites[0]
    stack = unit(view, at=at, number=5, scale=2.0)
    moved, plain = (model.run(TEXT, read=[at])[at] for model in (view.edited(stack), view))
    row = view.dictionaries[Site.parse(at)].W_dec[5]
    assert torch.allclose(moved - plain, (2.0 * row).expand_as(plain), atol=1e-12)
    assert stack.about["size"] == pytest.approx(float(row.norm()))


def test_a_unit_held_at_a_value_moves_by_what_is_missing_and_the_error_stays():
    view = seen()
    plain = view.run(TEXT, read=["resid.1"])
    moved = view.edited(unit(view, at="resid.1", number=5, value=3.0)).run(TEXT, read=["resid.1"])["resid.1"]
    missing = 3.0 - plain.code("resid.1")[..., 5:6]
    row = view.dictionaries[Site("resid", 1)].W_dec[5]
    assert torch.allclose(moved, plain["resid.1"] + missing * row, atol=1e-12)


def test_a_neuron_held_is_that_coordinate_and_no_other():
    view = model_of("llama", torch.float64).neurons("neuron.1")
    moved, plain = (
        model.run(TEXT, read=["neuron.1"])["neuron.1"]
        for model in (view.edited(unit(view, at="neuron.1", number=4, value=-2.0)), view)
    )
    assert bool((moved[..., 4] == -2.0).all()) and torch.equal(
        moved[..., torch.arange(48) != 4], plain[..., torch.arange(48) != 4]
    )


def test_a_unit_that_is_not_there_is_said():
    view = seen()
    with pytest.raises(ValueError, match="no unit 48 at resid.1, which has 48 units"):
        unit(view, at="resid.1", number=48)
    with pytest.raises(ValueError, match="not seen through a dictionary at resid.0; did you mean 'resid.1'"):
        unit(view, at="resid.0", number=0)
