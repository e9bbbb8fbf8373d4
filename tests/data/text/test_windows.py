"""Windows: how texts are cut, what counts, and that batches, parts and orders hold every window once."""

import inspect
from collections.abc import Iterator

import pytest
import torch
from tokenizers import processors

from clew.data.text.texts import windows as sentence_windows
from clew.data.text.windows import CLASSES, Windows, chats, cut, of_ids
from tests.models.tiny import word_tokenizer

TEXTS = [
    "the nurse said that she was not very good . The old king and the red queen said that he was good . "
    "The doctor said of the man ."
] * 3 + ["the queen said ."]
EOS = 1


def ids(text: str) -> list[int]:
    return word_tokenizer()(text)["input_ids"]


def lists(windows: Windows) -> list[list[int]]:
    return [row.tolist() for row in windows.ids]


def with_bos(adds: bool = True) -> object:
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<bos>"})
    if adds:
        only = [("<bos>", tokenizer.bos_token_id)]
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing("<bos> $A", special_tokens=only)
    return tokenizer


def test_sentences_are_cut_as_text_windows_cuts_them() -> None:
    by_hand = [row for row in sentence_windows(TEXTS * 50, ids, 8) if len(row) > 1]
    assert lists(cut(TEXTS * 50, word_tokenizer(), context=8)) == by_hand


def test_every_packing_by_hand() -> None:
    texts, tokenizer = ["the king was old . She", "a man"], word_tokenizer()
    the, king, was, old, dot, she, a, man = ids("the king was old . She a man")
    wanted = {
        "sentences": [[the, king, was, old], [a, man]],
        "documents": [[the, king, was, old], [dot, she], [a, man]],
        "blocks": [[the, king, was, old], [dot, she, EOS, a], [man, EOS]],
        "none": [[the, king, was, old], [a, man]],
    }
    for packing, rows in wanted.items():
        assert lists(cut(texts, tokenizer, context=4, packing=packing)) == rows, packing
    assert cut(texts, tokenizer, context=4, packing="blocks").document.tolist() == [0, 0, 1]


def test_bos_is_what_the_tokenizer_does_unless_said() -> None:
    tokenizer = with_bos()
    bos, the, king = tokenizer("the king")["input_ids"]
    assert bos == tokenizer.bos_token_id
    two = ["the king . The king"]
    assert lists(cut(two, tokenizer, context=3, packing="documents"))[:2] == [[bos, the, king], [bos, *ids(". The")]]
    for packing in ("sentences", "documents", "blocks", "none"):
        windows = cut(two, tokenizer, context=6, packing=packing)
        assert all(row.count(bos) == 1 and row[0] == bos for row in lists(windows)) and windows.policy["bos"]
        assert bos not in cut(two, tokenizer, context=6, packing=packing, bos=False).flat
        assert lists(cut(two, with_bos(adds=False), context=6, packing=packing, bos=True)) == lists(windows)


def test_what_counts() -> None:
    text, tokenizer = ["the king <eos> was old"], word_tokenizer()
    assert cut(text, tokenizer).keep[0].tolist() == [False, True, True, True, True]
    assert cut(text, tokenizer, skip=0, special="drop").keep[0].tolist() == [True, True, False, True, True]
    assert cut(text, tokenizer, skip=3).tokens == 2


def test_a_limit_ends_at_a_window_and_stops_the_reading() -> None:
    read = []

    def endless() -> Iterator[str]:
        while True:
            read.append(1)
            yield TEXTS[0]

    windows = cut(endless(), word_tokenizer(), context=8, limit=100)
    assert 100 <= windows.tokens < 107 and len(read) < 200
    whole = cut(TEXTS[:1] * 9, word_tokenizer(), context=8)
    assert lists(whole.first(100)) == lists(windows) == lists(whole)[: len(windows)]


def test_batches_hold_every_window_once_left_padded() -> None:
    windows = cut(TEXTS, word_tokenizer(), context=8)
    found = {}
    for batch in windows.batches(24):
        assert batch.ids.numel() <= 24 and not (batch.keep & ~batch.real).any()
        for row, i in enumerate(batch.index.tolist()):
            assert batch.real[row, -1] and not (batch.real[row, :-1] & ~batch.real[row, 1:]).any()
            found[i] = batch.ids[row][batch.real[row]].tolist()
            assert torch.equal(batch.keep[row][batch.real[row]], windows.keep[i])
            assert batch.document[row] == windows.document[i]
    assert [found[i] for i in range(len(windows))] == lists(windows)


def test_a_window_longer_than_a_batch_runs_alone() -> None:
    windows = cut(TEXTS, word_tokenizer(), context=8)
    assert [len(batch.ids) for batch in windows.batches(1)] == [1] * len(windows)


def test_shuffled_windows_are_the_same_windows() -> None:
    windows = cut(TEXTS, word_tokenizer(), context=8)
    mixed = windows.shuffled(1)
    assert lists(mixed) == lists(windows.shuffled(1)) != lists(windows)
    assert sorted(lists(mixed)) == sorted(lists(windows)) and mixed.tokens == windows.tokens
    assert mixed.policy["hash"] != windows.policy["hash"] and mixed.policy["shuffled"] == 1


