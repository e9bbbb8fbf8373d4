"""Every probe: the room's shape, said in words; the same twice, the model left alone, and a number that it tells."""

import pytest
import torch

from clew import finder
from clew.probing import Pool, Probe
from clew.readings.probe import scores
from tests.conformance.knowing import MODEL, NUMBER
from tests.conformance.shape import check_signature, check_source, check_words, untouched

SHORT = {"blind": {"epochs": 30, "gamma": 0.0, "lr": 0.1}}
"""Options under which what learns by steps is done soon."""


@pytest.mark.parametrize("name", finder.names("probes"))
def test_a_probe_takes_a_model_and_evidence_and_gives_a_probe(name):
    probe = finder.load("probes", name)
    check_signature(probe, "model", "evidence", returns=Probe)
    check_words(probe, "probes", "seed")
    check_source(probe)


@pytest.mark.parametrize("name", finder.names("probes"))
def test_the_same_twice_the_model_left_alone_and_the_number_told(name):
    probe, given = finder.load("probes", name), {"at": "resid.3", "pool": Pool("last"), **SHORT.get(name, {})}
    with untouched(MODEL.body.module):
        one, two = (probe(MODEL, NUMBER, **given) for _ in range(2))
    assert torch.equal(one.weight, two.weight) and (one.bias, one.fitted) == (two.bias, two.fitted)
    turned = probe(MODEL, NUMBER, classes=("one", "many"), **given)
    for found, wanted in ((one, "one"), (turned, "many")):
        said = (scores(MODEL, NUMBER.texts, found) > 0).tolist()
        assert said == [label == wanted for label in NUMBER["number"]]
