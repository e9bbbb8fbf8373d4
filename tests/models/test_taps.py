"""Where a site is looked into: on which side of which module, in which columns, and that nothing stays there."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clew.models.state import in_state
from clew.models.taps import Tap, taps_of
from clew.sites import PARTS, Site
from tests.models.tiny import FAMILIES, model_of, module_of, prompts, record


class Doubled(nn.Module):
    """Twice its input; with `beside`, a tuple of that and a word."""

    def __init__(self, beside: bool = False) -> None:
        super().__init__()
        self.beside = beside

    def forward(self, hidden_states: Tensor, shift: float = 0.0) -> Any:
        made = 2 * hidden_states + shift
        return (made, "beside") if self.beside else made


def passed(tap: Tap, visit: Callable[[Tensor], Tensor], *args: Any, batch: int = 1, **kwargs: Any) -> Any:
    """What the tap's module gives while every call goes through `visit`."""

    def work(held: Any) -> Any:
        tap.attach(held, visit, batch)
        return tap.module(*args, **kwargs)

    return in_state(tap.module, work)


X = torch.arange(6.0).reshape(1, 2, 3)


def test_before_a_module_its_input_is_seen_by_position_and_by_name():
    module = Doubled()
    for given, named in ((X,), {"shift": 1.0}), ((), {"hidden_states": X, "shift": 1.0}):
        assert torch.equal(passed(Tap(module, "in"), lambda x: x + 10, *given, **named), 2 * (X + 10) + 1)


def test_after_a_module_its_output_is_seen_and_what_stands_beside_it_is_left():
    assert torch.equal(passed(Tap(Doubled(), "out"), lambda x: x + 10, X), 2 * X + 10)
    made, beside = passed(Tap(Doubled(beside=True), "out"), lambda x: x + 10, X)
    assert torch.equal(made, 2 * X + 10) and beside == "beside"


def test_of_a_fused_projection_only_its_columns_are_seen_and_changed():
    seen = list[Tensor]()
    tap = Tap(Doubled(), "out", torch.tensor([2, 0]))
    made = passed(tap, lambda x: seen.append(x) or x + 10, X)
    assert torch.equal(seen[0], 2 * X[..., [2, 0]])
    assert torch.equal(made, 2 * X + torch.tensor([10.0, 0.0, 10.0]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_factor_after_a_module_is_part_of_its_site_and_costs_no_bit_where_nothing_changes(dtype):
    x, seen = torch.randn(2, 9, 33, generator=torch.Generator().manual_seed(0)).to(dtype), list[Tensor]()
    tap = Tap(Doubled(), "out", factor=0.22)
    made = passed(tap, lambda y: seen.append(y) or torch.cat([y[:, :4], y[:, 4:] + 1], 1), x, batch=2)
    assert torch.equal(seen[0], 2 * x * 0.22) and torch.equal(made[:, :4], 2 * x[:, :4])
    torch.testing.assert_close(made[:, 4:] * 0.22, seen[0][:, 4:] + 1)


def test_a_gradient_at_a_site_with_a_factor_is_that_of_the_product():
    seen = list[Tensor]()
    x = X.clone().requires_grad_()
    made = passed(Tap(Doubled(), "out", factor=0.5), lambda y: seen.append(y.view_as(y)) or seen[0].clone(), x)
    at_site, at_input = torch.autograd.grad(made.square().sum(), [seen[0], x])
    assert torch.equal(at_site, 2 * made / 0.5) and torch.equal(at_input, 2 * made * 2)


def test_of_an_output_with_an_axis_of_one_head_the_positions_are_seen():
    seen = list[Tensor]()
    made = passed(Tap(Doubled(), "out"), lambda x: seen.append(x) or x + 10, X[:, None])
    assert torch.equal(seen[0], 2 * X) and torch.equal(made, 2 * X[:, None] + 10)


def test_rows_that_a_family_lays_in_a_line_are_seen_by_prompt():
    seen = list[Tensor]()
    flat = torch.arange(12.0).reshape(4, 3)
    made = passed(Tap(Doubled(), "in"), lambda x: seen.append(x) or x + 10, flat, batch=2)
    assert seen[0].shape == (2, 2, 3) and torch.equal(seen[0].reshape(4, 3), flat)
    assert torch.equal(made, 2 * (flat + 10))


def test_every_call_is_seen_while_it_is_on_and_none_after():
    module, seen = Doubled(), list[Tensor]()

    def work(held: Any) -> None:
        Tap(module, "out").attach(held, lambda x: seen.append(x) or x, 1)
        module(X), module(X)

    in_state(module, work)
    assert len(seen) == 2 and torch.equal(module(X), 2 * X) and len(seen) == 2


def test_a_pattern_is_looked_for_in_the_module_that_calls_the_attention():
    model, bloom = model_of("llama"), model_of("bloom")
    tap, other = (m.body.taps[Site("pattern", 1)] for m in (model, bloom))
    assert (tap.side, tap.module) == ("pattern", model.body.attentions[1]) and other.side == "out"
    for view in (model, bloom):
        seen = view.run(prompts(), read=["pattern.1"])["pattern.1"]
        assert seen.shape == (2, 4, 7, 7) and torch.allclose(seen.sum(-1), torch.ones(2, 4, 7))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_of_every_family_has_the_same_parts_in_forward_order(family):
    module = module_of(family)
    taps = taps_of(module, record(family).layout(module))
    layers = len(module.get_submodule(record(family).blocks))
    others = (
        "embed",
        "final",
        "q_latent",
        "kv_latent",
        "gate",
        "mixer_in",
        "mixer",
        "router",
        "expert_neuron",
        "expert",
    )
    parts = [part for part in PARTS if part not in others and not part.startswith(("shared", "cross"))]
    parts = [part for part in parts if part != "pattern" or record(family).pattern]
    assert set(taps) == {Site("embed"), Site("final")} | {Site(part, i) for part in parts for i in range(layers)}
    first, *_, last = taps
    assert list(taps) == sorted(taps) and (first, last) == (Site("embed"), Site("final"))


def test_the_same_module_serves_queries_keys_and_values_where_they_are_fused():
    body, apart = model_of("gpt2").body, model_of("llama").body
    q, k, v = (body.taps[Site(part, 1)] for part in "qkv")
    assert q.module is k.module is v.module
    assert torch.cat([q.columns, k.columns, v.columns]).sort().values.tolist() == list(range(96))
    assert [apart.taps[Site(part, 1)].columns for part in "qkv"] == [None] * 3
