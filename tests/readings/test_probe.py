"""Probes on texts and how they are learnt: by hand, by what theory promises, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import clew
from clew.changes import Scale
from clew.probing import Pool, Probe
from clew.readings.probe import ProbeKind, asks, fit, learn, scores, shrunk_covariance
from clew.sites import Site
from tests.measures.labelled_model import embedding_model

YES = np.array([True, True, False, False])


def correlated(n: int) -> tuple[torch.Tensor, np.ndarray]:
    """Classes apart along e_0, noise mostly along e_0 + e_1: the best direction is not that of the means."""
    g = torch.Generator().manual_seed(0)
    yes = torch.arange(n) % 2 == 0
    noise = torch.randn(n, 3, generator=g, dtype=torch.float64) * 0.3
    noise[:, :2] += 4 * torch.randn(n, 1, generator=g, dtype=torch.float64)
    return noise + torch.where(yes, 1.0, -1.0)[:, None] * torch.tensor([1.0, 0, 0]), yes.numpy()


def right(x: torch.Tensor, yes: np.ndarray, by: ProbeKind) -> np.ndarray:
    weight, bias = fit(x, yes, by=by)
    return (x @ weight + bias > 0).numpy() == yes


def test_the_probe_of_means_by_hand():
    x = torch.tensor([[4.0, 1.0], [2.0, 1.0], [0.0, 1.0], [-2.0, 1.0]])
    weight, bias = fit(x, YES, by="mean_difference")
    assert weight.tolist() == [4.0, 0.0] and bias == -4.0


def test_lda_divides_by_the_covariance_within_classes():
    x, yes = correlated(4000)
    weight, _ = fit(x, yes, by="lda")
    assert torch.allclose(weight / weight[0], torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64), atol=0.05)
    assert right(x, yes, "lda").mean() > 0.95 > 0.7 > right(x, yes, "mean_difference").mean()


@pytest.mark.parametrize("by", ["logistic", "lda", "mean_difference"])
def test_every_probe_weighs_the_classes_equally(by):
    g = torch.Generator().manual_seed(1)
    yes = np.arange(600) < 60
    x = torch.randn(600, 4, generator=g) + 2.0 * torch.tensor(yes)[:, None]
    good = right(x, yes, by)
    assert abs(good[yes].mean() - good[~yes].mean()) < 0.06


def test_the_classes_may_be_told_in_a_tensor_or_a_list():
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    given = [fit(x, positive, by="lda")[0] for positive in (YES, torch.tensor(YES), YES.tolist())]
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
    assert torch.equal(fit(x, [True, False], by="lda")[0], x[0] - x[1])


# By gradient descent.


def test_learning_finds_the_direction_that_tells() -> None:
    x = torch.randn(600, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 7 + 3
    positive = (x[:, 2] > 3).numpy()
    weight, bias = learn(x, positive, epochs=30)
    assert abs(weight[2]) > 0.99 * weight.norm()
    assert ((x @ weight + bias > 0).numpy() == positive).mean() > 0.97


def test_one_step_by_hand() -> None:
    """AdamW's first step is lr against the sign of the gradient; x has spread sqrt(2) about 2."""
    weight, bias = learn(torch.tensor([[1.0], [3.0]]), np.array([False, True]), lr=0.1)
    assert weight.item() == pytest.approx(0.1 / math.sqrt(2), abs=1e-6)
    assert bias + 2 * weight.item() == pytest.approx(0.0, abs=0.11)


def test_at_gamma_0_blind_is_the_plain_head() -> None:
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
    positive = (x[:, 0] + x[:, 1] > 0).numpy()
    plain, blind = learn(x, positive, epochs=3), learn(x, positive, epochs=3, gamma=2.0)
    again = learn(x, positive, epochs=3, gamma=0.0)
    assert torch.equal(plain[0], again[0]) and not torch.equal(plain[0], blind[0])


