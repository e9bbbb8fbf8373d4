"""Batches: scaled, without outliers, and the same at every start."""

import pytest
import torch

from clew.readings.source import Rows
from clew.sites import Site
from clew.training import Plan
from clew.training.loop.batches import Batches, geometric_median
from tests.training.planted_rows import rows

PLAN = Plan("topk", "resid.1", options={"units": 24, "k": 2, "half": False})


def batches(x: torch.Tensor, batch: int, round: int = 65_536) -> Batches:
    return Batches(Rows({"resid.1": x}, round), [PLAN], batch, 0, None)


def shown(data: Batches, steps: int, cursor: tuple[int, int] = (0, 0), step: int = 0) -> list[torch.Tensor]:
    s = data.scalings[Site.parse("resid.1")]
    return [b.rows(PLAN)[0] * s.scale + s.centre for _, _, b in data.after(step, cursor, steps)]


def test_of_three_points_on_a_line_the_geometric_median_is_the_middle_one() -> None:
    assert geometric_median(torch.tensor([[0.0], [1.0], [5.0]])).item() == pytest.approx(1.0, abs=1e-3)


def test_batches_are_scaled_and_hold_no_outlier() -> None:
    x = torch.randn(5000, 16, generator=torch.Generator().manual_seed(0)) * 30 + 4
    x[::100] += 1e4
    data = batches(x, 512)
    some = torch.cat([b.rows(PLAN)[0] for _, _, b in data.after(0, (0, 0), 9)])
    assert some.norm(dim=1).mean() == pytest.approx(4, rel=0.05)
    assert max(y.norm(dim=1).max() for y in shown(data, 9)) < 1000


def test_an_epoch_of_several_rounds_shows_every_row_once() -> None:
    x = torch.arange(100.0)[:, None] + torch.zeros(1, 3)
    found = shown(batches(x, 16, round=48), steps=6)  # three rounds of two batches
    assert sorted(torch.cat(found)[:, 0].round().tolist()) == list(range(100))
    assert {len(f) for f in found} <= {16, 17}


def test_batches_go_on_from_a_cursor_as_they_would_have() -> None:
    x = rows(500)[0]
    data = batches(x, 64, round=200)
    whole = shown(data, 10)
    cursors = [cursor for _, cursor, _ in data.after(0, (0, 0), 10)]
    rest = shown(batches(x, 64, round=200), 10, cursors[6], 7)
    assert all(torch.equal(a, b) for a, b in zip(whole[7:], rest, strict=True)) and len(rest) == 3
