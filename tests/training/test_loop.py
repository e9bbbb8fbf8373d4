import pytest
import torch

from clew.training.loop import batches, geometric_median, loop


def test_the_geometric_median_of_three_points_and_a_far_one_stays_near_the_three():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1000.0, 1000.0]])
    assert geometric_median(x).norm() < 1.5
    assert x.mean(0).norm() > 300


def test_of_three_points_on_a_line_the_geometric_median_is_the_middle_one():
    assert geometric_median(torch.tensor([[0.0], [1.0], [5.0]])).item() == pytest.approx(1.0, abs=1e-3)


def test_batches_are_scaled_and_hold_no_outlier():
    x = torch.randn(5000, 16, generator=torch.Generator().manual_seed(0)) * 30 + 4
    x[::100] += 1e4
    data = batches(x, 512, seed=1)
    rows = torch.cat([next(data.rest) for _ in range(9)])
    assert rows.norm(dim=1).mean() == pytest.approx(4, rel=0.05)
    assert (rows * data.scale + data.centre).norm(dim=1).max() < 1000


def test_an_epoch_shows_every_row_once():
    x = torch.arange(64.0)[:, None] + torch.zeros(1, 3)
    data = batches(x, 16, seed=0)
    rows = torch.cat([next(data.rest) for _ in range(4)]) * data.scale + data.centre
    assert sorted(rows[:, 0].round().tolist()) == list(range(64))


def test_adam_walks_to_the_bottom_of_a_bowl_and_settles():
    p, calls = torch.tensor([5.0]), []
    stream = iter([torch.zeros(1)] * 300)
    done = loop([p], lambda x: (0.0, [2 * p - 2]), stream, steps=300, lr=0.1, settle=lambda: calls.append(1))
    assert p.item() == pytest.approx(1, abs=0.02)
    assert done == len(calls) == 300


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(0, 3), "non-empty"),
        (torch.ones(9, 3), "all 9"),
        ([], "empty"),
        (torch.full((9, 3), torch.nan), "finite"),
    ],
)
def test_what_is_no_set_of_activations_is_refused(x, said):
    with pytest.raises(ValueError, match=said):
        batches(x, 4, seed=0)
