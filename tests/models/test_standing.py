"""A key is equal for as long as nothing of what a run depends on has changed."""

import torch

from clew.changes import Add, Gate
from clew.models.standing import standing
from clew.probing import Probe
from tests.models.tiny import model_of, relu_dictionary


def test_it_is_the_same_until_a_weight_changes_in_place():
    model = model_of("gpt2")
    before = standing(model, units=True)
    assert standing(model, units=True) == before and hash(before) == hash(standing(model, units=True))
    weight = next(model.body.module.parameters())
    with torch.no_grad():
        weight[0] += 1
        changed = standing(model, units=True)
        weight[0] -= 1
    assert changed != before


def test_dictionaries_count_where_units_do():
    model = model_of("gpt2")
    one, two = (model.through(relu_dictionary(model, "resid.0", units=units)) for units in (16, 48))
    assert standing(one, units=False) == standing(two, units=False)
    assert standing(one, units=True) != standing(two, units=True)
    assert standing(one, units=False) != standing(model.through(relu_dictionary(model, "resid.1")), units=False)
    before = standing(one, units=True)
    next(iter(one.dictionaries.values())).W_dec += 1  # type: ignore[union-attr]
    assert standing(one, units=True) != before


def test_edits_count_and_what_is_done_to_their_tensors():
    model = model_of("gpt2")
    vector, weight = torch.ones(model.body.widths[model.body.site("resid.0")]), torch.ones(32)
    for edited, tensor in (
        (model.edited(Add("resid.0", vector=vector)), vector),
        (model.edited(Add("resid.0", vector=vector.clone(), gate=Gate(Probe("resid.0", weight)))), weight),
    ):
        before = standing(edited, units=False)
        assert before != standing(model, units=False)
        tensor *= 2
        assert standing(edited, units=False) != before
