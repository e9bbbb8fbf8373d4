import random
from functools import cache

import numpy as np
import pytest
import torch

from clew.data.behaviours.behaviour import Behaviour
from clew.data.planted import Planted, induction, ioi
from clew.data.planted._compile import Spaces, known_circuit, matrix
from clew.methods.nodes.exact_patching import exact_patching
from clew.models.graph.components import Components
from clew.models.graph.paths import Paths
from clew.models.selfcheck import selfcheck

HEADS = {induction: (2, 1, 3), ioi: (2, 1, 3, 0)}
"""A head of the circuit in each layer."""
both = pytest.mark.parametrize("make", [induction, ioi])


class Bench:
    """A planted model with all that is needed to patch edges of it."""

    def __init__(self, planted: Planted) -> None:
        self.planted, self.model = planted, planted.model
        self.graph = Components(self.model.body)
        self.batch = next(planted.behaviour.batches(self.model))
        patch = self.model.run(self.batch.patch, read=self.graph.source_sites)
        self.paths = Paths(self.graph, self.model, self.graph.writes(patch))
        self.truth = self.graph.keep(planted.circuit)
        self.whole = self.metric(self.model.run(self.batch.clean))
        self.empty = self.metric(patch)

    def metric(self, trace):
        copies = len(trace.tokens) // len(self.batch)
        return self.planted.behaviour.metric(trace, self.batch.repeat(copies)).reshape(copies, -1)

    def kept(self, keep):
        """[table, example]"""
        return torch.cat([self.metric(self.paths.run(self.batch.clean, some.double())) for some in keep.split(64)])

    def without(self, edges):
        """A table for each edge in which it alone is patched."""
        keep = torch.ones(len(edges), *self.truth.shape)
        keep[torch.arange(len(edges)), edges[:, 0], edges[:, 1]] = 0
        return keep


@cache
def bench(make) -> Bench:
    return Bench(make(n=2))


# The models do what they are written for.


@both
def test_the_answer_is_the_first_guess_at_every_prompt(make):
    planted = make()
    batch = next(planted.behaviour.batches(planted.model))
    logits = planted.model.run(batch.clean).logits[:, -1]
    assert torch.equal(logits.argmax(-1), batch.answers[:, 0])
    assert len(planted.words) == logits.shape[1] and len(set(planted.behaviour.pairs)) == 32


def test_the_prompts_read_as_they_are_described():
    planted = ioi()
    pair = planted.behaviour.pairs[0]
    _, first, _, second, _, again, verb = planted.text(pair.clean).split()
    said, other = planted.text(pair.answers), planted.text(pair.patch_answers)
    assert (again, verb) == (other, "gave") and {first, second} == {said, other}
    assert all(len(set(p.patch)) == len(p.patch) == 8 for p in induction().behaviour.pairs)


@both
def test_every_promise_of_selfcheck_holds(make):
    assert [f.promise for f in selfcheck(bench(make).model.body).findings if not f.holds] == []


@both
def test_heads_are_sharp_and_not_saturated(make):
    b = bench(make)
    run = b.model.run(b.batch.clean, read=[str(s) for s in b.model.sites("pattern")])
    sharpest = [
        run[s][:, head, -1].amax(-1).mean() for s, head in zip(b.model.sites("pattern"), HEADS[make], strict=True)
    ]
    assert all(0.85 < p < 0.99 for p in sharpest)


def test_one_model_shares_its_key_value_heads():
    assert (bench(induction).graph.n_kv_heads, bench(ioi).graph.n_kv_heads, bench(ioi).graph.n_heads) == (4, 2, 4)


# The circuit is the whole cause.


@both
def test_patching_any_edge_outside_the_circuit_changes_nothing(make):
    b = bench(make)
    outside = (b.graph.legal & ~b.truth).nonzero()
    assert len(outside) > 250
    assert (b.kept(b.without(outside)) - b.whole).abs().max() < 1e-12


