"""Optimal ablation: a case with a closed form, and its place beside mean ablation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from clew import Behaviour
from clew.changes import Set
from clew.data.behaviours.pairs import Batch
from clew.methods.masks.optimal_ablation import _Search, constants, optimal_ablation
from clew.models import Trace
from clew.progress import Stopped
from clew.sites import Site
from tests.planted import oracle_behaviour, oracle_lens, random_behaviour, tiny_model


@dataclass(frozen=True)
class Near:
    """Minus the squared distance of a coordinate of the last block's output from a number."""

    goal: float
    reads: tuple[Site, ...] = (Site("resid", 2),)

    def __call__(self, trace: Trace, batch: Batch) -> Tensor:
        return -((trace["resid.2"][:, -1, 0] - self.goal) ** 2)


def test_the_best_constant_of_a_last_write_is_the_mean_of_what_is_missing() -> None:
    model, goal = tiny_model("llama"), 2.0
    behaviour: Behaviour = random_behaviour(n=5).with_metric(Near(goal))
    (batch,) = behaviour.batches(model)
    run = model.run(batch.clean, read=["resid.2", "mlp.2"])
    rest, whole = (run["resid.2"] - run["mlp.2"])[:, -1, 0], run["resid.2"][:, -1, 0]
    view = model.through(*(d for s, d in model.components().dictionaries.items() if str(s) == "mlp.2"))
    options = {"objective": None, "steps": 80, "lr": 0.3}
    found = optimal_ablation(view, behaviour, **options)
    gaps = (rest - rest.mean()) ** 2 - (whole - goal) ** 2
    assert found.score[0] == pytest.approx(gaps.mean().item(), abs=1e-4)
    assert found.score_error[0] == pytest.approx((gaps.std() / 5**0.5).item(), rel=1e-3)
    best = constants(view, behaviour, **options)[Site("mlp", 2)][0]
    assert best.item() == pytest.approx(goal - rest.mean().item(), abs=1e-2)


def test_the_best_constant_loses_no_more_than_the_mean() -> None:
    view, behaviour = tiny_model("llama").components(), random_behaviour(n=4)
    mean, best = (optimal_ablation(view, behaviour, steps=steps, lr=0.1) for steps in (0, 10))
    assert len(best) == len(mean) == 16 and (best.score <= mean.score + 1e-12).all()
    assert best.score.sum() < 0.9 * mean.score.sum() and (best.score >= 0).all()


def test_mean_ablation_by_hand() -> None:
    model = tiny_model("llama")
    behaviour = random_behaviour(n=4).with_metric("kl_divergence")
    (batch,) = behaviour.batches(model)
    value = model.run(batch.clean, read=["mlp.1"])["mlp.1"].mean((0, 1))
    edited = model.run(batch.clean, edits=[Set(Site("mlp", 1), value=value)])
    drop = -behaviour.metric(edited, batch).mean().item()
    found = optimal_ablation(model.components(), random_behaviour(n=4), steps=0)
    assert found["mlp.1/0"].score[0] == pytest.approx(drop, abs=1e-12)


def test_constants_are_what_the_scores_were_measured_with() -> None:
    view, behaviour = tiny_model("gpt2").heads(), random_behaviour(n=3)
    found = optimal_ablation(view, behaviour, steps=3, tokens=40)
    (batch,) = behaviour.with_metric("kl_divergence").batches(view)
    value = torch.tensor(found.details["constants"]["head.1"], dtype=torch.float64)
    keep = view.dictionaries[Site("head", 1)].unfold(torch.tensor([True, True, False, True]))
    run = view.run(batch.clean, edits=[Set(Site("head", 1), value=value, keep=keep, basis="code")])
    drop = -behaviour.with_metric("kl_divergence").metric(run, batch).mean().item()
    assert found["head.1/2"].score[0] == pytest.approx(drop, abs=1e-10)


def test_how_prompts_are_batched_changes_nothing() -> None:
    view, behaviour = tiny_model("gpt2").heads(), random_behaviour(n=3)
    one, many = (optimal_ablation(view, behaviour, steps=2, tokens=tokens) for tokens in (400, 8))
    assert np.allclose(one.score, many.score, rtol=0, atol=1e-9)


def test_the_graph_of_a_batch_is_gone_before_the_next_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    held, own = [], _Search._losses

    def losses(*given: Any) -> Tensor:
        if held and held[-1].requires_grad:
            with pytest.raises(RuntimeError, match="second time"):
                held[-1].backward(torch.ones_like(held[-1]))
        held.append(own(*given))
        return held[-1]

    monkeypatch.setattr(_Search, "_losses", losses)
    optimal_ablation(tiny_model("gpt2").heads(), random_behaviour(n=3), steps=1, tokens=4)
    assert sum(loss.requires_grad for loss in held) == 12 * 3


def test_units_of_a_dictionary_have_a_constant_too() -> None:
    view = oracle_lens().through(oracle_lens().dictionaries[Site("resid", 1)])
    found = optimal_ablation(view, oracle_behaviour(), steps=2, tokens=10_000)
    assert np.isfinite(found.score).all() and (found.unit >= 0).all() and np.isfinite(found.patch_mean).all()


def test_an_interrupt_keeps_the_groups_that_were_done() -> None:
    def stop(step: int, steps: int, numbers: dict[str, float]) -> None:
        seen.append(step)
        if len(seen) == 7:
            raise KeyboardInterrupt

    seen: list[int] = []
    behaviour = random_behaviour(n=2, length=4)
    with pytest.raises(Stopped) as stopped:
        optimal_ablation(tiny_model("gpt2").heads(), behaviour, steps=4, tokens=4 * 8, progress=stop)
    assert len(stopped.value.result) == 8, "four heads that were done, and four whose last group was under way"
    with pytest.raises(ValueError, match="steps=-1"):
        optimal_ablation(tiny_model("gpt2").heads(), behaviour, steps=-1)
