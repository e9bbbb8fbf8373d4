"""Searches and measures on what is no causal language model: encoders, classes, pictures, two stacks."""

from __future__ import annotations

import pytest

import clew
from clew.changes import Set
from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.pairs import Pair
from clew.sites import Site
from tests.models.others import MASK, other


def behaviour(model):
    """Four pairs of random prompts, whose answers are two tokens or classes."""
    rows = model.body.sample(8, length=9, seed=3)
    if model.body.layout.answers == "mask":
        rows = [(*(max(t, 4) for t in row[:4]), MASK, *(max(t, 4) for t in row[5:])) for row in rows]
    return Behaviour("random", [Pair(rows[2 * i], rows[2 * i + 1], (i % 3,), ((i + 1) % 3,)) for i in range(4)])


@pytest.mark.filterwarnings("ignore:.*noise.*")
@pytest.mark.parametrize("name", ["bert", "albert", "bert of classes", "vit", "t5", "llava"])
def test_a_circuit_of_components_is_found_and_holds_all_that_the_whole_does(name):
    model = other(name)
    if name in ("albert", "t5"):
        model.body.refused["resume"] = "as selfcheck finds"
    view, task = model.components(), behaviour(model)
    found = clew.find(view, task, by="attribution_patching", held_out=False)
    assert {str(s).partition(".")[0] for s in found.sites} >= ({"encoder", "cross_head"} if name == "t5" else {"head"})
    (row, *_) = clew.verify(view, task, found, held_out=False).rows
    assert row.value == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "site"), [("bert", "mlp.0"), ("vit", "mlp.0"), ("t5", "encoder.mlp.1"), ("t5", "cross.1")]
)
def test_the_effect_of_a_component_is_that_of_putting_the_other_prompts_write_in_its_place(name, site):
    model = other(name)
    if name == "t5":
        model.body.refused["resume"] = "as selfcheck finds"
    view, task = model.components(), behaviour(model)
    at = Site.parse("cross_head.1" if site == "cross.1" else site)
    found = clew.find(view, task, by="exact_patching", held_out=False, positions=False)
    (batch,) = task.batches(view)
    there = model.run(batch.patch, read=[at])[at]
    wanted = 0.0
    for position in range(there.shape[1]):
        here = model.run(batch.clean, read=[at])[at].clone()
        here[:, position, : view.dictionaries[at].sizes[0]] = there[:, position, : view.dictionaries[at].sizes[0]]
        run = model.run(batch.clean, edits=[Set(at, value=here)], logits=1)
        whole = task.measured(model.run(batch.clean, logits=1), batch)
        wanted += float((whole - task.measured(run, batch)).mean())
    (score,) = (node.score for node in found if node.site == at and node.unit == 0)
    assert score == pytest.approx(wanted, rel=1e-9)


@pytest.mark.filterwarnings("ignore:.*noise.*")
def test_edges_run_within_both_stacks_and_across_from_the_encoder_to_the_heads_that_read_it(monkeypatch):
    model = other("t5")
    model.body.refused["resume"] = "as selfcheck finds"
    view, task = model.components(), behaviour(model)
    nodes = clew.find(view, task, by="attribution_patching", held_out=False, positions=False)
    wired = clew.find(view, task, nodes, by="edges", held_out=False)
    names = [(str(wired.sites[i]), int(u)) for i, u in zip(wired.site, wired.unit, strict=True)]
    pairs = {(names[s][0], names[t][0]) for s, t in zip(wired.source, wired.target, strict=True) if t >= 0}
    assert {("encoder.mlp.1", "cross_head.0"), ("encoder.head.0", "encoder.mlp.1"), ("cross_head.0", "mlp.1")} <= pairs
    assert not [
        pair for pair in pairs if pair[0].startswith("encoder") and not pair[1].startswith(("encoder", "cross"))
    ]
    assert not [pair for pair in pairs if not pair[0].startswith("encoder") and pair[1].startswith("encoder")]
    monkeypatch.setattr("clew.methods.edges.edges.mixes_positions", lambda model, site: True)
    one_by_one = clew.find(view, task, nodes, by="edges", held_out=False)
    assert wired.weight == pytest.approx(one_by_one.weight, rel=1e-9, abs=1e-15)
    for target in (names.index(("cross_head.1", 0)), names.index(("encoder.mlp.1", 0))):
        arriving = wired.weight[wired.target == target].sum()
        assert arriving != 0
