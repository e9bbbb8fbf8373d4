"""Every family: a record that names its classes, whose tiny model is one of them. What it claims test_selfcheck.py proves."""

import pytest
import torch

from clew import finder
from clew.models.architecture import architecture_of, record_of
from clew.models.body import Body
from clew.models.model import Model
from tests.conformance.shape import untouched

FAMILIES = finder.names("models.architectures")


@pytest.mark.parametrize("family", FAMILIES)
def test_its_tiny_model_is_of_the_family_and_runs_to_the_bit(family):
    torch.manual_seed(0)
    module = record_of(family).tiny().eval()
    assert module.config.model_type.replace("-", "_") == family and type(module).__name__ in record_of(family).classes
    assert architecture_of(module) is record_of(family)
    model, tokens = Model(Body(module, None, family)), torch.arange(3, 11)[None]
    with torch.no_grad():
        bare = module(input_ids=tokens, use_cache=False).logits
    with untouched(module):
        assert torch.equal(model.run(tokens, read=model.sites()).logits, bare)
