import pytest
import torch
from torch import nn

from clew.edits._passage import RIDGE, STRAIGHT, Normed, nearest, passage_of
from clew.readings.readout import Readout
from tests.models.tiny import prompts
from tests.planted import tiny_model

POSTNORMED = pytest.mark.parametrize("family", ["gemma2", "gemma3_text"])


def vectors(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uneven() -> Normed:
    """Gains from 0 to 5.8, some negative."""
    gain = 2 * vectors(1, seed=7)[0]
    gain[3] = 0
    return Normed(gain, 1e-6)


def test_what_is_wanted_on_an_axis_takes_the_whole_length():
    gain, a, wanted = torch.tensor([3.0, 1.0]).double(), torch.tensor([[1.0, 1.0]]).double(), [[9.0, 0.0], [0.0, -5.0]]
    found = nearest(gain, a.repeat(2, 1), torch.tensor(wanted).double())
    assert torch.allclose(found, torch.tensor([[1.0, 0.0], [0.0, -1.0]]).double() * 2**0.5, atol=1e-6)


def test_no_other_vector_of_that_length_comes_nearer():
    gain, a = torch.tensor([3.0, 0.5]).double(), torch.tensor([[1.0, 1.0]]).double().repeat(40, 1)
    wanted = 3 * vectors(40)[:, :2]
    angle = torch.linspace(0, 2 * torch.pi, 20_001, dtype=torch.float64)
    circle = 2**0.5 * torch.stack([angle.cos(), angle.sin()], dim=1)
    best = torch.cdist(wanted, circle * gain).min(1).values
    found = nearest(gain, a, wanted)
    assert torch.allclose((gain * found - wanted).norm(dim=1), best, atol=1e-6)
    assert torch.allclose(found.norm(dim=1), a.norm(dim=1))


def test_what_can_be_reached_is_reached():
    way, raw, other = uneven(), vectors(6), vectors(6, seed=1)
    other *= raw.norm(dim=1, keepdim=True) / other.norm(dim=1, keepdim=True)
    more = way.change(raw, other - raw)
    there = way.reach(raw, more)
    assert torch.allclose(way.change(raw, there), more, atol=1e-6)
    assert torch.allclose((raw + there).norm(dim=1), raw.norm(dim=1))


def test_nothing_wanted_changes_nothing_even_where_nothing_passes():
    way, raw = uneven(), vectors(6)
    assert torch.allclose(way.reach(raw, 0 * raw), 0 * raw, atol=1e-5)


def test_the_step_of_a_column_is_the_least_that_raises_one_logit():
    readout, way = Readout.of(tiny_model("gemma2")), uneven()
    through = readout.unembed * readout.gain * way.gain
    stiff = (RIDGE * through.square().sum(0).mean()).sqrt() * torch.eye(32)
    rows, wanted = torch.cat([through, stiff.double()]), torch.zeros(len(through) + 32, 1).double()
    wanted[7] = 1
    least = torch.linalg.lstsq(rows, wanted).solution[:, 0]
    assert torch.allclose(way.towards(readout, 7), least, atol=1e-9)


def test_each_readout_is_factored_once_for_all_tokens():
    one, other, way = Readout.of(tiny_model("gemma2")), Readout.of(tiny_model("gemma2", seed=1)), uneven()
    asked = [(one, 7), (one, 8), (other, 7), (other, 8)]
    steps, factors = zip(*((way.towards(*of), way.factors[of[0]]) for of in asked), strict=True)
    assert all(torch.equal(step, uneven().towards(*of)) for step, of in zip(steps, asked, strict=True))
    assert factors[0] is factors[1] and factors[2] is factors[3] and len(way.factors) == 2


@POSTNORMED
def test_the_passage_of_a_model_is_what_its_norm_does(family):
    model = tiny_model(family)
    module = model.body.blocks[1].get_submodule("post_feedforward_layernorm")
    module.weight.data = vectors(1)[0]
    trace = model.run(prompts(), read=["mlp_out.1", "mlp.1"])
    written = passage_of(model, 1).written(trace["mlp_out.1"])
    assert torch.allclose(written, trace["mlp.1"], rtol=1e-5, atol=1e-5)  # transformers norms in float32


def test_without_a_norm_all_passes_as_it_is():
    way, x = passage_of(tiny_model("llama"), 1), vectors(2)
    assert way is STRAIGHT
    assert all(torch.equal(made, x) for made in (way.along(x), way.change(x[0], x), way.reach(x, x)))


def test_a_layer_norm_there_is_an_error():
    model = tiny_model("gemma2")
    model.body.blocks[0].post_feedforward_layernorm = nn.LayerNorm(32).double()
    with pytest.raises(ValueError, match="through a layer norm"):
        passage_of(model, 0)
