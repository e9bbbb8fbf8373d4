"""Channels between heads: scores by hand and by theory, and what a model without one does."""

import itertools
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from clew.changes import Update
from clew.edits.components.remove_component import ranked, remove_component
from clew.models import Model
from clew.readings.heads import Product, Side, components, composition, moves, reads
from clew.readings.norms import gain_of
from clew.sites import Weight
from tests.models.tiny import model_of, prompts

F64 = torch.float64
FAMILIES = pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma3_text"])


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def dense(product: Product) -> Tensor:
    return product.left @ product.right


def heads(model: Model) -> int:
    return model.body.n_heads


def test_a_reader_of_one_direction_by_hand() -> None:
    e = torch.eye(4, dtype=F64)
    writer = Product(torch.stack([3 * e[0], 4 * e[1]], 1), e[2:])  # writes e0 with 3 and e1 with 4
    assert composition(Product(e[:, :1], e[:1]), writer) == pytest.approx(3 / 5)
    assert components(Product(e[:, :1], e[:1]), writer).tolist() == pytest.approx([0, 3 / 5])  # the larger one first
    assert composition(Product(e[:, :1], e[2:3]), writer) == 0
    assert composition(Product(e[:, :1], e[:1]), Product(e[:, :1], e[2:3])) == pytest.approx(1)


def test_factors_say_what_dense_matrices_say() -> None:
    reader, writer = Product(draw(9, 3), draw(3, 9, seed=1)), Product(draw(9, 4, seed=2), draw(4, 9, seed=3))
    whole = (dense(reader) @ dense(writer)).norm() / dense(reader).norm() / dense(writer).norm()
    assert (
        composition(reader, writer) == pytest.approx(float(whole), rel=1e-12) and 0 <= composition(reader, writer) <= 1
    )
    u, size, v = writer.svd
    assert torch.allclose(u * size @ v.T, dense(writer), atol=1e-12)
    assert float(components(reader, writer).square().sum()) == pytest.approx(float(whole) ** 2, rel=1e-12)


@FAMILIES
def test_what_a_head_moves_is_what_it_adds_to_the_stream(family: str) -> None:
    """A single token attends to itself alone, so that a head's value goes straight through W_OV, up to the norms."""
    model = model_of(family, F64)
    body, token = model.body, torch.tensor([[5]])
    trace = model.run(token, read=["embed", "attn.0", "attn_in.0"], logits=0)
    x, read, added = trace["embed"][0, 0], trace["attn_in.0"][0, 0], trace["attn.0"][0, 0]
    gain, centres = gain_of(model, model.body.norm_before("attn", 0))
    zero = torch.zeros(1, 1, 32, dtype=F64)
    shift = model.body.norm_before("attn", 0).forward(zero)[0, 0].detach()
    scale = float((read - shift).norm() / (gain * (x - x.mean() if centres else x)).norm())
    moved = torch.stack([dense(moves(model, (0, h))) for h in range(heads(model))]).sum(0) @ x * scale
    out, value = body.linear("out.0"), body.linear("v.0")
    constant = value.matrix() @ shift + (0 if value.bias is None else value.bias)  # shift and biases belong to no W_OV
    constant = constant.unflatten(0, (body.n_kv_heads, -1)).repeat_interleave(heads(model) // body.n_kv_heads, 0)
    added = added - out.matrix() @ constant.flatten() - (0 if out.bias is None else out.bias)
    added = added - added.mean() if centres else added
    assert torch.cosine_similarity(moved, added, dim=0) > 1 - 1e-9
    if family != "gemma3_text":  # where a norm follows, all but its scale is folded in
        assert torch.allclose(moved, added, rtol=1e-6, atol=1e-8)


@FAMILIES
def test_a_planted_channel_is_ranked_first_and_can_be_closed(family: str) -> None:
    model, writer, reader = model_of(family, F64), (0, 1), (2, 3)
    query = model.body.linear("q.2").matrix().unflatten(0, (heads(model), -1))[3]
    towards = query[0] * gain_of(model, model.body.norm_before("attn", 2))[0]  # what the reader's queries look for
    planted = torch.zeros(32, model.body.linear("out.0").matrix().shape[1], dtype=F64)
    width = planted.shape[1] // heads(model)
    planted[:, width : 2 * width] = 30 * torch.outer(towards, draw(width))
    model = model.edited(Update(Weight("out.0"), left=planted))
    score, found, component = ranked(model, reader, "q")[0]
    assert found == writer and component == 0
    stack = remove_component(model, reader=reader, side="q")
    assert stack.about["head"] == [0, 1] and stack.about["scores"] == pytest.approx([score])
    shut = model.edited(stack)
    sizes = [moves(m, writer).svd[1] for m in (model, shut)]
    assert torch.allclose(sizes[1][:-1], sizes[0][1:], rtol=1e-8)  # the others stay as they were
    assert composition(reads(shut, reader, "q"), moves(shut, writer)) < composition(
        reads(model, reader, "q"), moves(model, writer)
    )


@FAMILIES
def test_without_all_components_the_head_writes_nothing_and_the_others_as_ever(family: str) -> None:
    model, head = model_of(family, F64), (1, 2)
    n = len(moves(model, head).svd[1])
    stack = remove_component(model, head=head, components=range(n))
    before, after = (
        m.body.linear("out.1").matrix().unflatten(1, (heads(model), -1)) for m in (model, model.edited(stack))
    )
    assert float(after[:, 2].abs().max()) < 1e-8 * float(before.abs().max())
    others = [0, 1, 3]
    assert torch.equal(after[:, others], before[:, others])


def test_removing_in_two_steps_is_removing_at_once() -> None:
    model, head = model_of("llama", F64), (1, 2)
    first, second, both = (remove_component(model, head=head, components=c) for c in ([0], [2], [0, 2]))
    one, two = (model.edited(*stacks).body.linear("out.1").matrix() for stacks in ((first, second), (both,)))
    assert torch.allclose(one, two, atol=1e-10)
    u, size, v = moves(model, head).svd
    left = dense(moves(model.edited(both), head))
    assert torch.allclose(left, dense(moves(model, head)) - (u[:, [0, 2]] * size[[0, 2]]) @ v[:, [0, 2]].T, atol=1e-9)


def test_it_changes_what_the_model_says_and_scores_lie_between_0_and_1() -> None:
    model = model_of("llama", F64)
    stack = remove_component(model, head=(1, 2), components=[0])
    tokens = prompts()
    before, after = (m.run(tokens, read=["final"])["final"] for m in (model, model.edited(stack)))
    assert not torch.allclose(before, after)
    for side, writer in itertools.product(get_args(Side), range(4)):
        assert 0 <= composition(reads(model, (2, 1), side), moves(model, (0, writer))) <= 1


def test_what_cannot_be_closed_is_refused() -> None:
    model = model_of("llama", F64)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"head": (0, 0)}, "which of its components"),
        ({"components": [0]}, "or a reader"),
        ({"head": (0, 9), "components": [0]}, "no head 0.9"),
        ({"head": (0, 0), "components": [99]}, "counted from 0"),
        ({"reader": (0, 0)}, "layers before 0 write"),
        ({"head": (2, 0), "reader": (1, 0)}, "layers before 1 write"),
    ]
    for options, said in cases:
        with pytest.raises(ValueError, match=said):
            remove_component(model, **options)