def test_a_split_parts_documents() -> None:
    windows = cut(TEXTS, word_tokenizer(), context=8)
    one, two = windows.split(0.5, seed=3)
    assert len(one.document.unique()) == len(two.document.unique()) == 2
    assert not set(one.document.tolist()) & set(two.document.tolist())
    assert len(one) + len(two) == len(windows) and one.policy["hash"] != two.policy["hash"]
    with pytest.raises(ValueError, match=r"0.9 of 1 documents leaves one part empty"):
        cut(TEXTS[:1], word_tokenizer()).split(0.9)


def test_the_policy_tells_texts_and_cuts_apart() -> None:
    tokenizer = word_tokenizer()
    hashes = {
        cut(texts, tokenizer, **how).policy["hash"]
        for texts in (TEXTS, TEXTS[:2])
        for how in ({}, {"context": 8}, {"packing": "blocks"}, {"skip": 2})
    }
    assert len(hashes) == 8
    again = cut(iter(TEXTS), tokenizer).policy
    assert again == cut(TEXTS, tokenizer).policy and again["positions"] == cut(TEXTS, tokenizer).tokens


WRONG = {
    "there is no packing 'tight'; choose from sentences": {"packing": "tight"},
    "has no beginning-of-text token": {"bos": True},
    "either 'keep' or 'drop'": {"special": "maybe"},
    "context=3 leaves no position that counts": {"context": 3, "skip": 3},
    "nothing to record": {"skip": 60},
}


@pytest.mark.parametrize("said", WRONG)
def test_what_cannot_be_cut(said: str) -> None:
    with pytest.raises(ValueError, match=said):
        # beartype would be first to complain about a wrong word, in other words than a user sees
        inspect.unwrap(cut)(TEXTS, word_tokenizer(), **WRONG[said])


def test_a_chat_among_texts_is_text() -> None:
    windows = cut(iter(["the king", TALK[:1]]), chatty(), packing="documents")
    assert lists(windows) == [ids("the king"), ids(", very good <eos>")]
    with pytest.raises(ValueError, match="this tokenizer has no chat template"):
        cut(["the king", TALK], word_tokenizer())
    with pytest.raises(ValueError, match="text 1 is no text but 5"):
        cut(["the king", 5], word_tokenizer())


def test_blocks_need_an_end_of_text_token() -> None:
    tokenizer = word_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="which this tokenizer does not have; use 'documents'"):
        cut(TEXTS, tokenizer, packing="blocks")


TALK = [
    {"role": "system", "content": "very good"},
    {"role": "user", "content": "the old king"},
    {"role": "assistant", "content": "he <eos> said"},
]


def chatty() -> object:
    tokenizer = word_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}, {{ m.content }} <eos> {% endfor %}"
    return tokenizer


def test_a_chat_is_one_window_and_every_token_has_a_class() -> None:
    windows = chats([TALK, TALK[1:]], chatty())
    assert lists(windows)[0] == ids(", very good <eos> , the old king <eos> , he <eos> said <eos>")
    names = [CLASSES[c] for c in windows.classes[0]]
    u, a, o, s = "user", "assistant", "other", "special"
    assert names == [s, o, o, s, s, u, u, u, s, s, a, s, a, s]
    assert len(windows) == 2 and windows.tokens == 13 + 9


def test_roles_choose_what_counts() -> None:
    windows = chats([TALK], chatty(), roles=["assistant"])
    assert windows.flat[windows.kept].tolist() == ids("he said")
    assert chats([TALK], chatty(), roles=("user", "assistant")).tokens == 5
    with pytest.raises(ValueError, match="choose from special, user, assistant, other"):
        chats([TALK], chatty(), roles=["teacher"])


def test_a_chat_beyond_the_context_is_cut_off_and_counted() -> None:
    windows = chats([TALK, TALK[:1]], chatty(), context=6)
    assert [len(row) for row in windows.ids] == [6, 4] and windows.policy["cut off"] == 1


def test_classes_travel_with_their_tokens() -> None:
    windows = chats([TALK, TALK[1:], TALK[:1]], chatty()).shuffled(2)
    for batch in windows.batches(20):
        for row, i in enumerate(batch.index.tolist()):
            assert torch.equal(batch.classes[row][batch.real[row]], windows.classes[i].long())
            assert (batch.classes[row][~batch.real[row]] == -1).all()
    for tokens, classes in zip(windows.ids, windows.classes, strict=True):
        assert (classes[tokens == EOS] == 0).all() and (classes[tokens == ids("king")[0]] == 1).all()


def test_rows_of_ids_are_windows_as_they_are() -> None:
    rows = [[5, 6, 7], [8], [9, 2**62 + 3]]
    windows = of_ids(rows)
    assert lists(windows) == rows and windows.tokens == 6 and windows.document.tolist() == [0, 1, 2]
    (left,), (right,) = windows.batches(), windows.batches(left=False)
    assert left.ids.tolist() == [[5, 6, 7], [0, 9, 2**62 + 3], [0, 0, 8]]
    assert right.ids.tolist() == [[5, 6, 7], [9, 2**62 + 3, 0], [8, 0, 0]]
    assert torch.equal(right.real, right.keep) and right.real.sum(1).tolist() == [3, 2, 1]
    assert lists(of_ids(rows, skip=1, limit=2)) == [[5, 6, 7]]
    with pytest.raises(ValueError, match="nothing to record"):
        of_ids([[5]], skip=1)
