"""Edits of units by labelled texts: chosen units, what they change to the digit, and what they leave bit for bit."""

from functools import cache

import pytest
import torch

from clew.data.labels.labelled import Labelled
from clew.edits.steering.unit_scaling import unit_scaling
from clew.edits.steering.unit_steering import unit_steering
from clew.models import Model
from clew.sites import Site
from clew.stack import Stack
from tests.measures.labelled_model import D, embedding_model, relu

WORDS = {"start": [0.0], "vile": [2.0], "worse": [4.0], "fine": [0.0, 3.0], "day": [-1.0, 0.0, 1.0]}
TEXTS = Labelled(
    "tone",
    ("start vile day", "start worse worse worse", "start fine day", "start fine fine"),
    {"tone": ("rude", "rude", "kind", "kind")},
)
ROWS = [[1.0, 0.0, 0.5], [0.0, 1.0], [0.0, 0.0, 1.0]]
"""Unit 0 reads coordinate 0, and writes half as much to coordinate 2."""


@cache
def view() -> Model:
    torch.manual_seed(0)
    model = embedding_model(WORDS)
    module = model.body.module
    module.generation_config.eos_token_id = None  # so that every prompt gets all its tokens
    return model.through(relu(ROWS, encoder=[row[:1] if row[0] else row for row in ROWS]))


def steered(tier: str, **options: object) -> Stack:
    return unit_steering(view(), TEXTS, avoid="rude", tier=tier, **options)


def stream(model: Model, prompt: str) -> torch.Tensor:
    return model.run(prompt, read=["embed"])["embed"][0]


def test_the_unit_of_the_texts_to_avoid_is_chosen_and_measured():
    about = steered("token").about
    assert about["units"] == [0] and about["size"] == [pytest.approx(14 / 4)]
    assert about["difference"] == [pytest.approx((1 + 4) / 2)] and about["share"] == [[1.0, 0.0]]


@pytest.mark.parametrize(("tier", "open"), [("constant", [1, 1, 1]), ("prompt", [1, 1, 1]), ("token", [0, 1, 0])])
def test_each_tier_by_hand(tier, open):
    model = view()
    shift = torch.zeros(3, D)
    shift[:, 0], shift[:, 2] = 2.0 * 3.5, 3.5  # strength * size * row
    moved = stream(model, "start vile day") - stream(model.edited(steered(tier, strength=2.0)), "start vile day")
    assert torch.allclose(moved, shift * torch.tensor(open)[:, None])


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("tier", ["prompt", "token"])
def test_a_prompt_on_which_no_unit_fires_keeps_every_bit(tier, cache):
    model, edited = view(), view().edited(steered(tier, strength=9.0))
    calm = model.run("start fine day")
    assert torch.equal(edited.run("start fine day").logits, calm.logits)
    before = model.generate("start fine day", max_new_tokens=4, use_cache=cache)
    assert not {2, 3} & set(before.tokens[0].tolist())  # neither "vile" nor "worse" is written
    after = edited.generate("start fine day", max_new_tokens=4, use_cache=cache)
    assert torch.equal(after.tokens, before.tokens) and after.receipts[0].fired == 0


def test_strength_zero_keeps_every_bit():
    for tier in ("constant", "prompt", "token"):
        edited = view().edited(steered(tier, strength=0.0))
        assert torch.equal(edited.run("start vile day").logits, view().run("start vile day").logits)


@pytest.mark.parametrize("tier", ["constant", "prompt", "token"])
def test_a_batch_is_its_prompts_one_by_one(tier):
    edited, prompts = view().edited(steered(tier, strength=2.0)), ["start vile day fine", "fine day"]
    together = edited.run(prompts, read=["embed"])
    assert torch.allclose(together.logits[1, -1], edited.run(prompts[1]).logits[0, -1], atol=1e-5)
    assert torch.equal(together["embed"][1, 2:], stream(edited, prompts[1]))


