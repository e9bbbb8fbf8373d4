import pytest
import torch

from clew.models.factors import factors, linear_maps
from tests.models.tiny import model_of

TOKENS = torch.tensor([[5, 9, 4, 7], [3, 8, 6, 5]])


def loss(trace):
    return -trace.logits[:, -1].log_softmax(-1)[:, 6].sum()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_outer_products_of_both_sides_summed_over_tokens_are_the_gradient_of_each_weight(family):
    model = model_of(family, torch.float64)
    seen = {}
    factors(model, TOKENS, loss, lambda name, x, g: seen.update({name: torch.einsum("bti,bto->oi", x, g)}))
    module, maps = model.body.module, dict(linear_maps(model))
    for p in module.parameters():
        p.requires_grad_(True)
    loss(type("Run", (), {"logits": module(input_ids=TOKENS).logits})).backward()
    assert seen.keys() == maps.keys() and len(seen) >= 4 * model.n_layers
    for name, found in seen.items():
        grad = maps[name].weight.grad
        torch.testing.assert_close(found, grad.T if found.shape != grad.shape or family == "gpt2" else grad)


def test_padding_has_no_gradient_and_nothing_stays_on_the_module():
    model = model_of(dtype=torch.float64)
    padded, real = torch.tensor([[0, 0, 5, 9, 4]]), torch.tensor([[False, False, True, True, True]])
    alone, beside = {}, {}
    factors(model, torch.tensor([[5, 9, 4]]), loss, lambda name, x, g: alone.update({name: g}))
    factors(model, padded, loss, lambda name, x, g: beside.update({name: g}), real=real)
    for name, found in beside.items():
        torch.testing.assert_close(found[:, 2:], alone[name])
        assert not found[:, :2].any()
    assert all(not m._forward_hooks for m in model.body.module.modules())


def test_weights_that_are_no_linear_maps_are_refused():
    model = model_of()
    model.body.blocks[1].mlp.experts = torch.nn.Parameter(torch.zeros(2, 3, 4))
    with pytest.raises(
        ValueError, match="mlp.experts in tiny llama is a weight of a LlamaMLP, whose gradient is no sum"
    ):
        list(linear_maps(model))
