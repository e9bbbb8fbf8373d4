import numpy as np
import pytest
import torch

from clew.readings.probe import Probe, fit, shrunk_covariance

YES = np.array([True, True, False, False])


def correlated(n: int) -> tuple[torch.Tensor, np.ndarray]:
    """Classes apart along e_0, noise mostly along e_0 + e_1: the best direction is not that of the means."""
    g = torch.Generator().manual_seed(0)
    yes = torch.arange(n) % 2 == 0
    noise = torch.randn(n, 3, generator=g, dtype=torch.float64) * 0.3
    noise[:, :2] += 4 * torch.randn(n, 1, generator=g, dtype=torch.float64)
    return noise + torch.where(yes, 1.0, -1.0)[:, None] * torch.tensor([1.0, 0, 0]), yes.numpy()


def test_the_probe_of_means_by_hand():
    x = torch.tensor([[4.0, 1.0], [2.0, 1.0], [0.0, 1.0], [-2.0, 1.0]])
    probe = fit(x, YES, by="mean_difference")
    assert probe.weight.tolist() == [4.0, 0.0] and probe.bias == -4.0
    assert probe.right(x, YES).all() and probe(torch.tensor([1.0, 9.0])) == 0


def test_lda_divides_by_the_covariance_within_classes():
    x, yes = correlated(4000)
    weight = fit(x, yes, by="lda").weight
    assert torch.allclose(weight / weight[0], torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64), atol=0.05)
    assert (
        fit(x, yes, by="lda").right(x, yes).mean() > 0.95 > 0.7 > fit(x, yes, by="mean_difference").right(x, yes).mean()
    )


@pytest.mark.parametrize("by", ["logistic", "lda", "mean_difference"])
def test_every_probe_weighs_the_classes_equally(by):
    g = torch.Generator().manual_seed(1)
    yes = np.arange(600) < 60
    x = torch.randn(600, 4, generator=g) + 2.0 * torch.tensor(yes)[:, None]
    right = fit(x, yes, by=by).right(x, yes)
    assert abs(right[yes].mean() - right[~yes].mean()) < 0.06


def test_the_classes_may_be_told_in_a_tensor_or_a_list():
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    given = [fit(x, positive, by="lda").weight for positive in (YES, torch.tensor(YES), YES.tolist())]
    assert torch.equal(given[0], given[1]) and torch.equal(given[0], given[2])


def test_fewer_examples_than_coordinates_give_a_regular_covariance():
    x = torch.randn(6, 40, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    values = torch.linalg.eigvalsh(shrunk_covariance(x - x.mean(0)))
    assert values.min() > 0.1
    assert values.sum() == pytest.approx(float((x - x.mean(0)).square().sum() / 6))  # the trace is kept


def test_many_rows_leave_the_covariance_as_it_is():
    x = torch.randn(20000, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * torch.tensor(
        [1.0, 3.0]
    )
    assert torch.allclose(shrunk_covariance(x), x.T @ x / len(x), atol=5e-3)


def test_what_no_probe_can_learn_from_is_said():
    with pytest.raises(ValueError, match="all 4 texts to learn from are of one class"):
        fit(torch.randn(4, 2), np.ones(4, dtype=bool), by="lda")


def test_lda_of_one_example_a_side_is_their_difference():
    x = torch.tensor([[1.0, 2.0], [0.0, 5.0]])
    assert torch.equal(fit(x, [True, False], by="lda").weight, x[0] - x[1])


def test_a_probe_is_a_score():
    assert Probe(torch.tensor([1.0, -1.0]), 0.5)(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).tolist() == [1.5, -0.5]
