"""Sums by document: values and intervals of ratios."""

import numpy as np
import pytest
import torch

from clew.measures._documents import Documents, ratio


def documents(**values: list[float]) -> Documents:
    found = Documents()
    found.add(torch.tensor([0, 0, 1, 2]), **{name: torch.tensor(v) for name, v in values.items()})
    return found


def test_a_ratio_is_that_of_the_sums_and_not_a_mean_of_ratios() -> None:
    sums = documents(above=[1.0, 1, 1, 9], below=[1.0, 1, 2, 2]).sums()
    assert ratio(sums["above"], sums["below"])[0] == 2.0


def test_every_resample_is_a_whole_number_of_documents() -> None:
    drawn = documents(n=[1.0, 1, 1, 1], of_one=[0.0, 0, 1, 0]).sums()
    assert len(drawn["n"]) == 1001 and set(drawn["of_one"]) == {0, 1, 2, 3}
    assert (drawn.weights.sum(1) == 3).all() and drawn["n"].max() == 6  # three times the document of two


def test_the_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    found, random = Documents(), np.random.default_rng(0)
    x = torch.from_numpy(random.normal(size=400))
    found.add(torch.arange(400), n=torch.ones(400), x=x)
    row = found.row("mean", found.sums().mean("x"))
    assert row.value == pytest.approx(float(x.mean())) and row.examples == 400
    assert row.high - row.low == pytest.approx(2 * 1.96 * float(x.std()) / 20, rel=0.1)


def test_adding_in_parts_and_in_groups_leaves_the_sums() -> None:
    one, two = Documents(groups=2), Documents()
    x, owner = torch.randn(50, 3, dtype=torch.float64), torch.arange(50) // 7
    one.add(owner, x=x)
    for some in torch.arange(50).split(11):
        two.add(owner[some], x=x[some])
    assert len(one) == len(two) == 8
    assert np.allclose(one.sums()["x"][0], two.sums()["x"][0]) and one.sums().weights.shape[1] == 2


def test_counts_and_bools_are_added_alike() -> None:
    on, owner = torch.rand(30, 5) > 0.5, torch.arange(30) % 4
    added, counted = Documents(), Documents()
    added.add(owner, fires=on)
    token, unit = on.nonzero().T
    counted.count("fires", owner[token], unit, 5)
    assert np.array_equal(added.sums()["fires"], counted.sums()["fires"])


def test_a_centred_interval_holds_a_share_that_every_resample_exceeds() -> None:
    found = Documents()
    found.add(torch.arange(40), fires=torch.eye(40) > 0)  # each unit fires in one document alone
    dead = (found.sums()["fires"] == 0).mean(1)
    plain, centred = found.row("dead", dead), found.row("dead", dead, centred=True)
    assert plain.low > plain.value == 0
    assert centred.low == 0 < centred.high < plain.low
