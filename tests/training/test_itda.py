import pytest
import torch

from clew.training.itda import SAME, itda


@pytest.fixture
def x():
    return torch.randn(4000, 16, generator=torch.Generator().manual_seed(0)) @ torch.randn(
        16, 16, generator=torch.Generator().manual_seed(1)
    )


def test_atoms_are_centred_activations_of_length_one(x):
    made = itda(x, reads="resid.1", units=64, k=4, steps=7)
    rows = torch.nn.functional.normalize(x - made.b_dec, dim=1)
    assert made.atoms.shape == (64, 16)
    assert (made.atoms @ rows.T).max(dim=1).values.min() > 0.9999


def test_no_two_atoms_of_a_repeated_text_are_alike(x):
    made = itda(x[:100].repeat(40, 1), reads="resid.1", units=80, k=4, steps=7)
    alike = (made.atoms @ made.atoms.T).abs() - torch.eye(made.n_units)
    assert made.n_units > 60 and alike.max() <= SAME + 1e-4


def test_rare_directions_become_atoms():
    g = torch.Generator().manual_seed(3)
    common, rare = torch.randn(4, 64, generator=g), torch.randn(20, 64, generator=g)
    rows = torch.cat([common.repeat(500, 1), rare])
    rows = rows[torch.randperm(len(rows), generator=g)] + 0.01 * torch.randn(len(rows), 64, generator=g)
    made = itda(rows, reads="resid.1", units=80, k=1, steps=16, batch=252)
    left = (made.reconstruct(rare) - rare).norm(dim=1) / (rare - made.b_dec).norm(dim=1)
    assert (left < 0.1).float().mean() > 0.9


def test_a_size_that_cannot_be_is_refused(x):
    with pytest.raises(ValueError, match="k is 9"):
        itda(x, reads="resid.1", units=8, k=9, steps=1)
