"""Every probe: the room's shape, said in words."""

import pytest

from clew import finder
from clew.probing import Probe
from tests.conformance.shape import check_signature, check_source, check_words


@pytest.mark.parametrize("name", finder.names("probes"))
def test_a_probe_takes_a_model_and_evidence_and_gives_a_probe(name):
    probe = finder.load("probes", name)
    check_signature(probe, "model", "evidence", returns=Probe)
    check_words(probe, "probes", "seed")
    check_source(probe)
