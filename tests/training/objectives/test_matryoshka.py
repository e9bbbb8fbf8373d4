"""Matryoshka: losses of prefixes."""

import pytest
import torch

from clew.training.objective import Clock
from clew.training.objectives.matryoshka import ends, matryoshka
from tests.training.planted_rows import rows


def test_shares_of_the_units_are_counted_out() -> None:
    assert ends((1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0), 48) == (3, 6, 12, 24, 48)


def test_the_matryoshka_loss_is_the_mean_over_prefixes() -> None:
    x = rows(300)[0]
    fit = matryoshka(units=24, k=3, prefixes=(0.25, 1.0), half=False)
    fit.start(x, x, torch.Generator().manual_seed(0))
    raw = (x - fit.tensors["b_dec"]) @ fit.tensors["W_enc"].T + fit.tensors["b_enc"]
    code = torch.where(raw >= raw.flatten().topk(900).values[-1], raw, 0.0).relu()
    error = [code[:, :n] @ fit.tensors["W_dec"][:n] + fit.tensors["b_dec"] - x for n in (6, 24)]
    expected = sum(e.square().sum(1).mean() for e in error) / 2 / fit.state["variance"]
    assert fit.loss(x, x, Clock(1, 1)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("prefixes", [(0.5, 0.25, 1.0), (0.5,), (), (0.001, 1.0)])
def test_prefixes_that_do_not_rise_to_the_whole_are_refused(prefixes: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        matryoshka(units=24, k=3, prefixes=prefixes)