@pytest.mark.parametrize("cache", [True, False])
def test_a_prompt_that_fires_keeps_its_answer_steered_to_the_end(cache):
    edited = view().edited(steered("prompt", strength=2.0))
    receipts = edited.generate(["start vile day", "start fine day"], max_new_tokens=4, use_cache=cache).receipts
    seen = 3 + 3 if cache else 3 + 4 + 5 + 6
    assert (receipts[0].fired, receipts[0].reached) == (seen, 2 * seen)


def test_switching_a_unit_off_takes_out_what_it_wrote_and_no_more():
    model = view()
    off = model.edited(unit_scaling(model, TEXTS, avoid="rude", units=1))
    moved = stream(model, "start worse fine") - stream(off, "start worse fine")
    expected = torch.zeros(3, D)
    expected[1, 0], expected[1, 2] = 4.0, 2.0
    assert torch.equal(moved, expected)


def test_a_factor_of_one_keeps_every_bit_and_minus_one_writes_the_opposite():
    model = view()
    for factor, move in ((1.0, 0.0), (-1.0, 8.0)):
        edited = model.edited(unit_scaling(model, TEXTS, avoid="rude", units=1, factor=factor))
        assert (stream(model, "start worse") - stream(edited, "start worse"))[1, 0] == move


def test_coordinates_as_units_are_set_exactly():
    model = embedding_model(WORDS).neurons("embed")
    off = model.edited(unit_scaling(model, TEXTS, avoid="rude", units=(0,)))
    expected = stream(model, "start worse fine").clone()
    expected[:, 0] = 0
    assert torch.equal(stream(off, "start worse fine"), expected)


def test_by_share_a_unit_that_always_fires_is_not_chosen():
    rows = {"start": [0.0, 1.0], "vile": [2.0, 5.0], "fine": [0.0, 1.0]}
    texts = Labelled("tone", ("start vile", "start fine"), {"tone": ("rude", "kind")})
    model = embedding_model(rows).through(relu([[1.0], [0.0, 1.0]]))
    chosen = {rank: unit_steering(model, texts, avoid="rude", rank=rank).about["units"] for rank in ("mean", "share")}
    assert chosen == {"mean": [1], "share": [0]}


def test_it_survives_the_disk(tmp_path):
    stack = steered("prompt", strength=2.0, units=(0,))
    with_one = Stack.load(stack.save(tmp_path / "calm.safetensors"))
    prompt = "start vile fine day"
    assert torch.equal(view().edited(with_one).run(prompt).logits, view().edited(stack).run(prompt).logits)
    assert with_one.about == stack.about


def test_what_cannot_be_chosen_is_refused():
    for options, words in (
        ({"avoid": "rud"}, "no class 'rud'; did you mean 'rude'"),
        ({"avoid": "rude", "labelling": "mood"}, "no labelling 'mood'"),
        ({"avoid": "rude", "at": "resid.0"}, "not seen through a dictionary at resid.0"),
        ({"avoid": "rude", "units": 0}, "choose 1 to 3"),
        ({"avoid": "rude", "units": (0, 3)}, "there is no unit 3 at embed"),
        ({"avoid": "rude", "units": (1,)}, r"units \[1\] at embed never fire on the 2 texts of 'rude'"),
        ({"avoid": "rude", "rank": "size"}, "ranked by 'size'"),
        ({"avoid": "rude", "tier": "row"}, "there is no tier 'row'"),
    ):
        with pytest.raises(ValueError, match=words):
            # beartype would be first to complain about a wrong word, in other words than a user sees
            getattr(unit_steering, "__wrapped__", unit_steering)(view(), TEXTS, **options)


def test_of_several_dictionaries_one_must_be_named():
    model = view().neurons("embed", "resid.0")
    with pytest.raises(ValueError, match=r"seen through 2 dictionaries; say which by at="):
        unit_steering(model, TEXTS, avoid="rude")
    assert unit_steering(model, TEXTS, avoid="rude", at="embed")[0].at == Site("embed")
