"""Every measure: the shape of its room, said in words, with its source."""

import pytest

from clew import finder
from clew.report import Report
from tests.conformance.shape import check_signature, check_source, check_words

CLAIMS = {"measures.circuits": "circuit", "measures.dictionaries": "dictionary", "measures.edits": "stack"}
MEASURES = [(room, name) for room in CLAIMS for name in finder.names(room)]
OURS = {
    "curve": "faithfulness, for several sizes",
    "drift": "relative errors and divergences as everyone takes them",
    "recovery": "what is found against what was planted",
    "fit": "shares and losses as everyone takes them",
    "undone": "bits that differ",
}
"""Not published, and what they are instead."""


@pytest.mark.parametrize(("room", "name"), MEASURES)
def test_its_signature_has_the_shape_of_the_room(room, name):
    measure = finder.load(room, name)
    check_signature(measure, "model", "*", CLAIMS[room], returns=Report)
    check_words(measure, room, "seed")


@pytest.mark.parametrize(("room", "name"), [(room, name) for room, name in MEASURES if name not in OURS])
def test_it_says_where_it_was_published(room, name):
    check_source(finder.load(room, name))
