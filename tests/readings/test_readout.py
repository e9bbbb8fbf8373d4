import pytest
import torch

from clew.models import Model
from clew.models.body import Body
from clew.readings.readout import Readout, above, below
from tests.models.tiny import FAMILIES
from tests.planted import tiny_model


def states(model: Model, n: int = 5) -> torch.Tensor:
    d = model.body.linear("unembed").matrix().shape[1]
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.3


@pytest.mark.parametrize("family", FAMILIES)
def test_the_lens_of_the_last_state_orders_tokens_as_the_logits(family):
    model = tiny_model(family)
    tokens = torch.arange(5, 12)[None]
    trace = model.run(tokens, read=[f"resid.{model.n_layers - 1}", "final"])
    readout = Readout.of(model)
    x = trace[f"resid.{model.n_layers - 1}"][0]
    assert torch.allclose(readout.norm(x), trace["final"][0], atol=1e-5)
    best = trace.logits[0].argmax(-1)
    assert readout.ranks(x, best).tolist() == [0] * 7


@pytest.mark.parametrize("family", ["llama", "gpt2", "gptj", "gemma2"])
def test_the_way_back_inverts_the_way_there(family):
    readout = Readout.of(model := tiny_model(family))
    x = states(model)
    read = readout.norm(x)
    assert torch.allclose(readout.back(read @ readout.unembed.T), read, atol=1e-10)  # W_U⁺ W_U = I
    assert torch.allclose(readout.back(readout.lens(x) - readout.bias), read, atol=1e-10)
    assert torch.allclose(readout.unnorm(read, x), x, atol=1e-10)


def test_towards_is_a_column_of_the_pseudoinverse_over_the_gain():
    readout = Readout.of(tiny_model("llama"))
    wanted = torch.linalg.pinv(readout.unembed)[:, 7] / readout.gain
    assert torch.allclose(readout.towards(7), wanted, atol=1e-10)


def test_ranks_by_hand_and_equals_do_not_count():
    logits = torch.tensor([3.0, 1.0, 2.0, 2.0, 0.0]).expand(5, 5)
    assert above(logits, torch.arange(5)).tolist() == [0, 3, 1, 1, 4]
    assert below(logits, torch.arange(5)).tolist() == [4, 1, 2, 2, 0]


def test_ranks_of_many_rows_are_those_of_each(monkeypatch):
    readout = Readout.of(model := tiny_model("gpt2"))
    x, tokens = states(model), torch.arange(5)
    whole = readout.ranks(x, tokens)
    monkeypatch.setattr("clew.readings.readout.LOGITS", 2 * len(readout.unembed))
    assert torch.equal(readout.ranks(x, tokens), whole)


def test_a_norm_that_is_none_is_an_error():
    model = tiny_model("llama")

    class Odd(torch.nn.Module):
        def forward(self, x):
            return x.tanh()

    model.body.module.model.norm = Odd()
    with pytest.raises(ValueError, match="neither a layer norm nor an RMS norm"):
        Readout.of(Model(Body(model.body.module, None, "odd")))


def test_an_unembedding_that_loses_something_is_an_error():
    model = tiny_model("llama")
    weight = model.body.module.lm_head.weight.data
    weight[:, 0] = weight[:, 1]
    with pytest.raises(ValueError, match="full column rank"):
        Readout.of(model).towards(3)
