import sys

import numpy as np
import pytest
import torch

from clew.changes import Scale
from clew.data.labels.labelled import Labelled
from clew.dictionaries import Identity, Partition
from clew.measures.dictionaries._probes import (
    balanced,
    difference,
    fit,
    is_right,
    projections,
    see,
    some_active,
    without,
)
from clew.sites import Site
from tests.measures.labelled_model import D, embedding_model, relu

YES = np.array([True, True, False, False, False])


def test_balanced_accuracy_by_hand():
    right = np.array([True, False, True, True, False])
    assert balanced(right, YES, np.arange(5)) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert balanced(right, YES, np.array([0, 0, 1, 4])) == pytest.approx((2 / 3 + 0) / 2)


def test_guessing_gives_a_half_however_rare_the_class():
    rare = np.arange(1000) < 30
    assert balanced(~rare, rare, np.arange(1000)) == 0.5


def test_difference_by_hand():
    code = torch.tensor([[1.0, 0.0], [3.0, 2.0], [0.0, 3.0], [0.0, 0.0], [3.0, 0.0]])
    assert difference(code, YES).tolist() == [1.0, 0.0]


def test_a_probe_finds_the_direction_whatever_the_unit_and_the_offset():
    x = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    truth = (x[:, 1] > 0).numpy()
    for unit, offset in ((1.0, 0.0), (1e-3, 5.0), (1e3, -7.0)):
        probe = fit(unit * x + offset, truth)
        direction = probe[0] / probe[0].norm()
        assert direction[1] > 0.98 and is_right(probe, unit * x + offset, truth).mean() > 0.97


def test_one_class_is_nothing_to_tell_apart():
    with pytest.raises(ValueError, match="all 5 texts to learn from are of one class"):
        fit(torch.randn(5, 2), np.ones(5, dtype=bool))


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(ImportError, match=r"clew\[probes\]"):
        fit(torch.randn(5, 2), YES)


MODEL = embedding_model({"on": (9.0,), "a": (1.0,), "b": (0.0, 2.0), "c": (3.0, 0.0, 4.0)})


def test_a_text_is_the_mean_over_its_tokens_but_the_first():
    texts = Labelled("t", ("on a b", "on c"), {"x": ("p", "q")})
    seen = see(MODEL, texts, Identity("embed", D))
    assert seen.x[:, :4].tolist() == [[0.5, 1.0, 0.0, 0.0], [3.0, 0.0, 4.0, 0.0]]
    assert torch.equal(seen.x, seen.code)


def test_a_labelled_token_is_read_alone():
    texts = Labelled("t", ("on a b", "on c a b"), {"x": ("p", "q")}, position=-2)
    assert see(MODEL, texts, Identity("embed", D)).x[:, 0].tolist() == [1.0, 1.0]


def test_a_text_too_short_is_named():
    with pytest.raises(ValueError, match="'on' has 1 tokens, too few to read the mean after the first 1"):
        see(MODEL, Labelled("t", ("on a b", "on"), {"x": ("p", "q")}), Identity("embed", D))
    with pytest.raises(ValueError, match="too few to read position -4"):
        see(MODEL, Labelled("t", ("on a b",), {"x": ("p",)}, position=-4), Identity("embed", D))


def test_units_of_several_coordinates_are_refused():
    with pytest.raises(ValueError, match="several coordinates"):
        see(MODEL, Labelled("t", ("on a",), {"x": ("p",)}), Partition("embed", (D // 2, D // 2)))


def test_ablating_the_pooled_code_is_running_the_model_with_it_ablated():
    dictionary = relu([(1.0, 0.5), (0.0, 1.0, 2.0)], encoder=[(1.0, -0.1), (0.3, 0.2)])
    texts = Labelled("t", ("on a b c", "on c"), {"x": ("p", "q")})
    view = MODEL.through(dictionary)
    run = view.edited(Scale(Site.parse("embed"), factor=0.0, units=(1,), basis="code"))
    truth = [run.run(MODEL.tokens(text)[0], read=["embed"])["embed"][0, 1:].mean(0) for text in texts.texts]
    assert torch.allclose(without(see(MODEL, texts, dictionary), dictionary, [1]), torch.stack(truth), atol=1e-6)


def test_projections_are_decoder_rows_times_the_direction():
    assert projections(relu([(1.0, 2.0), (0.0, 3.0)]), torch.eye(D)[1]).tolist() == [2.0, 3.0]


def test_random_units_are_active_ones():
    code = torch.zeros(4, 9)
    code[1, [2, 5, 7]] = 1.0
    assert sorted(some_active(code, 5, torch.Generator().manual_seed(0))) == [2, 5, 7]
