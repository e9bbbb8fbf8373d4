"""UCE: what is met, what is kept, and by which maps, in a whole painter and by hand."""

import pytest
import torch

from clew.edits.modules.uce import concept, edited, uce
from clew.models import EditDidNotFire
from tests.edits.modules.pictures import F64, WIDE, Joint, Painter, t5, text_encoder

BLOCKS = [f"down_blocks.{i}.attentions.0.transformer_blocks.0" for i in range(2)]


def test_one_concept_to_keep_is_not_read_letter_by_letter():
    with pytest.raises(ValueError, match="letter by letter; give a list of concepts"):
        uce(Painter(), {}, retain="monet", encoder=Painter(), tokenizer=None)


def test_a_painter_sees_the_guide_in_the_erased_concept_and_the_kept_as_ever():
    (encoder, tokenizer), painter = text_encoder(), Painter()
    stack = uce(
        painter, {"the nurse": "the doctor"}, encoder=encoder, tokenizer=tokenizer, retain=["queen"], strength=1e-9
    )
    new = edited(painter, stack)
    nurse, doctor, queen = concept(encoder, tokenizer, ["the nurse", "the doctor", "queen"])[:, None]
    assert torch.allclose(new(nurse), painter(doctor), atol=1e-6)
    assert torch.allclose(new(queen), painter(queen), atol=1e-6)
    assert not torch.allclose(painter(nurse), painter(doctor), atol=1e-2)


def test_only_the_maps_that_read_the_text_are_changed():
    (encoder, tokenizer), painter = text_encoder(), Painter()
    stack = uce(painter, {"the nurse": "the doctor"}, encoder=encoder, tokenizer=tokenizer)
    assert [str(u.at) for u in stack] == [f"{block}.attn2.to_{x}" for block in BLOCKS for x in "kv"]
    old, new = (dict(m.named_parameters()) for m in (painter, edited(painter, stack)))
    moved = [name for name in old if old[name].data_ptr() != new[name].data_ptr()]
    assert moved == [f"{u.at}.weight" for u in stack]


def test_one_map_is_enough_where_one_reads_the_text_and_the_encoder_is_a_t5():
    (encoder, tokenizer), joint = t5(), Joint()
    stack = uce(joint, {"the nurse": "the doctor"}, encoder=encoder, tokenizer=tokenizer, retain=["queen"],
                maps="^context_embedder$", strength=1e-9)  # fmt: skip
    new = edited(joint, stack)
    nurse, doctor, queen = concept(encoder, tokenizer, ["the nurse", "the doctor", "queen"])[:, None]
    assert len(stack) == 1 and torch.allclose(new(nurse), joint(doctor), atol=1e-6)
    assert torch.allclose(new(queen), joint(queen), atol=1e-6)


def test_a_concept_is_the_last_word_before_the_end():
    encoder, tokenizer = text_encoder()
    ids = tokenizer("the old king", return_tensors="pt")["input_ids"]
    states = encoder(input_ids=ids).last_hidden_state[0]
    assert torch.allclose(concept(encoder, tokenizer, ["queen", "the old king"])[1], states[3], atol=1e-12)


def test_by_hand_with_its_weights():
    (encoder, tokenizer), painter = text_encoder(), Painter()
    W = painter.get_submodule(f"{BLOCKS[0]}.attn2.to_k").weight.detach()
    stack = uce(painter, {"the nurse": "the doctor"}, encoder=encoder, tokenizer=tokenizer, retain=["the queen"],
                erase_scale=2.0, keep_scale=3.0)  # fmt: skip
    nurse, doctor, queen = concept(encoder, tokenizer, ["the nurse", "the doctor", "the queen"])
    values = 0.5 * W + 2 * torch.outer(W @ doctor, nurse) + 3 * torch.outer(W @ queen, queen)
    keys = 0.5 * torch.eye(WIDE, dtype=F64) + 2 * torch.outer(nurse, nurse) + 3 * torch.outer(queen, queen)
    assert torch.allclose(stack[0](W), values @ torch.linalg.inv(keys), atol=1e-10)


@pytest.mark.parametrize(("concepts", "keep"), [({}, ["the queen", "a man"]), ({"a man": "a man"}, [])])
def test_only_to_preserve_or_to_guide_to_itself_changes_nothing(concepts, keep):
    encoder, tokenizer = text_encoder()
    stack = uce(Painter(), concepts, encoder=encoder, tokenizer=tokenizer, retain=keep)
    assert all(float(update.change.abs().max()) < 1e-14 for update in stack)


def test_what_it_cannot_do_is_refused():
    (encoder, tokenizer), painter = text_encoder(), Painter()
    say = {"encoder": encoder, "tokenizer": tokenizer}
    with pytest.raises(ValueError, match=r"no linear map of this Painter matches 'attn3'"):
        uce(painter, {"a man": "a king"}, maps="attn3", **say)
    with pytest.raises(ValueError, match=r"attn1.to_q reads 12 numbers, but the text is 32 wide"):
        uce(painter, {"a man": "a king"}, maps="attn1", **say)
    with pytest.raises(ValueError, match="at least one concept"):
        uce(painter, {}, **say)
    with pytest.raises(ValueError, match=r"erase_scale=0.0 .* must be above 0"):
        uce(painter, {"a man": "a king"}, erase_scale=0.0, **say)
    endless, words = t5()
    words.model_max_length = int(1e30)
    with pytest.raises(ValueError, match=r"neither this T5EncoderModel .* set tokenizer.model_max_length"):
        concept(endless, words, ["a man"])
    with pytest.raises(EditDidNotFire, match="changes no bit"):
        edited(painter.float(), uce(painter, {"a man": "a man"}, **say))


def test_an_encoder_in_training_is_read_without_dropout_and_stays_in_training():
    encoder, tokenizer = text_encoder()
    at_rest = concept(encoder, tokenizer, ["the nurse"])
    encoder.train()
    assert torch.equal(concept(encoder, tokenizer, ["the nurse"]), at_rest) and encoder.training
