"""Any linear map, in a decoder or out of it: what is met, what is kept, and that the original never moves."""

from typing import Any

import pytest
import torch
from tokenizers import processors
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from clew import Behaviour, Pair
from clew.data.states import states
from clew.data.windows import cut
from clew.edits.linear import linear, ridge_edit
from clew.edits.modules._modules import edited, inputs_of
from clew.edits.modules.refact import key_of, refact
from clew.edits.modules.time_edit import aligned, time_edit
from clew.edits.modules.uce import concept, uce
from clew.models import EditDidNotFire
from clew.sites import Update
from tests.models.tiny import model_of, word_tokenizer

F64 = torch.float64
FC2 = "encoder.layers.1.mlp.fc2"


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def attends(painter: nn.Module, block: int, side: str) -> nn.Linear:
    """One of a painter's maps that read the text."""
    map = painter.get_submodule(f"blocks.{block}.attn2.to_{side}")
    assert isinstance(map, nn.Linear)
    return map


class Painter(nn.Module):
    """Stands for a U-Net: two cross-attentions that read text 16 wide, and a map that does not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        block = lambda: nn.ModuleDict({"to_k": nn.Linear(16, 12, bias=False), "to_v": nn.Linear(16, 12)})  # noqa: E731
        self.blocks = nn.ModuleList([nn.ModuleDict({"attn2": block()}) for _ in range(2)])
        self.out = nn.Linear(12, 3)
        self.double()


def clip() -> tuple[CLIPTextModel, Any]:
    """A random text encoder, and a tokenizer that starts, ends and pads as CLIP's does."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<bos>", "eos_token": "<end>"})
    tokenizer.pad_token = "<end>"
    ends = [("<bos>", tokenizer.bos_token_id), ("<end>", tokenizer.eos_token_id)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing("<bos> $A <end>", special_tokens=ends)
    config = CLIPTextConfig(vocab_size=len(tokenizer), hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                            num_attention_heads=2, max_position_embeddings=14)  # fmt: skip
    return CLIPTextModel(config).double().eval(), tokenizer


def test_a_bare_module_meets_its_values_and_keeps_the_kept() -> None:
    module, kept, keys, values = nn.Linear(9, 5).double(), draw(3, 9, seed=1), draw(2, 9), draw(2, 5)
    before = module.weight.detach().clone()
    new = ridge_edit(module, keys, values, kept=kept, strength=0.0)
    assert torch.allclose(new(keys), values, atol=1e-12) and torch.allclose(new(kept), module(kept), atol=1e-12)
    assert new.bias is module.bias and torch.equal(module.weight, before)
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


def test_uce_reads_a_concept_as_its_guide_and_keeps_the_kept() -> None:
    (encoder, tokenizer), unet = clip(), Painter()
    stack = uce(
        unet, {"the nurse": "the doctor"}, encoder=encoder, tokenizer=tokenizer, keep=["the queen"], strength=1e-9
    )
    new = edited(unet, stack)
    nurse, doctor, queen = concept(encoder, tokenizer, ["the nurse", "the doctor", "the queen"])
    assert [str(u.at) for u in stack] == [f"blocks.{i}.attn2.to_{x}" for i in (0, 1) for x in "kv"]
    for block, side in ((0, "k"), (0, "v"), (1, "k"), (1, "v")):
        old, map = attends(unet, block, side), attends(new, block, side)
        assert torch.allclose(map(nurse), old(doctor), atol=1e-6) and torch.allclose(map(queen), old(queen), atol=1e-6)
    assert new.out.weight is unet.out.weight


def test_uce_by_hand_with_its_weights() -> None:
    (encoder, tokenizer), unet = clip(), Painter()
    W = attends(unet, 0, "k").weight.detach()
    stack = uce(unet, {"the nurse": "the doctor"}, encoder=encoder, tokenizer=tokenizer, keep=["the queen"],
                erase_scale=2.0, keep_scale=3.0)  # fmt: skip
    nurse, doctor, queen = concept(encoder, tokenizer, ["the nurse", "the doctor", "the queen"])
    values = 0.5 * W + 2 * torch.outer(W @ doctor, nurse) + 3 * torch.outer(W @ queen, queen)
    keys = 0.5 * torch.eye(16, dtype=F64) + 2 * torch.outer(nurse, nurse) + 3 * torch.outer(queen, queen)
    assert torch.allclose(stack[0](W), values @ torch.linalg.inv(keys), atol=1e-10)


def test_only_to_preserve_or_to_guide_to_itself_changes_nothing() -> None:
    (encoder, tokenizer), unet = clip(), Painter()
    for stack in (
        uce(unet, {}, encoder=encoder, tokenizer=tokenizer, keep=["the queen", "a man"]),
        uce(unet, {"a man": "a man"}, encoder=encoder, tokenizer=tokenizer),
        time_edit(unet, {"a man": "a man"}, encoder=encoder, tokenizer=tokenizer),
    ):
        assert all(isinstance(u, Update) and float(u.change.abs().max()) < 1e-14 for u in stack)


def test_time_aligns_words_ends_and_padding() -> None:
    assert aligned([0, 5, 7, 1], [0, 5, 6, 7, 1], 6) == [0, 1, 3, 4, 5, 5]
    assert aligned([0, 7, 1], [0, 7, 1], 5) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="words of the source in their order"):
        aligned([0, 5, 1], [0, 6, 1], 4)


