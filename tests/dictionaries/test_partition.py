import pytest
import torch

from clew.dictionaries import Partition


def test_fold_sums_the_groups_and_unfold_repeats():
    heads = Partition("head.0", (2, 1, 3))
    assert (heads.n_units, heads.d_in, heads.exact) == (3, 6, True)
    assert heads.fold(torch.tensor([[1.0, 2, 4, 8, 16, 32]])).tolist() == [[3, 4, 56]]
    assert heads.unfold(torch.tensor([[1.0, 2, 3]])).tolist() == [[1, 1, 2, 3, 3, 3]]


def test_fold_is_the_transpose_of_unfold(x):
    heads, unit = Partition("head.0", (1, 3)), torch.randn(50, 2, dtype=torch.float64)
    torch.testing.assert_close((heads.fold(x) * unit).sum(), (x * heads.unfold(unit)).sum())


def test_an_empty_group_is_refused():
    with pytest.raises(ValueError, match="at least one coordinate"):
        Partition("head.0", (2, 0))
