"""BatchTopK: the largest of a batch, and the threshold that takes their place afterwards."""

import pytest
import torch

from clew.dictionaries import BatchTopK
from clew.training import Plan, train
from clew.training.objectives.batchtopk import largest
from tests.training.planted_rows import rows


def test_the_largest_of_three_rows_by_hand() -> None:
    raw = torch.tensor([[9.0, 8.0, 7.0], [1.0, 0.0, 6.0], [2.0, 3.0, 1.0]])
    active = largest(raw, 4)
    assert active.count.tolist() == [3, 1, 0]
    assert [sorted(active.unit[:3].tolist()), active.unit[3:].tolist()] == [[0, 1, 2], [2]]


def test_one_greedy_row_gets_more_than_a_few() -> None:
    raw = torch.rand(8, 64, generator=torch.Generator().manual_seed(0))
    raw[2] += 10
    active = largest(raw, 40)
    assert active.count.tolist() == [0, 0, 40, 0, 0, 0, 0, 0]
    assert set(active.unit.tolist()) == set(raw[2].topk(40).indices.tolist())


def test_the_threshold_keeps_k_units_on_average_for_unseen_rows() -> None:
    x = rows(9000)[0]
    plan = Plan("batchtopk", "resid.1", options={"units": 24, "k": 2})
    (made,) = train({"resid.1": 5 * x[:6000] + 1}, [plan], steps=500, batch=256)
    assert isinstance(made, BatchTopK)
    assert (made.encode(5 * x[6000:] + 1) != 0).sum(1).float().mean() == pytest.approx(2, abs=0.15)