def test_time_reads_the_source_as_the_destination() -> None:
    (encoder, tokenizer), unet = clip(), Painter()
    stack = time_edit(
        unet, {"the king": "the old king"}, encoder=encoder, tokenizer=tokenizer, frames=["{}"], strength=1e-9
    )
    ids, wanted = (tokenizer(t, padding="max_length", max_length=14, return_tensors="pt")["input_ids"]
                   for t in ("the king", "the old king"))  # fmt: skip
    source, destination = (encoder(input_ids=i).last_hidden_state[0].detach() for i in (ids, wanted))
    old, new = (attends(m, 1, "v") for m in (unet, edited(unet, stack)))
    assert torch.allclose(new(source[2]), old(destination[3]), atol=1e-5)  # the king is the second word there
    assert not torch.allclose(old(source[2]), old(destination[3]), atol=1e-2)


def test_refact_gives_the_subject_its_value_in_the_encoder() -> None:
    encoder, tokenizer = clip()
    value, prompt = draw(16), "the old king was good"
    stack = refact(encoder, prompt, "old king", value, tokenizer=tokenizer, at=FC2)
    new = edited(encoder, stack)
    key = key_of(encoder, prompt, "old king", tokenizer=tokenizer, at=FC2)
    assert torch.allclose(new.get_submodule(FC2)(key), value, atol=1e-12) and stack[0].left.shape[1] == 1
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    assert not torch.allclose(
        new(input_ids=ids).last_hidden_state[0, 3], encoder(input_ids=ids).last_hidden_state[0, 3]
    )
    assert torch.equal(inputs_of(encoder, FC2, lambda m: m(input_ids=ids))[0, 3], key)  # the start, the, old, king


def test_what_a_bare_module_cannot_do_is_refused() -> None:
    (encoder, tokenizer), unet = clip(), Painter()
    say = {"encoder": encoder, "tokenizer": tokenizer}
    with pytest.raises(ValueError, match=r"no linear map of this Painter matches 'attn3'"):
        uce(unet, {"a man": "a king"}, maps="attn3", **say)
    with pytest.raises(ValueError, match="out reads 12 numbers"):
        uce(unet, {"a man": "a king"}, maps="^out$", **say)
    with pytest.raises(ValueError, match="at least one concept"):
        uce(unet, {}, **say)
    nothing = uce(unet, {"a man": "a man"}, **say)
    with pytest.raises(EditDidNotFire, match="changes no bit"):
        edited(unet.float(), nothing)
