"""Windows of random texts: nothing is lost or doubled, no text runs into another, every batch is padded on the left."""

from functools import cache

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from clew.data.text.texts import sentences
from clew.data.text.windows import Windows, cut
from tests.models.tiny import WORDS, word_tokenizer

EOS = 1
TEXTS = st.lists(st.lists(st.sampled_from([*WORDS, ". The", ". A"]), max_size=14).map(" ".join), min_size=1, max_size=5)
tokenizer = cache(word_tokenizer)


def ids(text: str) -> list[int]:
    return tokenizer()(text)["input_ids"] if text else []


def pieces(row: list[int], size: int) -> list[list[int]]:
    return [row[i : i + size] for i in range(0, len(row), size)]


def by_hand(texts: list[str], packing: str, context: int) -> list[tuple[int, list[int]]]:
    """The windows of each text and its number, written the short way."""
    if packing == "blocks":
        owned = [(i, token) for i, text in enumerate(texts) for token in [*ids(text), EOS]]
        return [(block[0][0], [token for _, token in block]) for block in pieces(owned, context)]
    rows = [(i, ids(text)) for i, text in enumerate(texts)]
    if packing == "none":
        return [(i, row[:context]) for i, row in rows if row]
    return [(i, piece) for i, row in rows for piece in pieces(row, context)]


@given(TEXTS, st.sampled_from(["documents", "blocks", "none"]), st.integers(1, 6), st.integers(0, 3))
def test_every_token_stands_in_one_window_of_its_text(texts, packing, context, skip):
    assume(skip < context)
    wanted = [(i, row) for i, row in by_hand(texts, packing, context) if len(row) > skip]
    if not wanted:
        with pytest.raises(ValueError, match="nothing to record"):
            cut(texts, tokenizer(), context=context, packing=packing, skip=skip)
        return
    found = cut(texts, tokenizer(), context=context, packing=packing, skip=skip)
    assert [(int(i), row.tolist()) for i, row in zip(found.document, found.ids, strict=True)] == wanted
    assert [keep.tolist() for keep in found.keep] == [[False] * skip + [True] * (len(r) - skip) for _, r in wanted]


@given(TEXTS)
def test_sentences_that_fit_are_kept_whole_and_in_order(texts):
    assume(any(ids(text) for text in texts))
    context = max(len(ids(s)) for text in texts for s in sentences(text))
    found = cut(texts, tokenizer(), context=context, skip=0)
    assert all(len(row) <= context for row in found.ids)
    for i, text in enumerate(texts):
        rows = [row.tolist() for row, document in zip(found.ids, found.document, strict=True) if document == i]
        assert [token for row in rows for token in row] == ids(text)
        starts = [sum(map(len, rows[:n])) for n in range(len(rows))]
        whole = [len(ids(s)) for s in sentences(text)]
        assert set(starts) <= {sum(whole[:n]) for n in range(len(whole))}


def windows(texts: list[str], context: int) -> Windows:
    assume(any(ids(text) for text in texts))
    return cut(texts, tokenizer(), context=context, packing="documents", skip=0)


@given(TEXTS, st.integers(2, 6), st.integers(1, 30))
def test_batches_hold_every_window_once_with_its_padding_on_the_left(texts, context, tokens):
    whole, met = windows(texts, context), []
    for batch in whole.batches(tokens):
        met += batch.index.tolist()
        assert batch.real.numel() <= max(tokens, batch.real.shape[1])
        assert bool((batch.real.long().diff(dim=1) >= 0).all()) and bool(batch.real[:, -1].all())
        assert not bool((batch.keep & ~batch.real).any()) and not bool(batch.ids[~batch.real].any())
        for row, i in enumerate(batch.index.tolist()):
            assert torch.equal(batch.ids[row][batch.real[row]], whole.ids[i].long())
            assert torch.equal(batch.keep[row][batch.real[row]], whole.keep[i])
            assert batch.document[row] == whole.document[i]
    assert sorted(met) == list(range(len(whole)))


def contents(some: Windows) -> list[tuple[int, tuple[int, ...]]]:
    return [(int(i), tuple(row.tolist())) for i, row in zip(some.document, some.ids, strict=True)]


@given(TEXTS, st.integers(2, 6), st.integers(0, 99))
def test_an_order_is_a_permutation_and_parts_share_no_text(texts, context, seed):
    whole = windows(texts, context)
    assert sorted(contents(whole.shuffled(seed))) == sorted(contents(whole))
    assume(len(whole.document.unique()) > 1)
    one, two = whole.split(0.5, seed)
    assert sorted(contents(one) + contents(two)) == sorted(contents(whole))
    assert not {i for i, _ in contents(one)} & {i for i, _ in contents(two)}


@given(TEXTS, st.integers(2, 6), st.integers(1, 12))
def test_the_first_windows_are_as_few_as_reach_the_number(texts, context, tokens):
    whole = windows(texts, context)
    first = whole.first(tokens)
    assert contents(first) == contents(whole)[: len(first)]
    assert first.tokens >= min(tokens, whole.tokens)
    assert first.tokens - int(first.kept_lengths[-1]) < tokens
