import numpy as np

from clew.methods.edges.clean_corrupted import clean_corrupted
from clew.methods.edges.eap import eap
from clew.methods.edges.eap_ig_inputs import eap_ig_inputs
from tests.planted import random_behaviour, tiny_model

GIVEN = tiny_model("gpt2"), random_behaviour(4)


def test_one_step_from_the_clean_end_is_eap():
    np.testing.assert_allclose(eap_ig_inputs(*GIVEN, steps=1, start="clean").weight, eap(*GIVEN).weight, atol=1e-12)


def test_the_mean_of_both_ends_is_clean_corrupted():
    ends = [eap_ig_inputs(*GIVEN, steps=1, start=end).weight for end in ("clean", "other")]
    np.testing.assert_allclose(np.mean(ends, 0), clean_corrupted(*GIVEN).weight, atol=1e-12)
