"""Codes as what fires in them: the same algebra as of all units, and never more of them at once than there is room for."""

import pytest
import torch

from clew.dictionaries import AbsTopK, Gated, Identity, JumpReLU, ReLU, TopAFA, TopK, sparse
from clew.dictionaries.sparse import Sparse, encode, is_wide, pull, pull_back, write
from tests.planted import random_dictionary

D = 8


@pytest.mark.parametrize("kind", [ReLU, JumpReLU, TopK, AbsTopK])
def test_what_fires_decodes_and_is_pulled_as_the_whole_code_is(kind, monkeypatch):
    monkeypatch.setattr(sparse, "NUMBERS", 45)  # two tokens at a time
    monkeypatch.setattr(sparse, "GATHERED", 24)  # three rows at a time
    dictionary = random_dictionary("resid.0", D, kind)
    x, grad = torch.randn(2, 7, D, dtype=torch.float64)
    dense, code = dictionary.encode(x), encode(dictionary, x)
    assert torch.allclose(code.dense(), dense, atol=1e-12) and len(code.key) == int((dense != 0).sum())
    assert torch.allclose(write(dictionary, code), dictionary.write(dense), atol=1e-12)
    assert torch.allclose(pull(dictionary, grad, code), dictionary.pull(grad)[code.row, code.unit], atol=1e-12)


@pytest.mark.parametrize("kind", [ReLU, JumpReLU, TopK, AbsTopK, Gated, TopAFA])
def test_gradients_go_back_through_what_fires(kind, monkeypatch):
    monkeypatch.setattr(sparse, "GATHERED", 24)
    dictionary = random_dictionary("resid.0", D, kind)
    x, grad = torch.randn(2, 7, D, dtype=torch.float64)
    code = encode(dictionary, x)
    x.requires_grad_()
    (wanted,) = torch.autograd.grad((dictionary.write(dictionary.encode(x)) * grad).sum(), x)
    assert torch.allclose(pull_back(dictionary, code, grad), wanted, atol=1e-12) and wanted.any()


def test_rows_in_which_nothing_fires_write_nothing():
    dictionary = random_dictionary("resid.0", D)
    code = Sparse(torch.tensor([25]), torch.tensor([2.0]).double(), 3, 20)
    wanted = torch.stack([torch.zeros(D).double(), 2 * dictionary.W_dec[5], torch.zeros(D).double()])
    assert torch.allclose(write(dictionary, code), wanted)
    nothing = Sparse(code.key[:0], code.value[:0], 3, 20)
    assert not write(dictionary, nothing).any() and not nothing.columns(torch.tensor([1, 2])).any()
    assert not len(pull(dictionary, wanted, nothing))


def test_sums_rows_groups_and_columns_are_those_of_the_table():
    a, b = torch.zeros(2, 4, 6).masked_fill_(torch.rand(2, 4, 6, generator=torch.manual_seed(0)) > 0.5, 1.0)
    one, two = (Sparse(t.flatten().nonzero()[:, 0], t[t != 0], 4, 6) for t in (a, b))
    assert torch.equal((one + two).dense(), a + b)
    group = torch.tensor([1, 0, 1, 1])
    assert torch.equal(one.grouped(group, 2).dense(), torch.zeros(2, 6).index_add(0, group, a))
    assert one.grouped(group, 2, units=7).dense().shape == (2, 7)
    picked = torch.tensor([5, 0])
    assert torch.equal(one.columns(picked), a[:, picked])
    rows = torch.tensor([3, 1, 1])
    assert torch.equal(one.take(rows).dense(), a[rows]) and not len(one.take(rows[:0]).key)
    assert torch.equal(one.of(rows, picked[0]), a[rows, 5])
    unit, value = one.at(2)
    assert torch.equal(unit, a[2].nonzero()[:, 0]) and torch.equal(value, a[2][unit])


def test_wide_is_what_has_many_units_with_a_row_each(monkeypatch):
    assert not is_wide(random_dictionary("resid.0", D))
    monkeypatch.setattr(sparse, "WIDE", 8)
    assert is_wide(random_dictionary("resid.0", D))
    assert not is_wide(random_dictionary("resid.0", D).bfloat16())
    assert not is_wide(Identity("resid.0", D))
