import pytest
import torch

from clew.edits.probe_gated import probe_gated
from clew.sites import EVERY, Site
from tests.edits.planted_states import D, noisy, planted
from tests.models.tiny import model_of

EMBED = ["embed"]


def halves():
    """200 pairs whose wanted side lies at +1.5 e_0 and whose unwanted side at -1.5 e_0."""
    return planted(*noisy(200, nuisance=0.0))


def test_the_direction_is_found_and_the_probe_is_good():
    model, texts = halves()
    (edit,) = stack = probe_gated(model, texts, sites=EMBED)
    assert edit.vector[0] / edit.vector.norm() > 0.95 and edit.scale == 5.0
    assert 0.85 < stack.about["sites"]["embed"]["accuracy"] < 1


def test_the_gate_opens_on_the_unwanted_side_alone():
    model, texts = halves()
    (edit,) = stack = probe_gated(model, texts, sites=EMBED)
    moved = []
    for side in texts:
        tokens = torch.tensor(side)
        plain, now = (m.run(tokens, read=EMBED, keep=1) for m in (model, model.edited(stack)))
        shift = now["embed"] - plain["embed"]
        fired = (shift != 0).any(-1)
        assert torch.allclose(shift[fired], 5 * edit.vector.expand_as(shift[fired]))
        assert torch.equal(now.logits[~fired[:, 0]], plain.logits[~fired[:, 0]])  # a shut gate leaves every bit
        moved.append(float(fired.double().mean()))
    assert moved[0] < 0.1 and moved[1] > 0.9


def test_static_steers_always():
    model, texts = halves()
    stack = probe_gated(model, texts, sites=EMBED, dynamic=False, threshold=1.0)
    tokens = torch.tensor(texts[0])
    shift = model.edited(stack).run(tokens, read=EMBED)["embed"] - model.run(tokens, read=EMBED)["embed"]
    assert torch.allclose(shift, 5 * stack[0].vector.expand_as(shift))


TEXTS = (["the nurse said that", "a good king", "she", "the man"], ["he", "the old queen was not", "a man", "of"])


def test_no_probe_exceeds_1_so_the_text_is_the_same():
    model = model_of("llama")
    with pytest.warns(UserWarning, match="no probe exceeds 1.0; the best, at attn"):
        stack = probe_gated(model, TEXTS, threshold=1.0)
    assert not len(stack) and len(stack.about["left_out"]) == 3
    steered = model.edited(stack).generate(TEXTS[0], max_new_tokens=8)
    assert torch.equal(steered.tokens, model.generate(TEXTS[0], max_new_tokens=8).tokens)


def test_the_k_best_sites_are_taken_in_forward_order():
    model = model_of("llama")
    stack = probe_gated(model, TEXTS, k=2, dynamic=False)
    accuracy = {**{s: said["accuracy"] for s, said in stack.about["sites"].items()}, **stack.about["left_out"]}
    assert [edit.at for edit in stack] == sorted(edit.at for edit in stack) and len(stack) == 2
    assert min(accuracy[str(edit.at)] for edit in stack) >= max(stack.about["left_out"].values())


def test_a_cache_and_padding_change_nothing_though_gates_open_and_shut():
    model = model_of("llama", torch.float64)
    model.body.module.generation_config.eos_token_id = None
    stack = probe_gated(model, TEXTS, sites=["resid.0", "attn.1"], threshold=-1.0, scale=1.0, where=EVERY)
    steered = model.edited(stack)
    together = steered.generate(TEXTS[0], max_new_tokens=6)
    assert torch.equal(together.tokens, steered.generate(TEXTS[0], max_new_tokens=6, use_cache=False).tokens)
    assert list(together.texts) == [steered.generate(text, max_new_tokens=6).texts[0] for text in TEXTS[0]]
    fired, reached = (sum(getattr(r, n) for r in together.receipts) for n in ("fired", "reached"))
    assert 0 < fired < reached


def test_shuffled_sides_give_a_probe_of_chance():
    x = torch.randn(200, D, generator=torch.Generator().manual_seed(0))
    model, texts = planted(x[:100], x[100:])
    stack = probe_gated(model, texts, sites=EMBED, threshold=0.0)
    assert stack.about["sites"]["embed"]["accuracy"] == pytest.approx(0.5, abs=0.1)
    assert stack[0].at == Site("embed")
