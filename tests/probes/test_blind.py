"""The probe by gradient descent: it is `learn` on pooled states, and BLIND only above gamma 0."""

import numpy as np
import torch

from clew.data.labels.labelled import Labelled
from clew.probes.blind import blind
from clew.probing import Pool
from clew.readings.probe import learn, pooled, scores
from tests.measures.labelled_model import embedding_model

MODEL = embedding_model({"on": (9.0,), "a": (1.0,), "b": (0.0, 2.0)})
TEXTS, LABELS = ("on a", "on b", "on a a", "on b b"), ("x", "y", "x", "y")
KINDS = Labelled("kinds", TEXTS, {"kind": LABELS})


def test_it_is_what_learn_makes_of_the_pooled_texts() -> None:
    weight, bias = learn(pooled(MODEL, TEXTS, "embed", Pool("mean", 1)), np.array(LABELS) == "y", epochs=3, gamma=2.0)
    probe = blind(MODEL, KINDS, at="embed", epochs=3)
    assert torch.equal(probe.weight, weight) and probe.bias == bias


def test_it_tells_the_texts_apart_and_says_how_it_was_learnt() -> None:
    probe = blind(MODEL, KINDS, at="embed", gamma=0.0, epochs=40, seed=1)
    assert (scores(MODEL, TEXTS, probe) > 0).tolist() == [False, True, False, True]
    told = {name: probe.fitted[name] for name in ("estimator", "gamma", "epochs", "seed", "train_accuracy")}
    assert told == {"estimator": "blind", "gamma": 0.0, "epochs": 40, "seed": 1, "train_accuracy": 1.0}


def test_only_gamma_makes_it_blind() -> None:
    plain, again, other = (blind(MODEL, KINDS, at="embed", gamma=g, epochs=9).weight for g in (0.0, 0.0, 2.0))
    assert torch.equal(plain, again) and not torch.equal(plain, other)
