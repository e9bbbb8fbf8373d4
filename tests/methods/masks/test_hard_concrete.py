"""Node masks: their ends by hand, their middle against the ablations of measures, and planted nodes found."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clew import find
from clew.circuits.circuit import ERROR
from clew.data.planted import induction
from clew.measures.circuits._nodes import NodeTrial
from clew.methods import Schedule
from clew.methods._masked import MaskedNodes
from clew.methods.masks.hard_concrete import hard_concrete
from clew.readings.ablation import Ablation
from tests.planted import oracle_behaviour, oracle_lens, random_behaviour, random_dictionary, tiny_model

OPTIONS = {"baseline": None, "positions": None, "tokens": 512, "seed": 0}


def test_all_masks_on_is_the_whole_model_and_all_off_is_what_the_patch_prompt_says() -> None:
    view, behaviour = oracle_lens(), oracle_behaviour()
    masked = MaskedNodes(view, behaviour, objective=None, **OPTIONS)
    (batch,) = behaviour.batches(view)
    whole, patched = (behaviour.metric(view.run(t, logits=1), batch).mean().item() for t in (batch.clean, batch.patch))
    ones = torch.ones(masked.items, dtype=torch.float64)
    assert masked.whole_loss(ones) == pytest.approx(-whole, abs=1e-10)
    assert masked.whole_loss(0 * ones) == pytest.approx(-patched, abs=1e-10)


def test_a_mask_of_zeros_and_ones_is_the_ablation_of_measures() -> None:
    view = tiny_model("llama").through(*[random_dictionary(s, 32) for s in ("mlp.0", "resid.1", "attn.2")])
    behaviour = random_behaviour()
    masked = MaskedNodes(view, behaviour, objective=None, **OPTIONS)
    mask = (torch.rand(masked.items, generator=torch.Generator().manual_seed(0)) < 0.5).double()
    circuit = masked.circuit(mask)
    assert 0 < (circuit.unit == ERROR).sum() < (masked.circuit(1 + 0 * mask).unit == ERROR).sum()
    trial = NodeTrial(view, behaviour, Ablation("patch"), seed=0)
    assert masked.whole_loss(mask) == pytest.approx(-trial.circuit_metric(circuit).mean(), abs=1e-10)


def test_samples_are_masked_each_by_its_own_mask() -> None:
    masked = MaskedNodes(tiny_model("gpt2").heads(), random_behaviour(), objective="kl_divergence", **OPTIONS)
    mask = torch.rand(3, masked.items, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([masked.losses(0, one[None]) for one in mask])
    assert torch.allclose(masked.losses(0, mask), alone, atol=1e-12) and (alone > 1e-6).all()


def test_the_gradient_of_a_mask_is_that_of_finite_differences() -> None:
    masked = MaskedNodes(tiny_model("gpt2").components(), random_behaviour(), objective=None, **OPTIONS)
    mask = torch.rand(1, masked.items, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask.requires_grad_()
    (gradient,) = torch.autograd.grad(masked.loss(mask).sum(), [mask])
    step = torch.zeros_like(mask)
    step[0, 7] = 1e-5
    up, down = (masked.loss(mask.detach() + s).item() for s in (step, -step))
    assert gradient[0, 7].item() == pytest.approx((up - down) / 2e-5, rel=1e-5)


def test_planted_nodes_stay_on() -> None:
    planted = induction(n=8)
    how = {"keep": 4, "schedule": Schedule(60, lr=0.2), "positions": False}
    found = find(planted.model.components(), planted.behaviour, by="hard_concrete", held_out=False, **how)
    assert {n.address for n in found.top(4)} == {"embed/0", "head.0/2", "head.1/1", "head.2/3"}
    assert found.details["masks"]["loss"] == pytest.approx(0, abs=1e-6)
    assert (found.score > 0).all() and (found.score <= 1).all()


@pytest.mark.parametrize("baseline", ["zero", "mean", "resample"])
def test_every_baseline_serves(baseline: str) -> None:
    behaviour = random_behaviour()
    found = hard_concrete(
        tiny_model("gpt2").heads(), behaviour, baseline=baseline, schedule=Schedule(3), positions=False
    )
    assert len(found) and np.isfinite(found.score).all()


def test_where_positions_are_not_aligned_the_mean_is_one_over_all_words() -> None:
    view, pairs = tiny_model("gpt2").heads(), random_behaviour(n=2).pairs + random_behaviour(n=1, length=6).pairs
    behaviour = replace(random_behaviour(), pairs=pairs, split=None, aligned=False)
    masked = MaskedNodes(view, behaviour, objective=None, **OPTIONS | {"baseline": "mean"})
    site = next(iter(view.dictionaries))
    here, there = zip(*(masked._states(batch)[site] for batch in masked.prompts), strict=True)
    mean = torch.cat([s.code[:, 1:].flatten(0, 1) for s in here]).mean(0)
    words = [s.code[:, 1:] for s in there]
    assert len(there) == 2 and all(torch.allclose(code, mean.expand_as(code), atol=1e-12) for code in words)


def test_positions_have_masks_of_their_own() -> None:
    view, behaviour = tiny_model("gpt2").heads(), random_behaviour(length=4)
    found = hard_concrete(view, behaviour, schedule=Schedule(2))
    assert found.position.min() == 1, "position 0 holds the same token on both prompts, so nothing differs there"
    assert found.kind.length == 4 and len(found) == 3 * 12
