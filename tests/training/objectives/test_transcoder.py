"""Transcoders with and without a linear skip."""

import pytest
import torch

from clew.dictionaries import TopK
from clew.sites import Site
from clew.training import Plan, train
from clew.training.objective import Clock, Scaling
from clew.training.objectives.skip_transcoder import skip_transcoder
from clew.training.objectives.transcoder import transcoder
from tests.training.planted_rows import pairs, rows

READS, WRITES = Site.parse("mlp_in.1"), Site.parse("mlp.1")


@pytest.mark.parametrize("made", [transcoder, skip_transcoder])
def test_the_loss_and_its_gradient_are_those_of_the_dense_formula(made) -> None:
    x, y = (t.double() for t in pairs(200)[:2])
    fit = made(units=24, k=3, half=False)
    fit.start(x, y, torch.Generator().manual_seed(0))
    fit.tensors["W_dec"] = torch.randn(24, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for tensor in fit.tensors.values():
        tensor.requires_grad_()
    t = fit.tensors
    value, index = (x @ t["W_enc"].T + t["b_enc"]).topk(3, dim=1)
    out = torch.zeros(200, 24).double().scatter(1, index, value.relu()) @ t["W_dec"] + t["b_dec"]
    out = out + x @ t["W_skip"] if "W_skip" in t else out
    plain = (out - y).square().sum() / (y - y.mean(0)).square().sum()
    found = fit.loss(x, y, Clock(1, 1))
    assert float(found.detach()) == pytest.approx(float(plain.detach()), rel=1e-12)
    for mine, theirs in zip(*(torch.autograd.grad(a, list(t.values())) for a in (found, plain)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("made", [transcoder, skip_transcoder])
def test_the_finished_dictionary_says_of_raw_rows_what_the_objective_says_of_scaled_ones(made) -> None:
    x, y = (t.double() for t in pairs(300)[:2])
    fit = made(units=24, k=3, half=False)
    fit.start(x, y, torch.Generator().manual_seed(0))
    fit.tensors["W_dec"] = torch.randn(24, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    a = Scaling(torch.randn(12).double(), torch.full((12,), 7.0).double())
    b = Scaling(torch.randn(16).double(), torch.full((16,), 0.3).double())
    done = fit.finish([READS], [WRITES], a, b)
    assert isinstance(done, TopK) and (done.reads, done.writes) == (READS, WRITES)
    torch.testing.assert_close(done.reconstruct(a.centre + a.scale * x), b.centre + b.scale * fit.reconstruct(x))


def test_the_rows_of_a_planted_layer_are_found() -> None:
    x, y, written = pairs(6000)
    plan = Plan("transcoder", "mlp_in.1", "mlp.1", {"units": 32, "k": 3, "half": False})
    (made,) = train({"mlp_in.1": 5 * x + 1, "mlp.1": y}, [plan], steps=300, batch=256)
    assert made.meta["trained"]["last"]["unexplained"] < 0.1
    rows = torch.nn.functional.normalize(made.W_dec, dim=1)
    assert (written @ rows.T).max(dim=1).values.mean() > 0.9


def test_a_transcoder_of_one_site_is_refused() -> None:
    with pytest.raises(ValueError, match="writes another site than it reads: give `writes`"):
        train({"mlp.1": rows(99)[0]}, [Plan("transcoder", "mlp.1", options={"units": 4, "k": 2})], steps=1)
