"""Supernodes: groups that act as predicted are accepted, in a model where the prediction is exact; strangers are not."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

import clew
from clew import Behaviour, Model
from clew.circuits.circuit import OUTPUT, Circuit
from clew.circuits.supernode import Supernode
from clew.measures.circuits.supernodes import accepted, supernodes
from clew.methods.edges.edges import edges
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.sites import Site
from tests.measures.circuits.test_interchangeability import TWINS, setting
from tests.planted import random_behaviour, tiny_model


def last(trace, batch):
    """Linear in the stream after block 1, and so in what attention there adds to it."""
    weight = torch.linspace(-1, 1, trace["resid.1"].shape[-1], dtype=trace["resid.1"].dtype)
    return trace["resid.1"][:, -1] @ weight


last.reads, last.logits = (Site("resid", 1),), 0


@cache
def linear() -> tuple[Model, Behaviour, Circuit]:
    """Attention and MLP of a block side by side, so that attention enters the stream after it as it is."""
    view, task = tiny_model("gptj").neurons("attn.1", "resid.1"), random_behaviour(n=6).with_metric(last)
    found = attribution_patching(view, task, positions=False)
    return view, task, edges(view, task, found)


def grouping(*groups: tuple[str, ...]) -> Circuit:
    return linear()[2].with_supernodes(Supernode(str(i), group) for i, group in enumerate(groups))


def rows(report, measure):
    return {row.of: row.value for row in report.rows if row.measure == measure}


def test_where_all_is_linear_the_joint_effect_is_the_predicted_one() -> None:
    """Members side by side, and one that acts through the other: what would be counted twice is counted once."""
    view, task, _ = linear()
    circuit = grouping(("attn.1/3", "attn.1/4", "attn.1/9"), ("attn.1/5", "resid.1/5"), ("resid.1/6", "resid.1/7"))
    report = supernodes(view, task, circuit, held_out=False)
    assert rows(report, "joint")["1"] == pytest.approx(circuit["resid.1/5"][0].score, abs=1e-9)
    for name in "012":
        assert rows(report, "joint")[name] == pytest.approx(rows(report, "predicted")[name], abs=1e-9)
    assert report["within"].value == 1 and report["within"].of == "3 groups"


def test_twins_stand_in_for_each_other() -> None:
    """Each writes what the other writes, so that one of them doubled is both."""
    view, task, heads = setting()
    twins = heads.with_supernodes([Supernode("twins", tuple(TWINS)), Supernode("strangers", ("head.1/2", "head.1/3"))])
    report = supernodes(view, task, twins, held_out=False, draws=1)
    kept = rows(report, "kept")
    assert kept["twins"] == pytest.approx(1, abs=1e-9) and kept["strangers"] < 0.9
    told = {node.name: node.accepted for node in accepted(twins, report).supernodes}
    assert told["twins"] is bool(rows(report, "accepted")["twins"]) and set(told) == {"twins", "strangers"}


def test_the_share_of_edges_inside_by_hand() -> None:
    view, task, _ = linear()
    circuit = grouping(("attn.1/5", "resid.1/5"))
    inside = circuit["0"].weight[circuit["0"].target != OUTPUT]
    report = supernodes(view, task, circuit, held_out=False, draws=0)
    assert len(inside) == 1
    assert report["hidden"].value == pytest.approx(abs(inside[0]) / np.abs(circuit.weight).sum())
    assert not any("random" in row.of for row in report.rows)


def test_random_groups_are_of_the_same_sizes_at_the_same_sites() -> None:
    from clew.measures.circuits.supernodes import _drawn

    circuit = linear()[2]
    groups = [[0, 1, 2], [40, 41]]
    drawn = list(_drawn(circuit, np.arange(len(circuit)), groups, np.random.default_rng(0)))
    for group, other in zip(groups, drawn, strict=True):
        assert len(set(other)) == len(group)
        assert sorted(circuit.site[group]) == sorted(circuit.site[other])


def test_what_cannot_be_tested_is_refused() -> None:
    view, task, circuit = linear()
    with pytest.raises(ValueError, match="the circuit has no supernodes"):
        supernodes(view, task, circuit)
    with pytest.raises(ValueError, match="tolerance=0"):
        supernodes(view, task, grouping(("attn.1/3", "attn.1/4")), tolerance=0.0)
    scored = replace(grouping(("attn.1/3", "attn.1/4"))).with_kind(in_metric_units=False)
    with pytest.raises(ValueError, match="no effects on the metric"):
        supernodes(view, task, scored)


def test_it_is_a_measure_by_its_name() -> None:
    view, task, _ = linear()
    report = clew.verify(view, task, grouping(("attn.1/3", "attn.1/4")), by="supernodes", held_out=False, draws=1)
    assert report["accepted"].nodes == 2 and "2 halves" not in str(report)
