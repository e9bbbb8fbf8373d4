"""Channels between heads: which one is found, and what a model without it does."""

import itertools
from typing import Any, get_args

import pytest
import torch

from clew.changes import Update
from clew.edits.components.remove_component import ranked, remove_component
from clew.readings.heads import Side, composition, moves, reads
from clew.readings.norms import gain_of
from clew.sites import Weight
from tests.models.tiny import model_of, prompts
from tests.readings.channels import F64, dense, draw, heads

FAMILIES = pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma3_text"])


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
