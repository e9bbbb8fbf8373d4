"""Drift: a child that is its parent, and one of which one thing is known to be off, there and below."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from clew import Model
from clew.models.body import Body
from clew.readings.drift import drift
from clew.sites import Site
from tests.methods.test_other_kinds import behaviour
from tests.models.others import other
from tests.planted import random_behaviour, tiny_model

MODEL, TASK = tiny_model("llama"), random_behaviour(n=6)
PARTS = ("attn", "mlp", "resid", "final")


def child_of(edit) -> Model:
    module = deepcopy(MODEL.body.module)
    with torch.no_grad():
        edit(module.model.layers)
    return Model(Body(module, None, "child"))


def test_a_child_that_is_its_parent_has_not_drifted():
    found = drift(MODEL, child_of(lambda layers: None), TASK, PARTS)
    assert all((values == 0).all() for values in (*found.sites.values(), *found.own.values(), found.kl))
    assert (found.agree == 1).all() and len(found.sites) == 3 * 3 + 1 and len(found.own) == 2 * 3


def test_a_part_that_writes_a_tenth_more_is_off_by_a_tenth_and_what_comes_after_it_is_off_by_what_it_hands_on():
    def louder(layers):
        layers[1].mlp.down_proj.weight.mul_(1.1)

    found = drift(MODEL, child_of(louder), TASK, PARTS)
    assert found.sites[Site("mlp", 1)] == pytest.approx(np.full(6, 0.1), rel=1e-4)
    assert found.own[Site("mlp", 1)] == pytest.approx(np.full(6, 0.1), rel=1e-4)
    before = [s for s in found.sites if (s.layer or 0) < 1 and s.part != "final"] + [Site("attn", 1)]
    assert all((found.sites[s] == 0).all() for s in before)
    others = [s for s in found.own if s != Site("mlp", 1)]
    assert all((found.own[s] == 0).all() for s in others) and (found.sites[Site("mlp", 2)] > 0).all()
    read = [Site("mlp", 1), Site("resid", 1)]
    at = 0
    for batch in TASK.batches(MODEL):
        values = MODEL.run(batch.clean, read=read, logits=0).values
        share = (0.1 * values[read[0]].norm(dim=-1) / values[read[1]].norm(dim=-1)).mean(1)
        rows = slice(at, at := at + len(batch.clean))
        assert found.sites[Site("resid", 1)][rows] == pytest.approx(share.numpy(), rel=1e-3)


def test_the_divergence_is_that_of_the_next_token_at_every_token_and_at_the_answer():
    child = child_of(lambda layers: layers[0].self_attn.o_proj.weight.zero_())
    found, at = drift(MODEL, child, TASK, ("resid",)), 0
    for batch in TASK.batches(MODEL):
        p, q = (m.run(batch.clean).logits.double().softmax(-1) for m in (MODEL, child))
        kl, same = (p * (p / q).log()).sum(-1), (p.argmax(-1) == q.argmax(-1)).double()
        rows = slice(at, at := at + len(p))
        for table, values in ((found.kl, kl), (found.agree, same)):
            assert table[:, rows] == pytest.approx(
                torch.stack([values.mean(1), values[:, -1]]).numpy(), rel=1e-3, abs=1e-5
            )
    assert found.kl.min() > 0


def test_a_child_that_cannot_be_edited_does_not_tell_what_each_block_adds():
    child = child_of(lambda layers: None)
    child.body.refused["edits resid.1"] = "not here"
    assert drift(MODEL, child, TASK, PARTS).own == {}


@pytest.mark.parametrize("parts", [(), ("expert",), ("pattern",)])
def test_parts_that_the_two_do_not_share_are_refused(parts):
    with pytest.raises(ValueError, match="give some that .* share, such as attn, mlp and resid"):
        drift(MODEL, MODEL, TASK, parts)


@pytest.mark.parametrize("name", ["bert", "bert of classes", "t5"])
def test_models_that_answer_otherwise_drift_too_and_the_answer_is_where_they_give_it(name):
    model, child = other(name), other(name)
    first = next(p for n, p in child.body.module.named_parameters() if p.ndim > 1 and ("layer" in n or "block" in n))
    still = drift(model, child, behaviour(model), PARTS)
    assert max(values.max() for values in (*still.sites.values(), *still.own.values(), still.kl)) < 1e-12
    with torch.no_grad():
        first.mul_(1.5)
    task = behaviour(model)
    found, at = drift(model, child, task, PARTS), 0
    assert found.kl.min() > 0 and ("encoder" in {s.stack for s in found.own}) == (name == "t5")
    for batch in task.batches(model):
        p, q = (m.run(batch.clean, logits=1).logits[:, -1].softmax(-1) for m in (model, child))
        rows = slice(at, at := at + len(p))
        assert found.kl[1, rows] == pytest.approx((p * (p / q).log()).sum(-1).numpy(), rel=1e-6)


def test_a_model_without_logits_is_refused():
    with pytest.raises(ValueError, match="has no head that gives logits"):
        drift(other("bert without a head"), other("bert without a head"), TASK, PARTS)
