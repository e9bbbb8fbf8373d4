"""What each edit does to a tensor."""

import pytest
import torch

from clew.changes import Add, Clamp, Gate, Mix, Project, Scale, Set, Steer, Update
from clew.probing import Probe
from clew.sites import ANSWER, EVERY, Site, Where

X = torch.tensor([[1.0, -2.0, 3.0], [0.0, 4.0, -1.0]], dtype=torch.float64)
AT = Site("resid", 0)


def test_add_scale_set_by_hand():
    assert torch.equal(Add(AT, vector=torch.tensor([1.0, 0, 2]), scale=2.0)(X), X + torch.tensor([2, 0, 4]))
    assert torch.equal(Scale(AT, factor=-0.5)(X), -0.5 * X)
    assert torch.equal(Set(AT, value=7.0)(X), torch.full_like(X, 7))
    keep = torch.tensor([[True, False, True], [False, True, True]])
    assert Set(AT, value=torch.tensor([9.0, 8.0, 7.0]), keep=keep)(X).tolist() == [[1, 8, 3], [9, 4, -1]]


def test_project_takes_out_the_span_by_hand():
    assert Project(AT, directions=torch.tensor([[0.0, 2.0, 0.0]]))(X).tolist() == [[1, 0, 3], [0, 0, -1]]


def test_project_of_dependent_directions_takes_out_no_more_than_their_span():
    one = torch.tensor([[1.0, 2.0, -1.0]], dtype=torch.float64)
    same = torch.cat([one, -3 * one, torch.zeros_like(one)])
    assert torch.allclose(Project(AT, directions=same)(X), Project(AT, directions=one)(X), atol=1e-12)


