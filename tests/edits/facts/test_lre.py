"""Editing through a linear relation: exact where the model is linear, and what it says of itself."""

from dataclasses import replace

import pytest
import torch

from clew.data.facts.facts import Facts
from clew.edits.facts.lre import lre
from clew.models import EditDidNotFire
from clew.sites import Site
from tests.models.tiny import model_of
from tests.readings.test_relation import F64, SAID, linear_toy

LAST = Facts("last", tuple(replace(f, prompt="the {}") for f in SAID))


def test_in_a_linear_model_the_subject_becomes_the_other() -> None:
    model = linear_toy()
    wanted = Facts("last", (replace(LAST[0], target="he"), *LAST.facts[1:]))
    stack = lre(model, wanted, layer=0, rank=32, shots=False)
    edited, other = (m.run(f.asked, read=["resid.2"], logits=0)["resid.2"][0, -1]
                     for m, f in ((model.edited(stack), LAST[0]), (model, LAST[1])))  # fmt: skip
    assert torch.allclose(edited, other, atol=1e-9)
    assert stack.about["as"] == "old king" and stack.name == "nurse: she -> he"


@pytest.mark.parametrize("dense", [True, False])
def test_a_subject_of_several_words_is_changed_at_its_last_and_nowhere_else(dense: bool) -> None:
    model = model_of("llama", F64)
    facts = Facts("said", (SAID[0], replace(SAID[1], target="she"), *SAID.facts[2:]))
    stack = lre(model, facts, edit=1, layer=1, edit_layer=0, rank=3, dense=dense, shots=False)
    tokens = model.tokenizer("she said of the old king that he was not", return_tensors="pt")["input_ids"]
    before, after = (m.run(tokens, read=["resid.0"], logits=0)["resid.0"][0] for m in (model, model.edited(stack)))
    assert (before != after).any(-1).nonzero().flatten().tolist() == [5]  # she said of the old king
    assert stack[0].at == Site("resid", 0) and stack.about["rank"] == 3
    with pytest.raises(EditDidNotFire):
        model.edited(stack).run("the king was old")


def test_an_edit_without_a_model_for_it_is_refused() -> None:
    model = model_of("llama", F64)
    with pytest.raises(ValueError, match="has the answer 'good'"):
        lre(model, SAID, layer=0, rank=3)
    with pytest.raises(ValueError, match="edit=4"):
        lre(model, SAID, edit=4, layer=0)
    with pytest.raises(ValueError, match="rank=64: the stream is 32 wide"):
        lre(model, SAID, layer=0)
    with pytest.raises(ValueError, match="one fact"):
        lre(model, SAID.pick([0]), layer=0)