@both
def test_nor_does_patching_many_of_them_or_all(make):
    b = bench(make)
    kept = torch.rand(20, *b.truth.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    kept[0] = False
    assert (b.kept(kept | b.truth) - b.whole).abs().max() < 1e-12


@both
def test_patching_any_edge_of_the_circuit_changes_the_metric_of_every_pair(make):
    b = bench(make)
    change = b.kept(b.without(b.truth.nonzero())) - b.whole
    assert change.abs().min() > 0.25 * (b.whole - b.empty).mean()


@both
def test_with_its_edges_patched_nothing_is_left_of_the_behaviour(make):
    b = bench(make)
    assert (b.kept(~b.truth[None]) - b.empty).abs().max() < 1e-12


@both
def test_no_smaller_circuit_is_as_faithful(make):
    b = Bench(make(n=1))
    edges = b.truth.nonzero()
    subsets = [*random.Random(0).sample(range(2 ** len(edges) - 1), 511), 2 ** len(edges) - 1]  # of 9 edges, all
    chosen = torch.tensor(subsets)[:, None] >> torch.arange(len(edges)) & 1
    keep = torch.zeros(len(chosen), *b.truth.shape)
    keep[:, edges[:, 0], edges[:, 1]] = chosen.float()
    faithfulness = (b.kept(keep) - b.empty) / (b.whole - b.empty)
    off = (faithfulness - 1).abs().mean(1)
    assert off[-1] < 1e-12 and off[:-1].min() > 0.3


@both
def test_nodes_outside_the_circuit_have_no_effect_and_those_inside_have(make):
    b = bench(make)
    found = exact_patching(b.model.components(), b.planted.behaviour, positions=False)
    score = dict(zip(found.keys(), found.score, strict=True))
    inside = set(b.planted.nodes.keys())
    assert inside == {key for key, value in score.items() if abs(value) > 0.25}
    assert all(abs(value) < 1e-12 for key, value in score.items() if key not in inside)


@both
def test_decoys_are_alive_and_hear_the_prompt(make):
    b = bench(make)
    clean = b.graph.writes(b.model.run(b.batch.clean, read=b.graph.source_sites))
    differs = (clean - b.paths.other).norm(dim=-1).amax((0, 2))
    constant = {("head.0", 0)} if make is induction else set()  # a distractor: it looks at "<s>" alone
    still = {(str(site), unit) for (site, unit), size in zip(b.graph.sources, differs, strict=True) if size < 0.01}
    assert still == constant


# What lures a method away from it.


def test_the_trap_has_a_large_gradient_and_no_effect():
    b = bench(ioi)
    keep = torch.ones(b.truth.shape, dtype=torch.float64, requires_grad=True)
    b.metric(b.paths.run(b.batch.clean, keep, grad=True)).mean().backward()
    names = [str(site) for site, _ in b.graph.readers]
    assert abs(keep.grad[0, names.index("mlp_in.3")].item()) == pytest.approx(2.0)


def test_the_sleeping_neuron_wakes_at_its_word():
    b = bench(induction)
    answers = b.model.run(b.batch.clean).logits[:, -1, 1:21]
    woken = b.batch.clean.clone()
    woken[:, -1] = len(b.planted.words) - 1
    assert (b.model.run(woken, logits=1).logits[:, -1, 1:21].amin(1) > answers.median(1).values + 3).all()


# Writing.


def test_arrows_go_one_to_one_or_from_one_to_all():
    source, target = Spaces(a=2, one=1), Spaces(b=2, c=2)
    got = matrix(source, target, {"a -> b": 3, "one -> c": [1, 2], "one -> b": 0.5})
    assert got.tolist() == [[3, 0, 0.5], [0, 3, 0.5], [0, 0, 1], [0, 0, 2]]


def test_known_circuits_name_edges_as_the_graph_does():
    found = known_circuit(bench(ioi).model, ["embed -> q.1/1", "head.1/1 -> logits"])
    assert [n.address for n in found] == ["embed/0", "head.1/1", "q.1/1"]
    assert found.target.tolist() == [2, -1] and np.all(found.weight == 1)


def test_the_behaviour_of_a_planted_model_is_loaded_by_name():
    assert Behaviour.load("planted/ioi", n=4, model=ioi(n=4).model).pairs == ioi(n=4).behaviour.pairs
    with pytest.raises(ValueError, match="did you mean 'ioi'"):
        Behaviour.load("planted/iio")
