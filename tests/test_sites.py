"""Addresses, and positions by meaning."""

from types import SimpleNamespace

import pytest
import torch

from clew.near import near
from clew.sites import EVERY, PARTS, PROMPT, RESPONSE, Site, Weight, Where


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
        (Where.after_first(), ["...111", ".11111"]),
        (Where.special(SimpleNamespace(all_special_ids=[5, 9])), ["..1...", "11...1"]),
        (Where.words(SimpleNamespace(all_special_ids=[5, 9])), ["...111", "..111."]),
        (Where.words(SimpleNamespace(all_special_ids=[])), ["..1111", "111111"]),
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


def test_weights_are_known_by_their_part_or_by_a_path():
    assert (Weight("down.3").part, Weight("down.3").layer) == ("down", 3)
    assert (Weight("unembed").part, Weight("unembed").layer) == ("unembed", None)
    assert Weight("model.layers.3.mlp.up_proj").part is None


@pytest.mark.parametrize(("address", "says"), [("down", "needs a layer"), ("a..b", "no address of a weight")])
def test_a_weight_that_cannot_be_is_refused_in_words(address, says):
    with pytest.raises(ValueError, match=says):
        Weight(address)


def test_positions_that_are_no_numbers_are_refused_at_once():
    with pytest.raises(
        ValueError, match=r"at takes a number as positions=; a slice was given; .*Where.after_first\(\)"
    ):
        Where.at(slice(1, None))
    with pytest.raises(ValueError, match=r"Where\('position'\) takes whole numbers; True was given"):
        Where.at(True)
    with pytest.raises(ValueError, match="this tokenizer has no special tokens"):
        Where.special(SimpleNamespace(all_special_ids=[]))
