import pytest
import torch

from clew.changes import Steer
from clew.edits.steering.probe_gated import probe_gated
from clew.sites import EVERY, Site
from clew.stack import Stack
from tests.edits.planted_states import D, noisy, planted
from tests.models.tiny import model_of
from tests.planted import tiny_model

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
        plain, now = (m.run(tokens, read=EMBED, logits=1) for m in (model, model.edited(stack)))
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


@pytest.mark.parametrize("among", [{"sites": ["resid.0", "attn.1"]}, {"heads": True}], ids=["sites", "heads"])
def test_a_cache_and_padding_change_nothing_though_gates_open_and_shut(among):
    model = model_of("llama", torch.float64)
    model.body.module.generation_config.eos_token_id = None
    stack = probe_gated(model, TEXTS, **among, threshold=-1.0, steer=Steer(EVERY, scale=1.0))
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


HEADS = ["head.0"]
SLOTS = D // 4


def in_head_2():
    """200 pairs that differ along e_0, which no head of layer 0 takes in but head 2; (model, texts, what it makes of e_0)."""
    model, texts = halves()
    embedded = model.body.module.get_input_embeddings().weight.data
    model = tiny_model("llama", vocab_size=len(embedded), num_key_value_heads=4)
    model.body.module.get_input_embeddings().weight.data = embedded
    values = model.body.module.model.layers[0].self_attn.v_proj.weight.data
    values[:, 0] = 0.0
    values[2 * SLOTS : 3 * SLOTS, 0] = 2 * torch.randn(SLOTS, generator=torch.Generator().manual_seed(3)).double()
    return model, texts, values[2 * SLOTS : 3 * SLOTS, 0]


def test_the_head_that_tells_them_apart_is_found_with_its_direction():
    model, texts, true = in_head_2()
    (edit,) = stack = probe_gated(model, texts, heads=True, sites=HEADS)
    assert edit.units == tuple(range(2 * SLOTS, 3 * SLOTS)) and torch.cosine_similarity(edit.vector, true, dim=0) > 0.95
    assert stack.about["sites"]["head.0[2]"]["accuracy"] > 0.9
    left = stack.about["left_out"]
    assert set(left) == {"head.0[0]", "head.0[1]", "head.0[3]"} and max(left.values()) < 0.65


def test_a_heads_gate_reads_and_its_edit_moves_nothing_but_its_own_slots():
    model, texts, _ = in_head_2()
    (edit,) = stack = probe_gated(model, texts, heads=True, sites=HEADS)
    x, noise = (torch.randn(50, D, generator=torch.Generator().manual_seed(s)).double() for s in (0, 1))
    noise[:, list(edit.units)] = 0.0
    assert torch.equal(edit.gate(x), edit.gate(x + 100 * noise)) and 0 < int(edit.gate(x).sum()) < 50
    tokens = torch.tensor(texts[1])
    plain, now = (m.run(tokens, read=HEADS, logits=1)["head.0"] for m in (model, model.edited(stack)))
    assert sorted((plain != now).flatten(0, 1).any(0).nonzero().flatten().tolist()) == list(edit.units)


def test_gates_of_one_layer_are_all_asked_before_anything_there_is_moved():
    model, texts, _ = in_head_2()
    (edit,) = probe_gated(model, texts, heads=True, sites=HEADS)
    tokens = torch.tensor(texts[1])
    plain, once, twice = (model.run(tokens, read=HEADS, edits=e)["head.0"] for e in ((), (edit,), (edit, edit)))
    fired = edit.gate(plain)
    assert bool(fired.any()) and not bool(edit.gate(once)[fired].any())  # the second would find its gate shut
    assert torch.allclose(twice - plain, 2 * (once - plain))


def test_by_default_all_heads_are_asked_and_thirty_steer():
    model = tiny_model("llama", num_hidden_layers=9)
    texts = [(3, 4), (5, 6), (7, 8)], [(4, 9), (6, 10), (8, 11)]
    stack = probe_gated(model, texts, heads=True, threshold=-1.0, probe="mean_difference")
    assert len(stack) == 30 and len(stack.about["left_out"]) == 9 * 4 - 30
    with pytest.warns(UserWarning, match=r"the best, at head.\d\[\d\]"):
        assert not len(probe_gated(model, texts, heads=True, threshold=1.0, probe="mean_difference"))


def test_heads_at_scale_0_leave_every_bit_and_a_saved_stack_steers_alike(tmp_path):
    model = model_of("llama")
    stack = probe_gated(model, TEXTS, heads=True, k=3, threshold=-1.0, steer=Steer(EVERY, scale=1.0))
    plain, moved, none = (m.run(TEXTS[1]).logits for m in (model, model.edited(stack), model.edited(stack.scaled(0.0))))
    assert torch.equal(plain, none) and not torch.equal(plain, moved)
    again = Stack.load(stack.save(tmp_path / "heads.safetensors"))
    assert torch.equal(model.edited(again).run(TEXTS[1]).logits, moved)


def test_errors_name_what_heads_there_are_and_how_many_to_take():
    model = model_of("llama")
    with pytest.raises(ValueError, match=r"attn.1 has no heads to choose among; .* 'head.3'"):
        probe_gated(model, TEXTS, heads=True, sites=["head.0", "attn.1"])
    with pytest.raises(ValueError, match="k=0: give the number of sites or heads"):
        probe_gated(model, TEXTS, k=0)
