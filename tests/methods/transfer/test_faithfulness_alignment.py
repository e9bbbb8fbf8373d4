"""Circuits carried between models: what an identity, a planted head and a scrambled source must give."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import clew
from clew import Circuit, Model
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.methods.transfer import faithfulness_alignment as dfa
from clew.methods.transfer.faithfulness_alignment import faithfulness_alignment, scrambled, source_scores
from tests.planted import random_behaviour, tiny_model


def one_head() -> Model:
    """A model in which nothing but head 1 of layer 0 writes."""
    model = tiny_model("llama")
    for layer, block in enumerate(model.body.blocks):
        block.mlp.down_proj.weight.data.zero_()
        output = block.self_attn.o_proj.weight.data
        width = output.shape[1] // model.body.n_heads
        output[:, torch.arange(output.shape[1]) // width != (1 if layer == 0 else -1)] = 0
    return model


def source_circuit(model: Model) -> Circuit:
    return attribution_patching(model.components(), random_behaviour(), positions=False)


def test_an_identity_between_equal_models_carries_every_score() -> None:
    model = tiny_model("llama")
    found = source_circuit(model)
    nodes = [(str(s), u) for s in found.sites for u in range(found.units[s])]
    to = [i for i, (site, _) in enumerate(nodes) if site != "embed"]
    identity = torch.eye(len(nodes), dtype=torch.float64)[:, to]
    carried = dfa.carried(dfa.in_heads_and_mlps(model), random_behaviour(), source_scores(found) @ identity)
    assert carried.diff(found).correlation == pytest.approx(1)
    assert {n.address for n in carried} == {n.address for n in found if n.site.part != "embed"}


def test_the_mask_keeps_the_only_head_that_writes_and_closes_the_rest() -> None:
    model, behaviour = one_head(), random_behaviour(n=6)
    found = faithfulness_alignment(model, behaviour, source_circuit(tiny_model("gpt_neox")), epochs=20)
    best = found.top(len(found)).nodes
    score = {node.address: node.score for node in best}
    assert score.pop("head.0/1") > 0 > max(score.values())


def test_a_scrambled_source_is_a_scrambled_start_and_nothing_more() -> None:
    view, behaviour = dfa.in_heads_and_mlps(tiny_model("llama")), random_behaviour(n=4)
    s, deal = source_scores(source_circuit(tiny_model("gpt_neox"))), torch.Generator().manual_seed(1)
    order = torch.randperm(len(s), generator=deal)
    n = sum(dictionary.n_units for dictionary in view.dictionaries.values())
    start = 0.02 * torch.randn(len(s), n, generator=deal, dtype=torch.float64)
    one, two = start.clone(), start[order]
    settings = {"lr": 0.1, "penalty": 0.1, "temperature": 1.0, "seed": 0, "stopped": lambda: None}
    for source, weight in ((s, one), (s[order], two)):
        dfa.fit([dfa._lesson(view, behaviour, source, 8, 0)], weight, 2, **settings)
    assert torch.allclose(one[order], two, rtol=0, atol=1e-9) and not torch.allclose(one, start)
    assert torch.allclose(s @ one, s[order] @ two, rtol=0, atol=1e-9)


def test_a_source_unseen_in_the_fit_gets_its_scores_from_other_behaviours() -> None:
    model, source = tiny_model("llama"), source_circuit(tiny_model("gpt_neox"))
    other, behaviour = random_behaviour(n=4, seed=1), random_behaviour(n=4)
    own = faithfulness_alignment(model, other, source, epochs=1)
    unseen = faithfulness_alignment(model, behaviour, source, on=[(other, source)], epochs=1)
    assert np.allclose(own.score, unseen.score, rtol=0, atol=1e-12)
    control = faithfulness_alignment(model, behaviour, scrambled(source), on=[(other, source)], epochs=1)
    assert not np.allclose(unseen.score, control.score)


def test_no_epochs_is_a_random_matrix_without_a_single_lesson() -> None:
    found = faithfulness_alignment(
        tiny_model("llama"), random_behaviour(), source_circuit(tiny_model("gpt_neox")), epochs=0
    )
    again = faithfulness_alignment(
        tiny_model("llama"), random_behaviour(seed=3), source_circuit(tiny_model("gpt_neox")), epochs=0
    )
    assert np.array_equal(found.score, again.score) and 0 < np.abs(found.score).max() < 0.1


def test_scrambling_keeps_the_scores_and_loses_their_places() -> None:
    found = source_circuit(tiny_model("llama"))
    control = scrambled(found)
    assert control.keys() == found.keys() and sorted(control.score) == sorted(found.score)
    assert not np.array_equal(control.score, found.score)


def test_find_and_verify_take_a_carried_circuit() -> None:
    model, behaviour = tiny_model("llama"), random_behaviour(n=8)
    found = clew.find(model, behaviour, source_circuit(tiny_model("gpt_neox")), by="faithfulness_alignment", epochs=1)
    assert found.provenance["method"] == "faithfulness_alignment"
    assert clew.verify(model.components(), behaviour, found.top(3), ablation="patch")["faithfulness"].nodes == 3


def test_what_cannot_be_carried_is_refused() -> None:
    model, behaviour, found = tiny_model("llama"), random_behaviour(), source_circuit(tiny_model("llama"))
    with pytest.raises(ValueError, match="no patch prompts"):
        faithfulness_alignment(model, replace(behaviour, pairs=behaviour.without_patches().pairs), found)
    with pytest.raises(ValueError, match=r"source\.components\(\)"):
        faithfulness_alignment(model, behaviour, attribution_patching(model, behaviour))
    with pytest.raises(ValueError, match="nothing to carry over"):
        faithfulness_alignment(model, behaviour, replace(found, score=0 * found.score))
    with pytest.raises(ValueError, match="must be of one model"):
        other = source_circuit(tiny_model("llama", num_hidden_layers=2))
        faithfulness_alignment(model, behaviour, found, on=[(behaviour, other)])
    with pytest.raises(ValueError, match="mask over heads and MLPs"):
        faithfulness_alignment(model.neurons("resid.0"), behaviour, found)
