import pytest
import torch

from clew.training.objective import Clock
from clew.training.objectives.p_anneal import NEAR, Annealing, p_anneal, sharpened
from tests.training.planted_rows import rows

CODE = torch.tensor([0.0, 0.01, 0.3, 2.0], dtype=torch.float64)


def test_at_one_it_is_the_code_and_at_zero_a_logarithm():
    torch.testing.assert_close(sharpened(CODE, 1.0), CODE)
    torch.testing.assert_close(sharpened(CODE, 0.0), (1 + CODE / NEAR).log())
    torch.testing.assert_close(sharpened(CODE, 1e-5), sharpened(CODE, 0.0), rtol=1e-3, atol=1e-6)


def test_p_is_held_then_falls_in_ten_steps_and_rests_at_zero():
    falling = Annealing(penalty=0.1, hold=0.3, warm_up=0.1)
    seen = [falling.p(Clock(step, 1000)) for step in (1, 300, 340, 360, 590, 790, 801, 1000)]
    assert seen == pytest.approx([1, 1, 1, 0.9, 0.5, 0.1, 0, 0])
    assert len({falling.p(Clock(step, 1000)) for step in range(1, 1001)}) == 11


def test_a_change_of_p_changes_the_weight_so_that_the_cost_stays():
    x = rows(200)[0].double()
    fit = p_anneal(units=24, penalty=0.3, hold=0.0, warm_up=0.0)
    fit.start(x, x, torch.Generator().manual_seed(0))
    cost = lambda: float(fit.loss(x, x, Clock(9, 100)) - fit.told["unexplained"])  # noqa: E731
    first, p = cost(), []
    for step in (9, 18, 90):
        fit.settle(Clock(step, 100))
        assert cost() == pytest.approx(first, rel=1e-6)
        p.append(fit.told["p"])
    assert p == pytest.approx([0.9, 0.8, 0.7])


def test_a_hold_that_leaves_no_time_is_refused():
    with pytest.raises(ValueError, match=r"hold is 0.9; p must have time to fall"):
        p_anneal(units=24, hold=0.9)
