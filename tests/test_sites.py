"""Addresses, positions by meaning, and what each edit does to a tensor."""

import pytest
import torch

from clew.sites import (
    EVERY,
    PARTS,
    PROMPT,
    RESPONSE,
    Add,
    Clamp,
    Gate,
    Project,
    Scale,
    Set,
    Site,
    Update,
    Weight,
    Where,
    near,
)

X = torch.tensor([[1.0, -2.0, 3.0], [0.0, 4.0, -1.0]], dtype=torch.float64)
AT = Site("resid", 0)


def test_an_address_reads_back_as_it_was_written():
    addresses = [
        "embed",
        "final",
        *(f"{part}.{layer}" for part in PARTS for layer in (0, 11) if part not in ("embed", "final")),
    ]
    assert [str(Site.parse(a)) for a in addresses] == addresses
    assert Site.parse(Site("attn", 2)) == Site("attn", 2) and repr(Site("attn", 2)) == "Site('attn.2')"


def test_sites_sort_as_a_forward_pass_meets_them():
    forward = ["embed", "attn_in.0", "q.0", "pattern.0", "head.0", "attn.0", "mlp_in.0", "neuron.0", "mlp.0", "resid.0",
               "attn.1", "resid.1", "resid.10", "final"]  # fmt: skip
    assert [str(s) for s in sorted(map(Site.parse, sorted(forward)))] == forward


@pytest.mark.parametrize(
    ("address", "words"),
    [("residd.3", "'resid'"), ("resid", "needs a layer"), ("embed.0", "takes no layer"), ("resid.x", "layer number"),
     ("resid.-1", "layer number"), ("resid.", "layer number"), ("", "known: embed"), ("neurons.1", "'neuron'")],
)  # fmt: skip
def test_a_misspelt_address_says_what_is_allowed(address, words):
    with pytest.raises(ValueError, match=words):
        Site.parse(address)


def test_near_lists_no_more_than_thirty():
    assert near("xyz", [f"long name {i}" for i in range(100)]).endswith("and 70 more")


TOKENS = torch.tensor([[0, 0, 5, 6, 7, 8], [9, 5, 6, 7, 8, 5]])
REAL = TOKENS != 0


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        (EVERY, ["..1111", "111111"]),
        (PROMPT, ["..11..", "1111.."]),
        (RESPONSE, ["....11", "....11"]),
        (Where.at(0), ["..1...", "1....."]),
        (Where.at(-1), ["...1..", "...1.."]),
        (Where.at(-3), ["......", ".1...."]),
        (Where.at(0, -1), ["..11..", "1..1.."]),
        (Where.at(3), [".....1", "...1.."]),
        (Where("token", (5,)), ["..1...", ".1...1"]),
        (Where("token", (0,)), ["......", "......"]),
    ],
)
def test_where_by_hand_with_left_padding_and_a_response(where, rows):
    mask = where.mask(TOKENS, REAL, 4)
    assert ["".join("1" if m else "." for m in row) for row in mask.tolist()] == rows


def test_a_where_that_names_no_position_is_refused():
    with pytest.raises(ValueError, match="needs `values`"):
        Where.at()
    with pytest.raises(ValueError, match="takes no `values`"):
        Where("prompt", (3,))


def test_add_scale_set_by_hand():
    assert torch.equal(Add(AT, vector=torch.tensor([1, 0, 2]), scale=2.0)(X), X + torch.tensor([2, 0, 4]))
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


def test_a_phrase_is_found_wherever_its_run_of_tokens_stands_but_not_across_padding():
    tokens = torch.tensor([[7, 8, 7, 8, 8], [8, 7, 8, 5, 7]])
    real = torch.tensor([[True] * 5, [False, False, True, True, True]])
    found = Where.phrase((7, 8)).mask(tokens, real, 5)
    assert found.tolist() == [[True, True, True, True, False], [False] * 5]
    assert Where.phrase_end((7, 8)).mask(tokens, real, 5)[0].tolist() == [False, True, False, True, False]
    assert not Where.phrase((7,) * 6).mask(tokens, real, 5).any()


def test_a_phrase_that_is_completed_while_writing_has_an_end_only():
    tokens = torch.tensor([[5, 7, 8, 7, 8]])
    real = torch.ones_like(tokens, dtype=torch.bool)
    assert Where.phrase((7, 8)).mask(tokens, real, 2).tolist() == [[False] * 5]
    assert Where.phrase_end((7, 8)).mask(tokens, real, 2).tolist() == [[False, False, True, False, True]]
    assert Where.phrase((7, 8)).mask(tokens, real, 3).tolist() == [[False, True, True, False, False]]


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
    probe = Gate(direction=torch.tensor([1.0, 0.0, 1.0]), bias=-1.0)
    assert probe(X).tolist() == [True, False]
    assert Gate(unit=1, above=4.0)(X).tolist() == [False, False]


def test_an_update_is_the_product_of_its_factors_in_float64():
    left, right = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0, 0.0, -1.0]])
    assert Update("down.0", left=left, right=right, scale=0.5)(X).tolist() == [[1.5, -2, 2.5], [1, 4, -2]]
    assert torch.equal(Update("down.0", left=X)(X), 2 * X)


def test_weights_are_known_by_their_part_or_by_a_path():
    assert (Weight("down.3").part, Weight("down.3").layer) == ("down", 3)
    assert (Weight("unembed").part, Weight("unembed").layer) == ("unembed", None)
    assert Weight("model.layers.3.mlp.up_proj").part is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Weight("down"), "needs a layer"),
        (lambda: Weight("a..b"), "no address of a weight"),
        (lambda: Gate(), "one of the two"),
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
