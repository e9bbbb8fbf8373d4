import math

import numpy as np
import pytest
import torch

import clew
from clew.changes import Scale
from clew.readings.classifier import Classifier, learn
from clew.sites import Site
from tests.measures.labelled_model import embedding_model

MODEL = embedding_model({"on": (9.0,), "a": (1.0,), "b": (0.0, 2.0), "c": (3.0, 0.0, 4.0)})
WEIGHT = torch.zeros(32).index_copy(0, torch.tensor([0, 1]), torch.tensor([1.0, -1.0]))
HEAD = Classifier("embed", WEIGHT, 0.25, ("no", "yes"))


def test_it_reads_the_mean_over_the_tokens_but_the_first() -> None:
    assert HEAD.logits(MODEL, ["on a b", "on c"]).tolist() == [0.5 - 1.0 + 0.25, 3.0 + 0.25]
    assert Classifier("embed", WEIGHT, 0.0, ("no", "yes"), skip=0).logits(MODEL, ["on a"]).tolist() == [5.0]


def test_edits_in_force_are_in_what_it_reads() -> None:
    without = MODEL.edited(Scale(Site("embed"), factor=0.0, units=(1,)))
    assert HEAD.logits(without, ["on a b"]).tolist() == [0.75]


def test_as_a_metric_it_leans_to_the_class_of_each_text() -> None:
    (batch,) = HEAD.asks(MODEL, ["on a", "on b"], ["yes", "no"]).batches(MODEL)
    trace = MODEL.run(batch.clean, read=HEAD.reads, keep=HEAD.keep)
    assert HEAD(trace, batch).tolist() == [1.25, 1.75] and trace.logits is None


@pytest.mark.parametrize("by", ["attribution_patching", "integrated_gradients"])
def test_its_circuit_by_hand(by: str) -> None:
    task = HEAD.asks(MODEL, ["on a b", "on b b"], ["yes", "no"])
    circuit = clew.find(MODEL.neurons("embed"), task, by=by, held_out=False, skip=1)
    assert {n.address: round(n.score, 6) for n in circuit} == {"embed/0": 0.25, "embed/1": 0.5}


def test_positions_that_are_skipped_have_no_effect() -> None:
    head = Classifier("embed", WEIGHT, 0.0, ("no", "yes"), skip=0)
    task = head.asks(MODEL, ["on a"], ["yes"])
    scores = [clew.find(MODEL.neurons("embed"), task, held_out=False, skip=n).score.sum() for n in (0, 1)]
    assert scores == pytest.approx([5.0, 0.5])


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


def test_it_is_saved_to_the_bit(tmp_path) -> None:
    head = Classifier("resid.1", torch.randn(7), 0.1, ("nurse", "professor"), 2)
    again = Classifier.load(head.save(tmp_path / "head.safetensors"))
    assert torch.equal(again.weight, head.weight)
    assert (again.site, again.bias, again.classes, again.skip) == (head.site, head.bias, head.classes, head.skip)
    assert repr(again) == repr(head)


def test_fit_learns_from_the_model_as_it_is_edited() -> None:
    texts, labels = ["on a", "on b", "on a a", "on b b"], ["x", "y", "x", "y"]
    head = Classifier.fit(MODEL, texts, labels, site="embed", epochs=40)
    assert head.classes == ("x", "y") and (head.logits(MODEL, texts) > 0).tolist() == [False, True, False, True]
    blinded = MODEL.edited(Scale(Site("embed"), factor=0.0, units=(0,)))
    assert Classifier.fit(blinded, texts, labels, site="embed").weight[0] == 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: HEAD.asks(MODEL, ["on a"], ["maybe"]), "labelled 'maybe'; this classifier knows no and yes"),
        (lambda: Classifier("embed", WEIGHT, 0.0, ("a", "a")), "tells two classes apart"),
        (lambda: Classifier.fit(MODEL, ["on a", "on b"], ["x", "x"], site="embed"), "all 2 texts are of one class"),
        (lambda: Classifier.fit(MODEL, ["on a"] * 3, ["x", "y", "z"], site="embed"), r"two classes can be told apart"),
        (lambda: learn(torch.zeros(3, 2), np.ones(3, dtype=bool)), "all 3 texts are of one class"),
        (lambda: Classifier.load("nowhere.safetensors"), "there is no file"),
        (lambda: Classifier.fit(MODEL, ["on a", "on b"], ["x", "y"], site="resid.99"), "is not a site"),
    ],
)
def test_errors_say_what_was_given(make, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


def test_a_foreign_file_is_named(tmp_path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(2)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"x.safetensors holds no classifier of clew"):
        Classifier.load(tmp_path / "x.safetensors")
