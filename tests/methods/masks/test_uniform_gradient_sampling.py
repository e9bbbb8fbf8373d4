"""Uniform gradient sampling: what draws of its masks are, and planted edges and nodes found."""

import pytest
import torch
from torch import Tensor

from clew.data.planted import induction
from clew.methods import Schedule
from clew.methods._masked import MaskedEdges
from clew.methods.masks.uniform_gradient_sampling import drawn, inside_mean, uniform_gradient_sampling
from clew.models.graph.components import Components
from clew.progress import Stopped
from tests.planted import random_behaviour, tiny_model

THETA = torch.tensor([0.01, 0.3, 0.5, 0.9], dtype=torch.float64)
WINDOW = THETA * (1 - THETA)
N = 100_000
EVEN = ((torch.arange(N, dtype=torch.float64) + 0.5) / N)[:, None].expand(N, len(THETA))


def test_a_mask_is_partial_as_often_as_its_window_is_wide() -> None:
    alpha, inside = drawn(EVEN, THETA)
    assert torch.allclose(inside.double().mean(0), WINDOW, atol=2e-5)
    assert torch.equal(inside, (alpha > 0) & (alpha < 1))
    assert torch.allclose((alpha == 1).double().mean(0), THETA - WINDOW / 2, atol=2e-5)


def test_a_mask_is_theta_on_average_and_uniform_inside_the_window() -> None:
    alpha, inside = drawn(EVEN, THETA)
    assert torch.allclose(alpha.mean(0), THETA, atol=2e-5)
    for column, within in zip(alpha.T, inside.T, strict=True):
        quantiles = column[within].quantile(torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))
        assert torch.allclose(quantiles, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64), atol=1e-3)


def test_the_gradient_is_the_integral_from_off_to_on() -> None:
    """Of a loss alpha^3, whose change from 0 to 1 is 1 whatever theta is."""
    alpha, inside = drawn(EVEN, THETA)
    assert torch.allclose(inside_mean(3 * alpha**2, inside), torch.ones(len(THETA), dtype=torch.float64), atol=2e-3)
    nothing = torch.zeros(5, len(THETA), dtype=torch.bool)
    assert inside_mean(torch.ones(5, len(THETA)), nothing).tolist() == [0.0] * len(THETA)


def test_planted_edges_stay_on() -> None:
    planted = induction(n=4)
    found = uniform_gradient_sampling(planted.model, planted.behaviour, cost=0.01, schedule=Schedule(30, lr=0.4))
    graph = Components(planted.model.body)
    assert torch.equal(graph.keep(found.strongest_edges(9)), graph.keep(planted.circuit))
    assert found.details["masks"]["keep"] == (found.weight > 0.5).sum() == 9


def test_planted_nodes_stay_on_and_a_dearer_price_leaves_fewer() -> None:
    planted = induction(n=8)
    kept = []
    for cost in (0.01, 1.0):
        found = uniform_gradient_sampling(
            planted.model.components(),
            planted.behaviour,
            over="nodes",
            cost=cost,
            positions=False,
            schedule=Schedule(40, lr=0.3),
        )
        kept.append({n.address for n in found if n.score > 0.5})
    assert {"embed/0", "head.0/2", "head.1/1"} <= kept[0] and "head.0/0" not in kept[0]
    assert len(kept[1]) < len(kept[0])


@pytest.mark.parametrize(("tokens", "most"), [(40, 32), (3, 16)])
def test_no_more_tokens_run_at_once_than_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, tokens: int, most: int
) -> None:
    """Four samples of prompts of four tokens: two prompts fit into 40, and one there must be."""
    seen, own = [], MaskedEdges.losses

    def losses(masked: MaskedEdges, batch: int, mask: Tensor) -> Tensor:
        seen.append(len(mask) * masked.prompts[batch].clean.numel())
        return own(masked, batch, mask)

    monkeypatch.setattr(MaskedEdges, "losses", losses)
    uniform_gradient_sampling(tiny_model("gpt2"), random_behaviour(n=4), schedule=Schedule(2), samples=4, tokens=tokens)
    assert max(seen) == most


def test_what_cannot_be_searched_is_refused() -> None:
    model, behaviour = tiny_model("gpt2"), random_behaviour()
    with pytest.raises(ValueError, match="over 'edges' or 'nodes'"):
        getattr(uniform_gradient_sampling, "__wrapped__", uniform_gradient_sampling)(model, behaviour, over="paths")
    with pytest.raises(ValueError, match="samples=0: give at least one"):
        uniform_gradient_sampling(model, behaviour, samples=0)


def test_an_interrupt_keeps_what_was_learned() -> None:
    def stop(step: int, steps: int, numbers: dict[str, float]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Stopped) as stopped:
        uniform_gradient_sampling(tiny_model("gpt2"), random_behaviour(), schedule=Schedule(5), progress=stop)
    assert len(stopped.value.result.weight)
