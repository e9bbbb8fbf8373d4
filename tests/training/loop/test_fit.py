"""One plan under way: gradients of parts, and the rate over the steps."""

import pytest
import torch

from clew.training import Plan, train
from clew.training.loop.fit import rate
from clew.training.objective import Clock
from tests.training.planted_rows import rows


def test_the_rate_goes_up_over_a_twentieth_of_the_steps_and_down_over_the_last_third() -> None:
    found = [rate(Clock(step, 1000)) for step in (1, 25, 50, 400, 701, 851, 1000)]
    assert found == pytest.approx([0.02, 0.5, 1, 1, 1, 0.5, 1 / 300])


def test_parts_of_a_batch_sum_to_the_gradient_of_the_whole() -> None:
    plan = Plan("relu", "resid.1", options={"units": 24})
    x = {"resid.1": rows(1000)[0]}
    one, four = (train(x, [plan], steps=12, batch=200, parts=n)[0] for n in (1, 4))
    torch.testing.assert_close(one.W_enc, four.W_enc, rtol=1e-3, atol=1e-4)
