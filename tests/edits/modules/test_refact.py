"""ReFACT's update: the subject gets its value in the encoder, and the encoder that was given stays."""

import pytest
import torch

from clew import Add, Stack
from clew.edits.modules._modules import inputs_of, linear_at
from clew.edits.modules.refact import edited, key_of, moment_of, refact
from tests.edits.modules.pictures import WIDE, bert, clip, draw, text_encoder

FC2 = "encoder.layers.1.mlp.fc2"
FACT = ("the old king was good", "old king")


def test_the_subject_gets_its_value_and_the_encoder_stays():
    encoder, tokenizer = text_encoder()
    value, ids = draw(WIDE), tokenizer(FACT[0], return_tensors="pt")["input_ids"]
    before = encoder(input_ids=ids).last_hidden_state
    stack = refact(encoder, *FACT, value, tokenizer=tokenizer, at=FC2)
    new = edited(encoder, stack)
    key = key_of(encoder, *FACT, tokenizer=tokenizer, at=FC2)
    assert torch.allclose(linear_at(new, FC2)(key), value, atol=1e-12) and stack[0].left.shape[1] == 1
    assert not torch.allclose(new(input_ids=ids).last_hidden_state[0, 3], before[0, 3], atol=1e-2)
    assert torch.equal(encoder(input_ids=ids).last_hidden_state, before)


def test_the_key_is_what_the_map_reads_at_the_last_token_of_the_subject():
    encoder, tokenizer = text_encoder()
    ids = tokenizer(FACT[0], return_tensors="pt")["input_ids"]
    read = inputs_of(encoder, FC2, lambda m: m(input_ids=ids))
    key = key_of(encoder, *FACT, tokenizer=tokenizer, at=FC2)
    assert torch.equal(read[0, 3], key)  # the start, the, old, king


def test_the_text_encoder_of_a_whole_clip_has_the_same_key():
    whole, tokenizer = clip()
    keys = [key_of(m, *FACT, tokenizer=tokenizer, at=at)
            for m, at in ((whole, f"text_model.{FC2}"), (whole.text_model, FC2))]  # fmt: skip
    assert torch.equal(*keys)


def test_the_moment_is_of_every_token_of_the_texts_and_of_no_padding():
    encoder, tokenizer = text_encoder()
    texts = ["the nurse said", "a man", FACT[0]]
    moment = moment_of(encoder, texts, tokenizer=tokenizer, at=FC2, batch=2)
    ids = [tokenizer(text, return_tensors="pt")["input_ids"] for text in texts]
    keys = torch.cat([inputs_of(encoder, FC2, lambda m, i=i: m(input_ids=i))[0] for i in ids])
    assert moment.samples == len(keys) == 3 + 2 + 5 + 3 * 2  # words, starts and ends
    assert torch.allclose(moment.gram, keys.T @ keys, atol=1e-12)
    assert moment.fourth == pytest.approx(float(keys.norm(dim=1).pow(4).sum()))


def test_a_short_text_is_read_as_if_alone_beside_a_long_one():
    (encoder, tokenizer), at = bert(), "encoder.layer.1.output.dense"
    of = lambda *texts: moment_of(encoder, texts, tokenizer=tokenizer, at=at)  # noqa: E731
    both, apart = of("a man", FACT[0]), of("a man") + of(FACT[0])
    assert torch.allclose(both.gram, apart.gram, rtol=1e-10, atol=1e-12) and both.samples == apart.samples


def test_moments_add_up_only_within_one_encoder():
    encoder, tokenizer = text_encoder()
    of = lambda module: moment_of(module, ["a man"], tokenizer=tokenizer, at=FC2)  # noqa: E731
    other = edited(encoder, refact(encoder, *FACT, draw(WIDE), tokenizer=tokenizer, at=FC2))
    assert (of(encoder) + of(text_encoder()[0])).samples == 8
    with pytest.raises(ValueError, match=r"of CLIPTextModel.* different maps \(other weights\)"):
        of(encoder) + of(other)


def test_what_it_cannot_do_is_refused():
    encoder, tokenizer = text_encoder()
    with pytest.raises(ValueError, match="'queen' is not in the prompt"):
        refact(encoder, FACT[0], "queen", draw(WIDE), tokenizer=tokenizer, at=FC2)
    with pytest.raises(ValueError, match="no linear map of this CLIPTextModel matches"):
        refact(encoder, *FACT, draw(WIDE), tokenizer=tokenizer, at="encoder.layers.1.mlp")
    with pytest.raises(ValueError, match="no texts"):
        moment_of(encoder, [], tokenizer=tokenizer, at=FC2)
    with pytest.raises(ValueError, match="is no update of a weight"):
        edited(encoder, Stack((Add("resid.0", vector=draw(WIDE)),)))
