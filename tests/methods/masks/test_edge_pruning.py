"""Edge masks: their ends by hand, their middle against the trial of edges, and planted edges found."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clew import find
from clew.data.planted import induction
from clew.measures.circuits._edges import EdgeTrial
from clew.methods import Schedule
from clew.methods._masked import MaskedEdges
from clew.methods.masks.edge_pruning import edge_pruning
from clew.models.graph.components import Components
from tests.planted import random_behaviour, tiny_model

OPTIONS = {"baseline": None, "tokens": 512, "seed": 0}


def test_a_mask_of_zeros_and_ones_is_the_path_patching_of_measures() -> None:
    model, behaviour = tiny_model("llama"), random_behaviour()
    masked, trial = MaskedEdges(model, behaviour, objective=None, **OPTIONS), EdgeTrial(model, behaviour)
    mask = (torch.rand(masked.items, generator=torch.Generator().manual_seed(0)) < 0.7).double()
    chosen = masked.circuit(mask)
    assert masked.whole_loss(mask) == pytest.approx(
        -trial.circuit_metric(chosen.keep_edges(chosen.weight > 0)).mean(), abs=1e-10
    )
    for end, metric in ((0.0, trial.empty), (1.0, trial.whole)):
        assert masked.whole_loss(torch.full_like(mask, end)) == pytest.approx(-metric.mean(), abs=1e-10)


def test_samples_are_masked_each_by_its_own_mask() -> None:
    masked = MaskedEdges(tiny_model("gpt2"), random_behaviour(), objective="kl_divergence", **OPTIONS)
    mask = torch.rand(2, masked.items, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([masked.losses(0, one[None]) for one in mask])
    assert torch.allclose(masked.losses(0, mask), alone, atol=1e-12) and (alone > 1e-6).all()


def test_planted_edges_stay_on() -> None:
    planted = induction(n=4)
    found = find(
        planted.model, planted.behaviour, by="edge_pruning", held_out=False, keep=9, schedule=Schedule(30, lr=0.3)
    )
    graph = Components(planted.model.body)
    assert torch.equal(graph.keep(found.strongest_edges(9)), graph.keep(planted.circuit))
    assert found.details["masks"]["loss"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
def test_every_baseline_serves(baseline: str) -> None:
    model, behaviour = tiny_model("llama"), random_behaviour().without_patches()
    behaviour = behaviour.with_metric("answer_logit")
    found = edge_pruning(model, behaviour, baseline=baseline, schedule=Schedule(2), keep=5)
    assert len(found.weight) == Components(model.body).n_edges and np.isfinite(found.weight).all()


def test_the_mean_of_sources_is_over_all_words_of_all_prompts_with_the_first_tokens_apart() -> None:
    model, pairs = tiny_model("llama"), random_behaviour(n=2).pairs + random_behaviour(n=1, length=6).pairs
    behaviour = replace(random_behaviour(), pairs=pairs, split=None, aligned=False)
    masked = MaskedEdges(model, behaviour, objective=None, baseline="mean", tokens=8, seed=0)
    runs = [model.run(batch.clean, read=masked.graph.source_sites, logits=0) for batch in masked.prompts]
    writes = [masked.graph.writes(run) for run in runs]
    first = torch.cat([w[:, :, 0] for w in writes]).mean(0)
    words = torch.cat([w[:, :, 1:].movedim(1, 0).flatten(1, 2) for w in writes], dim=1).mean(1)
    assert [w.shape[2] for w in writes] == [4, 6]
    for paths, own in zip(masked.paths, writes, strict=True):
        assert torch.allclose(paths.other[:, :, 0], first.expand_as(own[:, :, 0]), atol=1e-12)
        assert torch.allclose(paths.other[:, :, 1:], words[:, None].expand_as(own[:, :, 1:]), atol=1e-12)


def test_a_baseline_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="baseline='patch' cannot be had of token ids; choose zero, mean, resample"):
        edge_pruning(tiny_model("llama"), random_behaviour().without_patches(), baseline="patch")
