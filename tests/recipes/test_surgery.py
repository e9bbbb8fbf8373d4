"""Surgery finds nothing wrong in a layout that is right, and something in each that is not."""

from dataclasses import replace

import pytest
import torch

from clew.models import Model
from clew.models.body import Body
from clew.models.layout import Map
from tests.models.kinds import kind_of
from tests.models.tiny import module_of, record
from tests.recipes.recipe import recipe

surgery = recipe("surgery")


def seen_so(family, change):
    """A tiny model in which every block's parts are what `change` makes of them."""
    module = module_of(family)
    layout = record(family).layout(module)
    parts = tuple(tuple(change(part) for part in block) for block in layout.parts)
    return Model(Body(module, None, family, replace(layout, parts=parts)))


def only(which, **fields):
    return lambda part: replace(part, **fields) if part.kind == which else part


COLUMNS = {name: Map("attn.c_attn", tuple(range(i * 32, i * 32 + 32))) for i, name in enumerate("vqk")}
SHIFTED = {name: Map("attn.c_attn", tuple(range(i * 32 + 8, i * 32 + 40))) for i, name in enumerate("qk")} | {
    "v": Map("attn.c_attn", tuple(range(64, 96)))
}


def test_nothing_is_wrong_in_a_layout_that_is_right():
    claims = list(surgery.checked(seen_so("gpt2", lambda part: part)))
    assert all(claim.holds for claim in claims) and len(claims) > 40
    said = {claim.what for claim in claims}
    assert said >= {"an edit", "an edit of the weight", "the sum of what is written", "what one head reaches"}
    kinds = {claim.address.partition(".")[0] for claim in claims}
    assert kinds >= {
        "embed",
        "final",
        "resid",
        "attn",
        "mlp",
        "head",
        "neuron",
        "q",
        "k",
        "v",
        "pattern",
        "out",
        "down",
    }


def test_experts_that_are_cut_are_those_that_are_edited():
    claims = list(surgery.checked(Model(Body(kind_of("experts", torch.float32, num_hidden_layers=1), None, "experts"))))
    assert all(claim.holds for claim in claims)
    assert sum(claim.address.startswith(("expert", "router")) for claim in claims) == 8


@pytest.mark.parametrize(
    ("family", "change", "said"),
    [
        ("llama", only("attn", heads=(4, 4)), "what one head reaches at k"),
        ("gpt2", only("attn", maps=COLUMNS), "an edit at pattern"),
        ("gpt2", only("attn", maps=SHIFTED), "what one head reaches at q"),
        ("llama", only("mlp", factor=0.5), "the sum of what is written at resid"),
        ("llama", only("mlp", kind="mixer", projection=""), "what mixes positions at mixer_in"),
        ("llama", only("mlp", reads="mlp.gate_proj"), "an edit at mlp_in"),
        ("llama", only("mlp", write="self_attn"), "an edit at block 0"),
    ],
)
def test_a_layout_that_is_wrong_is_found_out(family, change, said):
    claims = surgery.checked(seen_so(family, change))
    assert any(str(claim).startswith(said) for claim in claims if not claim.holds)


def test_what_moves_nothing_counts_for_nothing():
    assert not surgery.Claim("an edit", "resid.2", 0.0, 0.0).counts
    assert surgery.Claim("an edit", "resid.2", 0.1, 0.0).counts
    assert not surgery.Claim("an edit", "resid.2", float("inf"), 1.0).holds
