"""Influence and pruning on graphs small enough to reckon by hand."""

from dataclasses import replace

import pytest
import torch

from clew.methods.graphs._influence import Kinds, _largest, carried_back, completeness, influence, prune, replacement

# Nodes: features 0 (early) and 1 (late), an error 2, a token 3, an output 4.
A = torch.zeros(5, 5, dtype=torch.float64)
A[4, 1], A[4, 2] = 3.0, -1.0
A[1, 0], A[1, 3] = -1.0, 1.0
A[0, 3] = 2.0


def kinds(n: int = 5) -> Kinds:
    one = lambda i: torch.arange(n) == i  # noqa: E731
    return Kinds(token=one(3), error=one(2), weight=one(4).double(), output=one(4))


def test_influence_is_the_share_of_every_path():
    assert influence(A, kinds()).tolist() == [0.375, 0.75, 0.25, 0.75, 0.0]


def test_replacement_is_the_part_that_comes_from_tokens():
    assert replacement(A, kinds()) == 0.75


def test_completeness_weighs_what_is_no_error_by_influence():
    weights, explained = torch.tensor([0.375, 0.75, 0.25, 0.75, 1.0]), torch.tensor([1, 1, 1, 1, 0.75])
    assert completeness(A, kinds()) == pytest.approx(float((weights * explained).sum() / weights.sum()))


def test_thresholds_of_one_keep_every_edge():
    nodes, edges = prune(A, kinds(), 1.0, 1.0)
    assert nodes.all() and torch.equal(edges, A != 0)


def test_pruning_keeps_the_fewest_nodes_that_hold_the_threshold():
    nodes, edges = prune(A, kinds(), 0.8, 1.0)  # in order: .75 .75 .375 .25 of 2.125, so 0, 1 and the token hold .88
    assert nodes.tolist() == [True, True, False, True, True]
    assert edges.nonzero().tolist() == [[0, 3], [1, 0], [1, 3], [4, 1]]


def test_a_feature_whose_only_way_in_is_pruned_falls_with_all_that_hung_on_it():
    weak = A.clone()
    weak[1, 3], weak[0, 3] = 0.0, 0.0  # now 4<-1 .75, 1<-0 .75, 4<-2 .25, and nothing enters 0
    nodes, edges = prune(weak, kinds(), 1.0, 1.0)
    assert nodes.tolist() == [False, False, True, True, True]
    assert edges.nonzero().tolist() == [[4, 2]]


def test_a_circle_is_refused():
    with pytest.raises(ValueError, match="circle"):
        carried_back(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.ones(2))


def test_rows_of_those_alone_that_are_targets_say_the_same():
    """Errors and tokens have no row: of a long prompt they are most nodes."""
    target = torch.tensor([0, 1, 4])
    some = replace(kinds(), target=target)
    assert torch.equal(influence(A[target], some), influence(A, kinds()))
    assert (replacement(A[target], some), completeness(A[target], some)) == (0.75, completeness(A, kinds()))
    for thresholds in ((1.0, 1.0), (0.8, 0.9), (0.5, 0.5)):
        nodes, edges = prune(A, kinds(), *thresholds)
        fewer, rows = prune(A[target], some, *thresholds)
        assert torch.equal(fewer, nodes) and torch.equal(rows, edges[target])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
def test_the_largest_are_not_all_and_hold_more_than_their_share(share):
    score = torch.rand(1000, generator=torch.manual_seed(0)) ** 8
    some = _largest(score, share)
    assert share * score.sum() < some.sum() and set(some.tolist()) == set(score[score >= some.min()].tolist())
    assert len(some) < 600 and len(_largest(torch.zeros(4), share)) == 4
