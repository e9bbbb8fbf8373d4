"""Known behaviours, mixed, are told apart by every kind of vector on a real model."""

import numpy as np
import pytest

import clew
from clew.finder import load
from clew.studies.atlas._sklearn import sklearn
from clew.studies.atlas._vectors import centred
from clew.studies.atlas.clustering import clustered
from clew.studies.atlas.contexts import Contexts

KNOWN = ("agreement/across_rc", "capitals", "antonyms", "tense", "induction")
EACH = 8


@pytest.mark.real
def test_known_behaviours_are_told_apart():
    model = clew.open("smollm2-135m")
    view = model.neurons("resid.9", "resid.19", "resid.29")
    rows = []
    for name in KNOWN:
        task = clew.Behaviour.load(name, model=model, n=2 * EACH).filter(model)
        batch = next(iter(task.batches(model)))
        rows += list(zip(batch.clean.tolist(), batch.answers[:, 0].tolist(), strict=True))[:EACH]
    assert len(rows) == EACH * len(KNOWN)
    given, truth = Contexts.of(*map(list, zip(*rows, strict=True))), np.repeat(np.arange(len(KNOWN)), EACH)
    score = sklearn("metrics").adjusted_rand_score
    least = {"activations": 0.9, "features": 0.9, "effects": 0.6, "gradients": 0.7}
    for kind in least:
        made = centred(kind, load("studies.atlas.vectors", kind)(view, given))
        assert score(truth, clustered(made, len(KNOWN)).which) > least[kind], kind