def test_blind_leans_less_on_a_shortcut_that_is_right_in_nine_of_ten() -> None:
    g = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 2, (4000,), generator=g) * 2.0 - 1
    short = torch.where(torch.rand(4000, generator=g) < 0.9, truth, -truth)
    x = torch.stack([0.5 * truth + 0.5 * torch.randn(4000, generator=g), 2 * short], 1)
    leaning = []
    for gamma in (0.0, 4.0):
        weight, _ = learn(x, (truth > 0).numpy(), epochs=5, gamma=gamma)
        leaning.append(float(weight[1] / weight[0]))
    assert leaning[1] < 0.8 * leaning[0]


def test_one_class_leaves_nothing_to_learn() -> None:
    with pytest.raises(ValueError, match="all 3 texts are of one class"):
        learn(torch.zeros(3, 2), np.ones(3, dtype=bool))


# What it says of texts.

MODEL = embedding_model({"on": (9.0,), "a": (1.0,), "b": (0.0, 2.0), "c": (3.0, 0.0, 4.0)})
WEIGHT = torch.zeros(32).index_copy(0, torch.tensor([0, 1]), torch.tensor([1.0, -1.0]))
HEAD = Probe("embed", WEIGHT, 0.25, classes=("no", "yes"), pool=Pool("mean", skip=1))


def test_a_text_is_its_last_token_or_the_mean_over_its_tokens_but_the_first() -> None:
    assert scores(MODEL, ["on a b", "on c"], HEAD).tolist() == [0.5 - 1.0 + 0.25, 3.0 + 0.25]
    assert scores(MODEL, ["on a"], Probe("embed", WEIGHT, pool=Pool("mean"))).tolist() == [5.0]
    assert scores(MODEL, ["on a", "on b b c"], Probe("embed", WEIGHT)).tolist() == [1.0, 3.0]  # the last token


def test_edits_in_force_are_in_what_it_reads() -> None:
    without = MODEL.edited(Scale(Site("embed"), factor=0.0, units=(1,)))
    assert scores(without, ["on a b"], HEAD).tolist() == [0.75]


def test_as_a_metric_it_leans_to_the_class_of_each_text() -> None:
    (batch,) = asks(MODEL, ["on a", "on b"], ["yes", "no"], HEAD).batches(MODEL)
    trace = MODEL.run(batch.clean, read=HEAD.reads, logits=HEAD.logits)
    assert HEAD(trace, batch).tolist() == [1.25, 1.75] and trace.logits is None


@pytest.mark.parametrize("by", ["attribution_patching", "integrated_gradients"])
def test_its_circuit_by_hand(by: str) -> None:
    task = asks(MODEL, ["on a b", "on b b"], ["yes", "no"], HEAD)
    circuit = clew.find(MODEL.neurons("embed"), task, by=by, held_out=False, skip=1)
    assert {n.address: round(n.score, 6) for n in circuit} == {"embed/0": 0.25, "embed/1": 0.5}


def test_positions_that_are_skipped_have_no_effect() -> None:
    head = replace(HEAD, bias=0.0, pool=Pool("mean"))
    task = asks(MODEL, ["on a"], ["yes"], head)
    scores = [clew.find(MODEL.neurons("embed"), task, held_out=False, skip=n).score.sum() for n in (0, 1)]
    assert scores == pytest.approx([5.0, 0.5])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: asks(MODEL, ["on a"], ["maybe"], HEAD), "labelled 'maybe'; this probe knows no and yes"),
        (lambda: asks(MODEL, ["on a"], ["yes"], Probe("embed", WEIGHT)), "this probe names no classes"),
        (lambda: scores(MODEL, ["on a"], replace(HEAD, pool=Pool("every"))), "told by one state"),
        (lambda: scores(MODEL, ["on a"], Probe("resid.99", WEIGHT)), "is not a site"),
        (lambda: scores(MODEL, ["on"], HEAD), "'on' has 1 tokens"),
    ],
)
def test_what_a_probe_cannot_say_of_a_text_is_refused(make, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()
