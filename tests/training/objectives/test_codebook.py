import pytest
import torch
import torch.nn.functional as F

from clew.dictionaries import Codebook
from clew.sites import Site
from clew.training import Plan, train
from clew.training.objective import Clock, Scaling
from clew.training.objectives.codebook import Codes, codebook, nearer
from tests.training.planted_rows import rows


def started(x: torch.Tensor, **options: int) -> Codes:
    fit = codebook(units=24, k=3, **options)
    fit.start(x, x, torch.Generator().manual_seed(0))
    return fit


def test_loss_and_gradient_are_those_of_the_mean_of_the_chosen():
    x = rows(200)[0].double()
    fit = started(x)
    codes = fit.tensors["codes"].requires_grad_()
    chosen = (x @ F.normalize(codes, dim=1).T).topk(3, dim=1).indices
    expected = (codes[chosen].mean(1) - x).square().sum(1).mean() / fit.state["variance"]
    found = fit.loss(x, x, Clock(1, 9))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(loss, codes)[0] for loss in (found, expected)))


def test_the_finished_codebook_is_the_objective_in_the_units_of_x():
    x = rows(300)[0].double()
    fit, site = started(x), Site("resid", 1)
    s = Scaling(torch.linspace(-1, 1, 12, dtype=torch.float64), torch.full((12,), 7.0, dtype=torch.float64))
    made = fit.finish([site], [site], s, s)
    torch.testing.assert_close(made.reconstruct(s.centre + s.scale * x), s.centre + s.scale * fit.reconstruct(x))


def test_a_dead_code_becomes_the_row_that_is_explained_worst():
    x = rows(200)[0].double()
    fit = started(x, every=5)
    fit.state["idle"][[4, 7]] = 10**6
    fit.tensors["codes"][[4, 7]] = 0.0
    worst = (fit.reconstruct(x) - x).square().sum(1).argsort(descending=True)
    for step in (4, 5):
        fit.loss(x, x, Clock(step, 9))
        fit.settle(Clock(step, 9))
        changed = fit.tensors["codes"][[4, 7]]
        assert bool(changed.any()) == (step == 5)
    torch.testing.assert_close(F.normalize(changed, dim=1), F.normalize(x[worst[:2]], dim=1))
    assert not fit.dead.any()


def test_a_round_of_k_means_by_hand():
    codes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    x = torch.tensor([[2.0, 1.0], [2.0, -1.0], [-3.0, 4.0]])
    torch.testing.assert_close(nearer(codes, x), torch.tensor([[1.0, 0.0], [-0.6, 0.8], [0.0, -1.0]]))


@pytest.mark.parametrize("kmeans", [0, 3])
def test_planted_directions_are_found(kmeans):
    x, true = rows(6000, units=24, d=16)
    options = {"units": 24, "k": 2, "kmeans": kmeans}
    (made,) = train({"resid.1": 3 + 50 * x}, [Plan("codebook", "resid.1", options=options)], steps=200, batch=256)
    assert isinstance(made, Codebook) and made.k == 2
    assert (true @ F.normalize(made.codes, dim=1).T).amax(1).mean() > 0.85


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"k": 0}, "k is 0"),
        ({"k": 25}, "k is 25"),
        ({"k": 2, "kmeans": -1}, "kmeans=-1"),
        ({"k": 2, "every": 0}, "every=0"),
    ],
)
def test_what_does_not_fit_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        codebook(units=24, **options)