def test_project_leaves_nothing_along_any_direction():
    directions = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    once = Project(AT, directions=directions)(X)
    assert (once @ directions.T).abs().max() < 1e-12
    assert torch.allclose(Project(AT, directions=directions)(once), once, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_edits_keep_half_precision(dtype):
    x = X.to(dtype)
    for edit in (Add(AT, vector=X[0]), Set(AT, value=X[0]), Scale(AT, factor=0.3), Project(AT, directions=X)):
        assert edit(x).dtype == dtype


@pytest.mark.parametrize("units", [(), (-1,), (2, 2)])
def test_units_that_would_do_nothing_or_too_much_are_refused(units):
    with pytest.raises(ValueError, match="at least one, each once"):
        Scale(AT, factor=0.0, units=units)


def test_an_edit_is_frozen():
    with pytest.raises(AttributeError):
        Scale(AT, factor=0.0).factor = 1.0  # type: ignore[misc]


def test_clamp_and_kept_norms_by_hand():
    assert Clamp(AT, low=-1.0, high=2.0)(X).tolist() == [[1, -1, 2], [0, 2, -1]]
    assert Clamp(AT, high=0.0)(X).tolist() == [[0, -2, 0], [0, 0, -1]]
    turned = Add(AT, vector=torch.tensor([0.0, 3.0, 0.0]), scale=-1.0, keep_norm=True)(torch.tensor([[4.0, 0.0, 0.0]]))
    assert torch.allclose(turned, torch.tensor([[3.2, -2.4, 0.0]]))


def test_a_swap_of_a_subspace_takes_the_part_of_the_other_and_leaves_the_rest():
    other = torch.tensor([9.0, 8.0, 7.0], dtype=torch.float64)
    swapped = Project(AT, directions=torch.tensor([[0.0, 0.5, 0.0]]), value=other)(X)
    assert swapped.tolist() == [[1, 8, 3], [0, 8, -1]]


def test_a_gate_is_open_above_its_threshold_only():
    probe = Gate(Probe(AT, torch.tensor([1.0, 0.0, 1.0]), -1.0))
    assert probe(X).tolist() == [True, False]
    assert Gate(unit=1, above=4.0)(X).tolist() == [False, False]


def test_an_update_is_the_product_of_its_factors_in_float64():
    left, right = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0, 0.0, -1.0]])
    assert Update("down.0", left=left, right=right, scale=0.5)(X).tolist() == [[1.5, -2, 2.5], [1, 4, -2]]
    assert torch.equal(Update("down.0", left=X)(X), 2 * X)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Gate(), "one of the two"),
        (lambda: Gate(Probe("resid.1", X[0]), at="resid.0"), "where the probe says, not at resid.0"),
        (lambda: Scale(AT, factor=0.0, gate=Gate(unit=0, at="resid.3")), "comes after the edit"),
        (lambda: Scale("pattern.0", factor=0.0, gate=Gate(unit=0)), "cannot have this gate"),
        (lambda: Clamp(AT), "no limit"),
        (lambda: Update("down.0", left=X, right=X), r"they must be \[out, rank\]"),
        (lambda: Update("down.0", left=torch.ones(2, 2))(X), "does not fit down.0"),
    ],
)
def test_what_cannot_be_is_refused_in_words(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_a_steer_adds_at_its_length_scale_and_place():
    vector = torch.tensor([3.0, 4.0])
    plain, unit = (
        Steer().add(Site("resid", 0), vector),
        Steer(Where("response"), -2.0, True, True).add("resid.0", vector),
    )
    assert (plain.vector.tolist(), plain.scale, plain.where, plain.keep_norm) == ([3.0, 4.0], 1.0, EVERY, False)
    assert (unit.scale, unit.where, unit.keep_norm) == (-2.0, Where("response"), True)
    assert torch.allclose(unit.vector, torch.tensor([0.6, 0.8]))
    assert Steer().add(Site("resid", 0), vector, usual=ANSWER).where == ANSWER
    assert (Steer().norm, Steer(normalise=True).norm) == ("natural", "unit")
    with pytest.raises(ValueError, match="scale=nan"):
        Steer(scale=float("nan"))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Add(AT, vector=torch.tensor([0.0, NAN, 0.0])), "vector of the add at resid.0 holds values"),
        (lambda: Add(AT, vector=torch.ones(3), scale=INF), "scale of the add at resid.0 is inf"),
        (lambda: Set(AT, value=NAN), "value of the set at resid.0 is nan"),
        (lambda: Set(AT, value=torch.tensor([0.0, INF, 0.0])), "value of the set at resid.0 holds values"),
        (lambda: Scale(AT, factor=NAN), "factor of the scale at resid.0 is nan"),
        (lambda: Clamp(AT, low=0.0, high=INF), "high of the clamp at resid.0 is inf"),
        (lambda: Clamp(AT, low=NAN), "low of the clamp at resid.0 is nan"),
        (lambda: Mix(AT, value=NAN, weight=0.5), "value of the mix at resid.0 is nan"),
        (lambda: Mix(AT, value=0.0, weight=torch.tensor([INF])), "weight of the mix at resid.0 holds values"),
        (lambda: Project(AT, directions=torch.tensor([[NAN, 0.0, 0.0]])), "directions of the project .* holds values"),
        (lambda: Project(AT, directions=torch.eye(3), value=INF), "value of the project at resid.0 is inf"),
        (lambda: Update("down.0", left=X * NAN), "left of the update at down.0 holds values"),
        (lambda: Update("down.0", left=X, scale=NAN), "scale of the update at down.0 is nan"),
        (lambda: Gate(unit=1, above=NAN), "above=nan: a gate opens above a finite number"),
    ],
)
def test_an_edit_by_what_is_no_finite_number_is_refused_when_it_is_made(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("dtype", [torch.long, torch.bool, torch.complex64])
def test_what_is_no_float_is_refused_when_it_is_made(dtype):
    one = torch.ones(3, dtype=dtype)
    for make in (
        lambda: Add(AT, vector=one),
        lambda: Set(AT, value=one),
        lambda: Mix(AT, value=one, weight=0.5),
        lambda: Project(AT, directions=one[None]),
        lambda: Update("down.0", left=one[None]),
    ):
        with pytest.raises(ValueError, match=f"is of {dtype}; give floats"):
            make()
    if dtype != torch.bool:
        with pytest.raises(ValueError, match=f"keep of the set at resid.0 is of {dtype}; it says yes or no"):
            Set(AT, value=0.0, keep=one)


def test_a_vector_of_another_width_is_refused_where_it_is_applied():
    for edit, said in (
        (Add(AT, vector=torch.ones(5)), "vector of shape .5,. does not fit the add at resid.0, where .2, 3. flows"),
        (Set(AT, value=torch.ones(5)), "value of shape .5,. does not fit the set"),
        (Mix(AT, value=0.0, weight=torch.ones(5)), "weight of shape .5,. does not fit the mix"),
        (Project(AT, directions=torch.ones(1, 5)), "directions 5 wide do not fit the project at resid.0"),
        (Add(AT, vector=torch.ones(4, 2, 3)), "vector of shape .4, 2, 3. does not fit"),
    ):
        with pytest.raises(ValueError, match=said):
            edit(X)
    with pytest.raises(ValueError, match="they must be .direction, d."):
        Project(AT, directions=torch.ones(3))


def test_a_number_is_finite_as_far_as_64_bits_go():
    assert torch.equal(Scale(AT, factor=1e300)(X), 1e300 * X)
