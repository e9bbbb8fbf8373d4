"""Every edit: the room's shape, said in words."""

import pytest

from clew import finder
from clew.stack import Stack
from tests.conformance.shape import check_signature, check_words


@pytest.mark.parametrize("name", finder.names("edits"))
def test_an_edit_takes_a_model_and_evidence_and_gives_a_stack(name):
    edit = finder.load("edits", name)
    check_signature(edit, "model", "*", returns=Stack)
    check_words(edit, "edits", "seed", "lr")
