"""Any linear map, in a decoder or out of it: what is met, what is kept, and that the original never moves."""

import pytest
import torch
from torch import Tensor, nn

from clew import Behaviour, Pair
from clew.data.text.windows import cut
from clew.edits.components.linear import linear, ridge_edit
from clew.readings.states import states
from tests.models.tiny import model_of

F64 = torch.float64


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def test_a_bare_module_meets_its_values_and_keeps_the_kept() -> None:
    module, kept, keys, values = nn.Linear(9, 5).double(), draw(3, 9, seed=1), draw(2, 9), draw(2, 5)
    before = module.weight.detach().clone()
    new = ridge_edit(module, keys, values, kept=kept, strength=0.0)
    assert torch.allclose(new(keys), values, atol=1e-12) and torch.allclose(new(kept), module(kept), atol=1e-12)
    assert new.bias.data_ptr() == module.bias.data_ptr() and torch.equal(module.weight, before)
    assert torch.allclose(ridge_edit(module, kept, module(kept).detach()).weight, before, atol=1e-15)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_weight_of_a_decoder_treats_patch_as_clean(family: str) -> None:
    model = model_of(family, F64)
    pairs = tuple(
        Pair(f"the {a} said", f"the {b} said", " she", " he") for a, b in [("nurse", "man"), ("queen", "king")]
    )
    stack = linear(model, Behaviour("who", pairs), weight="down.1", strength=0.0)
    says = lambda m, side: states(m, [getattr(p, side) for p in pairs], ["mlp_out.1"])  # noqa: E731
    (wanted,), (got,) = says(model, "clean").values(), says(model.edited(stack), "patch").values()
    assert torch.allclose(wanted, got, atol=1e-8 * float(wanted.abs().max()))
    assert len(stack) == 1 and stack[0].left.shape[1] == 2
    assert stack.about["left undone"] < 1e-9 < stack.about["relative change"]


def test_ordinary_text_as_a_prior_keeps_ordinary_outputs_better() -> None:
    model, texts = model_of("llama", F64), ["the old king said that the queen was good ."] * 40
    pairs = Behaviour("who", (Pair("the nurse said", "the man said", " she", " he"),))
    text = cut(texts, model.tokenizer, context=12)
    moved = {}
    for prior in (None, text):
        stack = linear(model, pairs, weight="down.1", strength=0.0, text=prior, shrink=0.01) if prior else linear(
            model, pairs, weight="down.1", strength=0.0)  # fmt: skip
        after, before = (states(m, texts[:1], ["mlp_out.1"])[model.body.site("mlp_out.1")]
                         for m in (model.edited(stack), model))  # fmt: skip
        moved[prior is None] = float((after - before).norm())
    assert moved[False] < 0.5 * moved[True]


def test_what_cannot_be_edited_is_refused() -> None:
    model = model_of()
    alone = Behaviour("who", (Pair("the nurse said", None, " she", " he"),))
    with pytest.raises(ValueError, match="prompts without a patch"):
        linear(model, alone, weight="down.1")
    with pytest.raises(ValueError, match="no site holds what model.layers.1.mlp.up_proj reads"):
        linear(model, alone, weight="model.layers.1.mlp.up_proj")
