"""geometry: directions whose coherence is known by hand, and what theorems promise of any."""

import numpy as np
import pytest
import torch
from torch import Tensor

from clew.data.text.windows import of_ids
from clew.dictionaries import Identity, Partition, ReLU
from clew.measures.dictionaries import _cosines
from clew.measures.dictionaries._cosines import coherence
from clew.measures.dictionaries._kept import kept
from clew.measures.dictionaries.geometry import geometry
from tests.measures.dictionaries.planted_dictionaries import SITE, model, row, text, values
from tests.models.others import other
from tests.planted import random_dictionary


def always(rows: Tensor, on: int) -> ReLU:
    """A dictionary of these directions of which the first `on` are 1 at every position."""
    rows = rows.double()
    bias = (torch.arange(len(rows)) < on).double()
    d = rows.shape[1]
    zeros = torch.zeros(d, len(rows), dtype=torch.float64)
    return ReLU(SITE, W_enc=zeros, b_enc=bias, W_dec=rows, b_dec=zeros[:, 0], centred=False)


def three() -> Tensor:
    """Two axes and their diagonal, of unlike lengths: |cos| is 0, 0.707 and 0.707."""
    rows = torch.zeros(3, 32)
    rows[0, 0], rows[1, 1], rows[2, :2] = 2, 3, 5
    return rows


def test_three_directions_by_hand() -> None:
    report = geometry(model(), text(), always(three(), on=2))
    assert row(report, "coherence", "plain").value == pytest.approx(0.5**0.5)
    assert row(report, "mean max cosine", "plain").value == pytest.approx(0.5**0.5)
    assert row(report, "q*", "plain").value == pytest.approx(
        1 / 3, abs=1e-4
    )  # one pair of three is below 1 / (2*2 - 1)
    assert row(report, "unique", "plain").value == 0
    assert row(report, "isometry", "plain").value == pytest.approx(0)  # the two that are on are at right angles
    assert report["norm ratio"].value == pytest.approx(1)


def test_one_active_unit_is_always_unique() -> None:
    report = geometry(model(), text(), always(three(), on=1))
    assert row(report, "q*", "plain").value == row(report, "unique", "plain").value == 1


def test_two_alike_units_double_the_norm() -> None:
    rows = torch.zeros(3, 32)
    rows[:2, 0] = rows[2, 1] = 1
    report = geometry(model(), text(), always(rows, on=2))
    assert report["norm ratio"].value == pytest.approx(0.5)  # ||f||² is 2, ||z||² is 4
    assert row(report, "isometry", "plain").value == pytest.approx(1)
    assert report["epsilon at least"].value == pytest.approx(1)


def test_orthonormal_directions_are_ideal() -> None:
    report = geometry(model(), text(), Identity(SITE, 32))
    assert row(report, "coherence", "plain").value == row(report, "isometry", "plain").value == 0
    assert row(report, "q*", "plain").value == row(report, "unique", "plain").value == 1
    assert row(report, "bounded above", "epsilon: coherence").value == 1


def test_the_atomic_inner_product_is_plain_where_the_text_is_white() -> None:
    """Directions written in the axes of the text, each as long as the text spreads there, are at right angles."""
    view, windows = model(), text()
    y = values(view, windows, random_dictionary(SITE, 32))
    size, axes = torch.linalg.eigh(y.T @ y / len(y))
    turned = torch.linalg.qr(torch.randn(32, 32, dtype=torch.float64)).Q @ (axes * size.sqrt()).T
    report = geometry(view, windows, always(turned, on=4))
    assert row(report, "coherence", "atomic").value == pytest.approx(0, abs=1e-9)
    assert row(report, "coherence", "plain").value > 0.1
    assert row(report, "isometry", "atomic").value == pytest.approx(0, abs=1e-9)


def test_no_norm_leaves_the_bounds_of_the_coherence() -> None:
    for units in (3, 20):
        report = geometry(model(), text(), random_dictionary(SITE, 32, units=units))
        assert row(report, "inside bounds", "epsilon: coherence").value == 1
    assert report["epsilon at least"].value < row(report, "coherence", "plain").value


def test_bounds_of_too_small_an_epsilon_are_left() -> None:
    rows = torch.zeros(300, 32)
    rows[:2, 0] = 1  # one pair in 44850 is alike, and it is the one that is on
    rows[2:, 1:] = torch.randn(298, 31, generator=torch.Generator().manual_seed(0))
    report = geometry(model(), text(), always(rows, on=2))
    assert row(report, "inside bounds", "epsilon: coherence").value == 1
    assert row(report, "inside bounds", "epsilon: 99 % of pairs").value == 0


def test_blocks_leave_every_pair_in(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.randn(25, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = coherence(rows)
    monkeypatch.setattr(_cosines, "BLOCK", 7)
    parts = coherence(rows)
    assert np.allclose(whole.nearest, parts.nearest) and np.allclose(whole.largest, parts.largest)
    assert np.array_equal(whole.share, parts.share)
    unit = rows / rows.norm(dim=1, keepdim=True)
    pairs = (unit @ unit.T).abs()[torch.ones(25, 25).triu(1) > 0]
    assert whole.quantile(np.array([0.5]))[0] == pytest.approx(
        float(pairs.quantile(0.5, interpolation="lower")), abs=1e-4
    )
    assert whole.top == pytest.approx(float(pairs.max()))


def test_units_that_write_nothing_are_left_out_and_said() -> None:
    rows = torch.cat([three(), torch.zeros(2, 32)])
    report = geometry(model(), text(), always(rows, on=4))
    assert row(report, "coherence", "plain").value == pytest.approx(0.5**0.5)
    assert any(note.startswith("2 units write nothing") for note in report.notes)


def test_heads_and_single_units_are_refused() -> None:
    with pytest.raises(ValueError, match="dictionaries of one direction a unit"):
        geometry(model(), text(), Partition("head.0", (8, 8, 8, 8)))
    with pytest.raises(ValueError, match="coherence is of two or more"):
        geometry(model(), text(), always(three()[:1], on=1))


def test_what_an_encoder_holds_of_windows_of_several_lengths_is_read_without_their_padding() -> None:
    view, rows, plain = other("bert"), [[5, 6, 7, 8, 9], [10, 11, 12]], Identity("resid.0", 32)
    (some,) = [one for (one,) in kept(view, of_ids(rows), plain)]
    assert torch.allclose(some.value, torch.cat([view.run([r], read=["resid.0"])["resid.0"][0] for r in rows]))
    assert geometry(view, of_ids(rows), plain)["coherence"].value == 0
