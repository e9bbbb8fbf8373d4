import pytest
import torch

from clew.training.objectives.atoms import atoms, whitening
from tests.training.planted_rows import rows


def test_the_metric_of_two_coordinates_by_hand():
    x = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    # E[x x^T] is diag(2, 1/2), of mean 1.25; a ridge of 0.4 adds 0.5.
    torch.testing.assert_close(whitening(x, 0.4), torch.diag(torch.tensor([1 / 2.5, 1.0], dtype=torch.float64)))


def test_a_direction_reads_one_on_itself_and_no_other_such_reading_is_disturbed_less():
    x = rows(2000)[0].double() @ torch.diag(torch.linspace(0.2, 3, 12, dtype=torch.float64))
    fit = atoms(units=24, l0=2.0, ridge=1e-9)
    fit.start(x, x, torch.Generator().manual_seed(0))
    read, D = fit.matrices["W_enc"], fit.matrices["W_dec"]
    torch.testing.assert_close((read * D).sum(1), torch.ones(24, dtype=torch.float64))
    other = torch.randn(24, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    other = read + 0.1 * (other - (other * D).sum(1, keepdim=True) * D)
    assert ((x @ read.T).square().mean(0) < (x @ other.T).square().mean(0)).all()


def test_a_ridge_of_nothing_is_refused():
    with pytest.raises(ValueError, match="ridge is 0.0; it must be above 0"):
        atoms(units=24, l0=2.0, ridge=0.0)
