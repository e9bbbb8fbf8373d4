import pytest

from clew.circuits.selection.bootstrap import bootstrap
from clew.circuits.selection.ratio import ratio
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.studies.comparison.selections import selection
from tests.planted import random_behaviour, tiny_model


def test_selections_are_joined_from_left_to_right():
    circuit = attribution_patching(tiny_model("gpt2").components(), random_behaviour(6), positions=False)
    joined = selection("bootstrap:confidence=0.5+ratio")
    assert joined.__name__ == "bootstrap:confidence=0.5+ratio"
    by_hand = ratio(bootstrap(circuit, confidence=0.5), 5, 0.5)
    assert joined(circuit, 5).keys() == by_hand.keys() and len(by_hand) == 5
    assert selection("top")(circuit, 3, signed=True).score.tolist() == sorted(circuit.score)[:-4:-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("topp", "did you mean 'top'"),
        ("top:rho=2", "top has no option 'rho'"),
        ("ratio+ilp", "chooses n twice"),
    ],
)
def test_what_cannot_be_chosen_by_is_an_error(text, said):
    with pytest.raises(ValueError, match=said):
        selection(text)
