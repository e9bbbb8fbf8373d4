import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clew.data.behaviours.pairs import Pair, encode
from clew.data.facts.facts import answer_ids
from clew.data.facts.spans import last_of
from clew.data.text.windows import chats, cut
from clew.models.body import Body
from clew.models.tokens import by_length, check_ids, ids_of, listed, padded, rows_of, text_of
from clew.readings.states import states
from clew.readings.store import record
from clew.sites import Site
from tests.models.tiny import TALK, chatting, chatting_tokenizer, model_of, module_of, word_tokenizer

ROWS = st.lists(st.lists(st.integers(1, 96), min_size=1, max_size=9), min_size=1, max_size=9)


def test_a_text_is_what_the_tokenizer_makes_of_it_and_ids_stay_as_they_are():
    tokenizer = word_tokenizer()
    assert ids_of(tokenizer, "the king") == tokenizer("the king")["input_ids"]
    assert ids_of(tokenizer, (7, 8)) == [7, 8]


def test_a_prompt_without_a_token_is_refused():
    with pytest.raises(ValueError, match=r"the prompt \(''\) has no tokens"):
        ids_of(word_tokenizer(), "")


@pytest.mark.parametrize("adds", [True, False])
@pytest.mark.parametrize("writes", [True, False])
def test_a_text_starts_once_at_every_door(adds, writes, tmp_path):
    model = chatting(adds, writes)
    tokenizer, bos = model.tokenizer, model.tokenizer.bos_token_id
    text = text_of(tokenizer, TALK)
    assert text == ("<bos>" if writes else "") + " , the old king <eos> ."
    wanted = [bos] * (adds or writes) + ids_of(word_tokenizer(), ", the old king <eos> .")
    assert ids_of(tokenizer, text) == ids_of(tokenizer, TALK) == wanted
    for prompt in (text, TALK, wanted, [TALK], [text], [wanted], torch.tensor([wanted])):
        assert model.run(prompt, logits=1).tokens.tolist() == [wanted]
        assert model.generate(prompt, max_new_tokens=1).tokens[0, :-1].tolist() == wanted
    for prompt in (text, TALK):
        (pair,) = encode(model, [Pair(prompt, None, (" he",))])
        assert pair.clean == wanted and pair.answers == word_tokenizer()("he")["input_ids"]
        assert answer_ids(tokenizer, prompt, "he")[0] == wanted
        held, alone = (states(model, [one], ["resid.1"])[Site("resid", 1)] for one in (prompt, wanted))
        assert torch.equal(held, alone)
    assert last_of(tokenizer, text, "king") == wanted.index(ids_of(word_tokenizer(), "king")[0])
    said = wanted[:-1]  # a conversation that is read whole opens no further turn
    for packing in ("sentences", "documents", "none"):
        assert cut([text], tokenizer, packing=packing).flat.tolist() == wanted
        assert cut([TALK], tokenizer, packing=packing).flat.tolist() == said
    assert chats([TALK], tokenizer).flat.tolist() == said
    recorded = record(model, [TALK, text], sites=["resid.1"], to=tmp_path)
    assert recorded.tokens.tolist() == said[1:] + wanted[1:]


def test_a_chat_that_ends_in_the_assistants_words_goes_on_there():
    talk = [*TALK, {"role": "assistant", "content": "he said"}]
    assert text_of(chatting_tokenizer(), talk) == "<bos> , the old king <eos> , he said"


def test_one_prompt_and_several_are_told_apart():
    assert listed([TALK, "the king", (5, 6)]) == [*listed(TALK), "the king", (5, 6)]
    assert rows_of(model_of(), ["the", (5, 6)]) == [ids_of(word_tokenizer(), "the"), [5, 6]]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ([5, -1], "the prompt holds -1; token ids are whole numbers from 0 on"),
        ([5, 6.0], "the prompt holds 6.0; token ids"),
        ([5, True], "the prompt holds True; token ids"),
        ([{"role": "user"}], 'which is no message {"role": ..., "content": text}'),
        ([{"role": "user", "content": "a", "name": "b"}], "which is no message"),
        (TALK, "this tokenizer has no chat template"),
    ],
)
def test_what_is_no_prompt_is_refused(prompt, words):
    with pytest.raises(ValueError, match=words):
        ids_of(word_tokenizer(), prompt)


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom"])
def test_ids_that_the_model_does_not_know_are_refused(family):
    model = model_of(family)
    said = f"1 of 4 token ids are not among those of tiny {family}, 0 to 96; the first is 97, at position 1 of prompt 1"
    for tokens in (torch.tensor([[3, 4], [5, 97]]), [[3, 4], [5, 97]]):
        for door in (model.run, model.generate, model.tokens):
            with pytest.raises(ValueError, match=said):
                door(tokens)
    with pytest.raises(ValueError, match="the first is -2, at position 0 of prompt 0"):
        model.run(torch.tensor([[-2, 4]]))
    for strange in (torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 3), torch.ones(3, dtype=torch.long)):
        with pytest.raises(ValueError, match="tokens must be ids"):
            check_ids(strange, 97, "a model")
    asked, answered = encode(model, [Pair((3, 97), None, (4,)), Pair((3, 4), None, (97,))])
    assert "a token id is not one of the model's: 97 in [3, 97]" in str(asked)
    assert "an answer is not a token id of the model: 97" in str(answered)


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "gpt2"])
def test_prompts_longer_than_the_model_is_made_for_are_refused(family, tmp_path):
    model, long = model_of(family), torch.full((2, 65), 5)
    with pytest.raises(
        ValueError, match="2 of 2 prompts are longer than the 64 tokens that .* is made for; prompt 0 has 65"
    ):
        model.run(long, logits=1)
    real = torch.ones_like(long, dtype=torch.bool)
    real[0, :1] = False
    with pytest.raises(ValueError, match="1 of 2 prompts .* prompt 1 has 65"):
        model.run(long, real=real, logits=1)
    with pytest.raises(ValueError, match="prompt 0 has 65"):
        model.generate(long[:1, :60], max_new_tokens=5)
    assert model.generate(long[:1, :60], max_new_tokens=4).tokens.shape[1] <= 64
    windows = cut(["the old king said that " * 30], model.tokenizer, context=100, packing="documents")
    with pytest.raises(ValueError, match="1 of 2 prompts are longer than the 64 tokens .*; prompt 0 has 100"):
        record(model, windows, sites=["resid.1"], to=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_stretched_rotation_reaches_as_far_as_it_says():
    module = module_of()
    body = Body(module, None, "stretched")
    assert body.context == 64 and model_of("bloom").body.context is None
    module.config.rope_parameters = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    assert body.context == 256


@given(ROWS)
def test_padding_stands_on_the_left_and_takes_nothing_away(rows):
    ids, real = padded(rows)
    assert [ids[i][real[i]].tolist() for i in range(len(rows))] == rows
    assert not bool(ids[~real].any())
    assert bool((real.int().diff(dim=1) >= 0).all()) and bool(real[:, -1].all())


@given(ROWS)
def test_every_row_is_in_the_group_of_its_length(rows):
    groups = by_length(rows)
    assert sorted(i for _, index in groups for i in index) == list(range(len(rows)))
    assert all(len(rows[i]) == length for length, index in groups for i in index)
    assert [length for length, _ in groups] == sorted({len(row) for row in rows})
    assert torch.tensor([rows[i] for i in groups[0][1]]).shape == (len(groups[0][1]), groups[0][0])
