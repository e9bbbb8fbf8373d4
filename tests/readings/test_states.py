import pytest
import torch

from clew.changes import Add
from clew.readings.states import states
from clew.sites import Site
from tests.models.tiny import model_of
from tests.planted import tiny_model

R1 = Site("resid", 1)
TEXTS = ["the nurse said that", "a king", "the old man is very good", "one queen"]


@pytest.mark.parametrize("at", [-1, 0, -2])
def test_a_state_is_what_the_site_holds_at_that_token(at):
    model = model_of("llama", torch.float64)
    found = states(model, TEXTS, ["resid.1", "head.0"], at=at)
    assert list(found) == [Site("head", 0), R1]  # as a forward pass meets them
    for site, rows in found.items():
        alone = [model.run(text, read=[site])[site][0, at] for text in TEXTS]
        assert torch.allclose(rows, torch.stack(alone), atol=1e-12, rtol=0)


def test_the_mean_leaves_the_first_tokens_out():
    model = model_of("llama", torch.float64)
    rows = states(model, TEXTS, [R1], at="mean", skip=1)[R1]
    alone = [model.run(text, read=[R1])[R1][0, 1:].mean(0) for text in TEXTS]
    assert torch.allclose(rows, torch.stack(alone), atol=1e-12, rtol=0)


def test_a_row_depends_on_no_other_text_and_not_on_how_many_run_at_once(monkeypatch):
    model = model_of("llama")
    together = states(model, TEXTS, [R1])[R1]
    assert together.dtype == torch.float32
    monkeypatch.setattr("clew.scale.budget.VALUES", 1)
    assert torch.allclose(states(model, TEXTS[::-1], [R1])[R1].flip(0), together, atol=1e-6)


def test_token_ids_are_taken_as_they_are_and_edits_are_in_force():
    model = model_of("llama", torch.float64)
    ids = model.tokens(TEXTS[0])[0][0].tolist()
    plain = states(model, [TEXTS[0]], [R1])[R1]
    assert torch.equal(states(model, [ids], [R1])[R1], plain)
    shifted = states(model.edited(Add(R1, vector=torch.ones(plain.shape[1]))), [ids], [R1])[R1]
    assert torch.equal(shifted, plain + 1)


def test_token_ids_need_no_tokenizer():
    assert states(tiny_model("llama"), [(3, 4, 5), (6, 7)], [R1])[R1].shape == (2, 32)


def test_what_cannot_be_read_is_said():
    model = model_of("llama")
    with pytest.raises(ValueError, match=r"'a king' has \d tokens, and what is to be read needs 40"):
        states(model, TEXTS, [R1], at=-40)
    with pytest.raises(ValueError, match="no texts"):
        states(model, [], [R1])
    with pytest.raises(ValueError, match="sites of a fixed width"):
        states(model, TEXTS, ["pattern.0"])
