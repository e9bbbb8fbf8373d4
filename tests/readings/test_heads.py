"""Channels between heads: scores by hand and by theory, and products that say what the heads of a run do."""

import pytest
import torch

from clew.readings.heads import Product, columns, components, composition, moves, output, reads
from clew.readings.norms import gain_of
from tests.models.tiny import model_of, prompts
from tests.readings.channels import F64, dense, draw, heads

FAMILIES = pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "gemma3_text"])


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


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_queries_against_keys_are_the_product_that_a_reader_is(family: str) -> None:
    """At position 0 nothing is rotated, so a query times a key is xᵀ W_Kᵀ W_Q x, up to the norm's scale and biases."""
    model = model_of(family, F64)
    body, token = model.body, torch.tensor([[5]])
    trace = model.run(token, read=["resid.0", "q.1", "k.1"], logits=0)
    x, norm = trace["resid.0"][0, 0], body.norm_before("attn", 1)
    gain, centres = gain_of(model, norm)
    shift = norm.forward(torch.zeros(1, 1, 32, dtype=F64))[0, 0].detach()
    inner = gain * (x - x.mean() if centres else x)
    scale = float((norm.forward(x[None, None])[0, 0] - shift).norm() / inner.norm())
    for head in range(heads(model)):
        sides = []
        for part, n in (("q", heads(model)), ("k", body.n_kv_heads)):
            linear = body.linear(f"{part}.1")
            constant = linear.matrix() @ shift + (0 if linear.bias is None else linear.bias)
            sides.append((trace[f"{part}.1"][0, 0] - constant).unflatten(0, (n, -1))[head * n // heads(model)])
        wanted = float(sides[0] @ sides[1]) / scale**2
        assert float(x @ dense(reads(model, (1, head), "q")) @ x) == pytest.approx(wanted, rel=1e-6)


@FAMILIES
def test_read_from_its_keys_a_head_is_its_transpose_and_from_its_values_what_it_moves(family: str) -> None:
    model, head = model_of(family, F64), (1, 2)
    assert torch.allclose(dense(reads(model, head, "k")), dense(reads(model, head, "q")).T, atol=1e-12)
    assert torch.equal(dense(reads(model, head, "v")), dense(moves(model, head)))
    assert not torch.allclose(dense(reads(model, head, "q")), dense(reads(model, (1, 3), "q")))


def test_heads_that_share_keys_and_values_read_with_the_same() -> None:
    model = model_of("llama", F64)  # four heads, two of each sharing
    by_head = [reads(model, (1, h), "v").right for h in range(4)]
    assert torch.equal(by_head[0], by_head[1]) and torch.equal(by_head[2], by_head[3])
    assert not torch.equal(by_head[1], by_head[2])


def test_the_columns_of_a_head_stand_side_by_side_and_write_what_it_alone_adds() -> None:
    model = model_of("llama", F64)
    assert [columns(model, (1, h)) for h in range(4)] == [slice(8 * h, 8 * h + 8) for h in range(4)]
    trace = model.run(prompts(), read=["head.1", "attn.1"], logits=0)
    parts = [trace["head.1"][..., columns(model, (1, h))] @ output(model, (1, h)).T for h in range(4)]
    assert torch.allclose(sum(parts), trace["attn.1"], atol=1e-9)


def test_the_norm_of_a_product_is_that_of_its_matrix() -> None:
    product = Product(draw(9, 3), draw(3, 9, seed=1))
    assert product.norm == pytest.approx(float(dense(product).norm()), rel=1e-12)
    assert product.svd[1].tolist() == sorted(product.svd[1].tolist(), reverse=True) and len(product.svd[1]) == 3


def test_a_reader_or_writer_of_nothing_has_no_score() -> None:
    nothing, some = Product(torch.zeros(9, 3, dtype=F64), draw(3, 9)), Product(draw(9, 3), draw(3, 9, seed=1))
    assert components(nothing, some).tolist() == components(some, nothing).tolist() == [0.0] * 3
    assert composition(nothing, some) == composition(some, nothing) == 0
