import pytest
import torch

from clew.data.planted.activations import planted, stream


def test_x_is_the_sum_of_what_fires():
    made = planted(50, d=8, features=12, active=3)
    assert torch.allclose(made.x, made.code @ made.directions)
    assert torch.allclose(made.directions.norm(dim=1), torch.ones(12))
    sizes = made.code[made.fires]
    assert sizes.min() >= 0.5 and sizes.max() <= 1.5


def test_active_is_the_mean_number_that_fires():
    for extra in ({}, {"frequency": "zipf"}, {"hierarchy": {3: 0, 4: 3}}):
        made = planted(20_000, d=4, features=20, active=2, **extra)
        assert made.fires.sum(1).double().mean() == pytest.approx(2, abs=0.05)


def test_zipf_frequencies_fall_as_one_over_rank():
    share = planted(100_000, d=2, features=8, active=1, frequency="zipf").fires.double().mean(0)
    assert (share[0] / share[1:4]).tolist() == pytest.approx([2, 3, 4], rel=0.05)


def test_a_child_fires_only_with_its_parent_and_as_often_as_asked():
    made = planted(20_000, d=4, features=6, active=2, hierarchy={2: 0, 5: 2}, given_parent=0.25)
    fires = made.fires
    assert not (fires[:, 2] & ~fires[:, 0]).any() and not (fires[:, 5] & ~fires[:, 2]).any()
    assert (fires[:, 2].sum() / fires[:, 0].sum()).item() == pytest.approx(0.25, abs=0.03)


def test_bipolar_changes_signs_and_nothing_else():
    one, two = (planted(500, d=4, features=6, active=2, bipolar=b) for b in (False, True))
    assert torch.equal(one.code, two.code.abs()) and 0.4 < (two.code[two.fires] < 0).double().mean() < 0.6


def test_every_kind_of_chance_has_a_stream_of_its_own():
    torch.manual_seed(0)
    plain = planted(100, d=4, features=6, active=2, seed=5)
    torch.rand(1)
    noisy = planted(100, d=4, features=6, active=2, seed=5, noise=0.1)
    assert torch.equal(plain.code, noisy.code) and torch.equal(plain.directions, noisy.directions)
    assert (noisy.x - plain.x).std().item() == pytest.approx(0.1, rel=0.15)
    draws = {torch.rand(1, generator=stream(name, seed)).item() for name in ("a", "b") for seed in (0, 1)}
    assert len(draws) == 4


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"active": 9}, "feature 0 fire at 1.50 of all tokens; active=6 is the most"),
        ({"active": 1, "hierarchy": {1: 3}}, "feature 1 cannot have the parent 3"),
        ({"active": 1, "hierarchy": {6: 0}}, "feature 6 cannot have the parent 0"),
    ],
)
def test_errors_say_what_is_possible(given, says):
    with pytest.raises(ValueError, match=says):
        planted(10, d=4, features=6, **given)
