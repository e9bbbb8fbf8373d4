"""ITDA collects activations; nothing is learnt by gradient."""

import pytest
import torch

from clew.dictionaries import ITDA
from clew.sites import Site
from clew.training import Plan, train
from clew.training.objective import Clock, Scaling
from clew.training.objectives.itda import SAME, itda

SITE = Site.parse("resid.1")


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(4000, 16, generator=torch.Generator().manual_seed(0)) @ torch.randn(
        16, 16, generator=torch.Generator().manual_seed(1)
    )


def collected(x: torch.Tensor, steps: int, batch: int = 512, **options: float) -> ITDA:
    (made,) = train({SITE: x}, [Plan("itda", SITE, options=options)], steps=steps, batch=batch)
    assert isinstance(made, ITDA)
    return made


def test_three_rows_by_hand() -> None:
    fit = itda(units=2, k=1)
    x = torch.tensor([[3.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    fit.start(x, x, torch.Generator())
    assert fit.loss(x, x, Clock(1, 2)) * fit.state["variance"] == pytest.approx(14 / 3)  # nothing is explained yet
    fit.settle(Clock(1, 2))
    assert fit.state["atoms"].tolist() == [[1.0, 0.0]]
    assert fit.loss(x, x, Clock(2, 2)) * fit.state["variance"] == pytest.approx(1 / 3)  # of the second row
    fit.settle(Clock(2, 2))
    assert (
        fit.state["atoms"].tolist() == [[1.0, 0.0], [0.0, 1.0]] and fit.state["gram"].tolist() == torch.eye(2).tolist()
    )


def test_atoms_are_centred_activations_of_length_one(x: torch.Tensor) -> None:
    made = collected(x, units=64, k=4, steps=7)
    rows = torch.nn.functional.normalize(x - made.b_dec, dim=1)
    assert made.atoms.shape == (64, 16)
    assert (made.atoms @ rows.T).max(dim=1).values.min() > 0.9999


def test_no_two_atoms_of_a_repeated_text_are_alike(x: torch.Tensor) -> None:
    made = collected(x[:100].repeat(40, 1), units=80, k=4, steps=7)
    alike = (made.atoms @ made.atoms.T).abs() - torch.eye(made.n_units)
    assert made.n_units > 60 and alike.max() <= SAME + 1e-4


def test_rare_directions_become_atoms() -> None:
    g = torch.Generator().manual_seed(3)
    common, rare = torch.randn(4, 64, generator=g), torch.randn(20, 64, generator=g)
    rows = torch.cat([common.repeat(500, 1), rare])
    rows = rows[torch.randperm(len(rows), generator=g)] + 0.01 * torch.randn(len(rows), 64, generator=g)
    made = collected(rows, units=80, k=1, steps=16, batch=252)
    left = (made.reconstruct(rare) - rare).norm(dim=1) / (rare - made.b_dec).norm(dim=1)
    assert (left < 0.1).float().mean() > 0.9


def test_above_tau_all_are_added_and_below_it_none(x: torch.Tensor) -> None:
    fit = itda(units=4000, k=4, tau=0.002)
    fit.start(x, x, torch.Generator())
    for step in (1, 2):
        fit.loss(x[:300], x[:300], Clock(step, 2))
        fit.settle(Clock(step, 2))
        assert len(fit.state["atoms"]) == 300  # all at once, for none was explained; then each explains itself
    rows = torch.nn.functional.normalize(x[300:600], dim=1)
    above = int(((rows - fit.explained(rows)).square().mean(1) > 0.002).sum())
    fit.loss(x[300:600], x[300:600], Clock(2, 2))
    fit.settle(Clock(2, 2))
    assert len(fit.state["atoms"]) == 300 + above and 0 < above < 300


def test_with_tau_the_units_are_a_limit(x: torch.Tensor) -> None:
    assert collected(x, units=50, k=4, tau=0.001, steps=3).n_units == 50


def test_parts_of_a_batch_give_what_the_batch_gives(x: torch.Tensor) -> None:
    one, three = itda(units=40, k=4), itda(units=40, k=4)
    for fit, parts in ((one, 1), (three, 3)):
        fit.start(x, x, torch.Generator())
        fit.state |= {"atoms": torch.eye(16)[:9], "gram": torch.eye(9)}
        for some in x[:900].chunk(parts):
            fit.loss(some, some, Clock(1, 1))
        fit.settle(Clock(1, 1))
    torch.testing.assert_close(one.state["atoms"], three.state["atoms"])
    assert len(one.state["gram"]) == 40


def test_the_finished_dictionary_says_of_raw_rows_what_the_objective_says_of_scaled_ones(x: torch.Tensor) -> None:
    fit, x = itda(units=40, k=3), x.double()
    fit.start(x, x, torch.Generator())
    fit.loss(x, x, Clock(1, 1))
    fit.settle(Clock(1, 1))
    scaling = Scaling(torch.randn(16).double(), torch.full((16,), 7.0).double())
    done = fit.finish([SITE], [SITE], scaling, scaling)
    torch.testing.assert_close(done.reconstruct(scaling.centre + 7 * x), scaling.centre + 7 * fit.reconstruct(x))


@pytest.mark.parametrize(
    ("options", "said"), [({"units": 8, "k": 9}, "k is 9"), ({"units": 8, "k": 2, "tau": 0.5}, "between 0 and that")]
)
def test_a_size_that_cannot_be_is_refused(x: torch.Tensor, options: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        collected(x, steps=1, **options)
