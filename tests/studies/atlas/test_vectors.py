"""Every kind of vector: the same alone as in a batch, and what its definition says."""

import numpy as np
import pytest
import torch

from clew.finder import load, names
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.models.factors import factors
from clew.studies.atlas._sketch import Sketch
from clew.studies.atlas.contexts import Contexts
from tests.models.tiny import model_of
from tests.planted import behaviour_of

ROOM = "studies.atlas.vectors"
GIVEN = Contexts.of([[5, 9, 4], [3, 8, 6, 5, 7], [4, 4, 9]], [6, 9, 3])


def model():
    return model_of(dtype=torch.float64).neurons("resid.0", "resid.1")


@pytest.mark.parametrize("kind", names(ROOM))
@pytest.mark.parametrize("dims", [16, 4096])
def test_a_context_has_the_same_vector_alone_and_among_others(kind, dims):
    view, made = model(), load(ROOM, kind)
    together = made(view, GIVEN, dims=dims)
    assert together.shape[0] == 3 and together.dtype == np.float32 and together.any(1).all()
    for i in range(3):
        np.testing.assert_allclose(
            made(view, GIVEN.take(np.array([i])), dims=dims)[0], together[i], rtol=1e-4, atol=1e-5
        )
    told = []
    made(view, GIVEN, dims=dims, tokens=1, progress=lambda done, of, *_: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_effects_are_those_of_attribution_patching_to_zero():
    view = model()
    (row,) = load(ROOM, "effects")(view, Contexts.of([[5, 9, 4]], [6]), last=0)
    task = behaviour_of(torch.tensor([[5, 9, 4]]), None, torch.tensor([[6]]), None).with_metric("log_probability")
    found = attribution_patching(view, task, baseline="zero", positions=False)
    width = view.body.widths[view.body.site("resid.0")]
    want = np.zeros(2 * width)
    want[found.site * width + found.unit] = found.score
    halves = want.reshape(2, width)
    np.testing.assert_allclose(
        row, (halves / np.linalg.norm(halves, axis=1, keepdims=True)).ravel(), rtol=1e-4, atol=1e-6
    )


def test_the_gradient_is_projected_by_a_matrix_of_one_sign_for_each_weight():
    view = model()
    (row,) = load(ROOM, "gradients")(view, Contexts.of([[5, 9, 4]], [6]), dims=16)
    want = torch.zeros(4, 4, dtype=torch.float64)

    def see(name, x, g):
        whole = torch.einsum("bti,bto->oi", x, g)  # the gradient itself, which the projection never holds
        (into, sign), (out, turn) = (
            Sketch(f"{name} {e}", n, 4).drawn for e, n in (("in", x.shape[-1]), ("out", g.shape[-1]))
        )
        for o in range(whole.shape[0]):
            for i in range(whole.shape[1]):
                want[out[o], into[i]] += turn[o].double() * sign[i].double() * whole[o, i]

    factors(view, torch.tensor([[5, 9, 4]]), lambda t: -t.logits[:, -1].log_softmax(-1)[:, 6].sum(), see)
    np.testing.assert_allclose(row, want.flatten().float(), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match=r"dims=15 is no square number; give one such as 16"):
        load(ROOM, "gradients")(view, GIVEN, dims=15)


def test_a_sketch_keeps_inner_products_on_average_and_is_drawn_by_its_name():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 500, generator=g, dtype=torch.float64)
    kept = torch.stack([Sketch(f"s{i}", 500, 64)(x) @ Sketch(f"s{i}", 500, 64)(y) for i in range(400)])
    error = float(x.norm() * y.norm()) / 8 / 20  # 1 / sqrt(dims) of the norms, over the root of 400 draws
    assert abs(float(kept.mean()) - float(x @ y)) < 4 * error
    assert torch.equal(Sketch("a", 9, 3)(x[:9]), Sketch("a", 9, 3)(x[:9]))
    assert not torch.equal(Sketch("a", 9, 3)(x[:9]), Sketch("b", 9, 3)(x[:9]))
