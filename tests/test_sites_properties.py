"""Positions by meaning, beside an oracle that walks over every cell."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from clew.sites import Where


@st.composite
def batches(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Left padded rows of tokens 0 to 3 and how many columns are the prompt; no row's prompt is empty."""
    seq = draw(st.integers(1, 7))
    prompt = draw(st.integers(1, seq))
    pads = draw(st.lists(st.integers(0, prompt - 1), min_size=1, max_size=3))
    tokens = [draw(st.lists(st.integers(0, 3), min_size=seq, max_size=seq)) for _ in pads]
    real = torch.arange(seq)[None] >= torch.tensor(pads)[:, None]
    return torch.tensor(tokens), real, prompt


IDS = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple)
WHERES = (
    st.sampled_from(["every", "prompt", "response", "answer"]).map(Where)
    | st.builds(Where, st.sampled_from(["token", "phrase", "phrase_end"]), IDS)
    | st.lists(st.integers(-9, 9), min_size=1, max_size=3).map(lambda at: Where.at(*at))
)


def meant(where: Where, row: list[int], pad: int, prompt: int) -> set[int]:
    """The columns of one row that `where` means, by the words of its docstring."""
    real = range(pad, len(row))
    if where.kind == "position":
        wanted = {pad + v if v >= 0 else prompt + v for v in where.values}
        return wanted & set(real)
    if where.kind in ("phrase", "phrase_end"):
        n = len(where.values)
        last = prompt if where.kind == "phrase" else len(row)
        runs = [range(i, i + n) for i in range(pad, last - n + 1) if tuple(row[i : i + n]) == where.values]
        return {i for run in runs for i in (run if where.kind == "phrase" else run[-1:])}
    tests = {
        "every": lambda i: True,
        "prompt": lambda i: i < prompt,
        "response": lambda i: i >= prompt,
        "answer": lambda i: i >= prompt - 1,
        "token": lambda i: row[i] in where.values,
    }
    return {i for i in real if tests[where.kind](i)}


@given(batches(), WHERES)
def test_the_mask_is_that_of_an_oracle(batch, where):
    tokens, real, prompt = batch
    mask = where.mask(tokens, real, prompt)
    for row, on, there in zip(tokens.tolist(), mask, real, strict=True):
        pad = int((~there).sum())
        assert set(on.nonzero()[:, 0].tolist()) == meant(where, row, pad, prompt)


@given(batches(), WHERES)
def test_padding_is_never_meant_and_what_stands_in_it_changes_nothing(batch, where):
    tokens, real, prompt = batch
    mask = where.mask(tokens, real, prompt)
    assert mask.shape == tokens.shape and not bool((mask & ~real).any())
    assert torch.equal(mask, where.mask(tokens.where(real, 2), real, prompt))


@given(batches(), st.integers(-9, 9))
def test_an_index_means_one_position_of_a_row_or_none_where_it_is_out_of_range(batch, at):
    tokens, real, prompt = batch
    found = Where.at(at).mask(tokens, real, prompt).sum(1)
    long, asked = real.sum(1), real[:, :prompt].sum(1)
    assert torch.equal(found, ((at < long) if at >= 0 else (-at <= asked)).long())
