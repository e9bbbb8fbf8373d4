"""What is put on a module comes off again, in the other order, and twice does no harm."""

import pytest
import torch
from torch import nn
from transformers import GotOcr2Config

from clew.models.state import Held, configs_of, in_state, lock_of, state


def module() -> nn.Linear:
    return nn.Linear(1, 1, bias=False).train()


def test_a_hook_is_on_inside_and_off_afterwards():
    one = module()
    with state(one) as held:
        held.hook(one, lambda module, args, output: 2 * output)
        held.hook(one, lambda module, args, kwargs: ((args[0] + 1,), kwargs), before=True, kwargs=True)
        assert torch.equal(one(torch.ones(1)), 2 * (one.weight @ torch.tensor([2.0])))
    assert torch.equal(one(torch.ones(1)), one.weight[0])
    assert not one._forward_hooks and not one._forward_pre_hooks and not one._forward_pre_hooks_with_kwargs


def test_a_hook_of_another_stays():
    one, seen = module(), []
    one.register_forward_hook(lambda *given: seen.append("mine"))
    with state(one) as outer, state(one) as inner:
        for held in (outer, inner):
            held.hook(one, print_nothing)
    one(torch.ones(1))
    assert seen == ["mine"] and len(one._forward_hooks) == 1


def print_nothing(*given: object) -> None:
    """The same function for two who hold the module."""


def test_the_module_is_at_rest_inside_also_inside_itself():
    one = module()
    with state(one), state(one):
        assert not one.training and not one.weight.requires_grad
    assert one.training and one.weight.requires_grad


def test_an_attribute_comes_back_or_goes():
    one, held = module(), Held()
    held.put(one, "forward", lambda x: x)
    held.put(one, "in_features", 9)
    held.put(one, "in_features", 10)
    held.release()
    held.release()
    assert "forward" not in vars(one) and one.in_features == 1


def test_a_setting_that_a_config_hands_on_comes_back_in_those_inside_it():
    one = module()
    outer = GotOcr2Config()
    outer._attn_implementation, outer.text_config._attn_implementation = "eager", "sdpa"
    with state(one) as held:
        held.setting(outer, "_attn_implementation", "mine")
        assert outer.text_config._attn_implementation == "mine"
        held.setting(outer.text_config, "_attn_implementation", "theirs")
        assert [c._attn_implementation for c in configs_of(outer)].count("mine") == 2
    assert [c._attn_implementation for c in (outer, outer.text_config)] == ["eager", "sdpa"]


def test_parameters_are_put_back_whoever_took_their_places():
    one = module()
    weight = one.weight
    with state(one) as held:
        held.parameters(one, ["weight"])
        one._parameters["weight"] = nn.Parameter(torch.zeros(1, 1))
    assert one.weight is weight


def test_an_error_inside_comes_out_and_leaves_nothing():
    one = module()

    def work(held: Held) -> None:
        held.grad(False)
        held.hook(one, print_nothing)
        raise KeyError("no")

    with pytest.raises(KeyError):
        in_state(one, work)
    assert torch.is_grad_enabled() and one.training and not one._forward_hooks


def test_each_module_has_its_own_lock_and_keeps_it():
    one, other = module(), module()
    assert lock_of(one) is lock_of(one) and lock_of(one) is not lock_of(other)
