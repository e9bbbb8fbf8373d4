"""Counting: bins hold what they say, parts add up, quantiles are those of the sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.readings.index.summary import (
    BINS,
    EDGES,
    QUANTILES,
    Summary,
    bin_of,
    exact_quantiles,
    histogram,
    rough_quantiles,
)

VALUES = st.lists(st.floats(-60000, 60000, width=16).filter(bool), min_size=1, max_size=50)


def test_a_bin_holds_what_is_between_its_edges() -> None:
    value = np.array([1.0, -1.0, 0.70, 0.72, 1.5, -1.5, 2.0**-20, 1e6, -1e6], np.float32)
    bins = bin_of(value)
    assert (
        bins[1] == BINS - 1 - bins[0] and bins[4] == bins[0] + 1 and bins[2] == bins[0] - 2 and bins[3] == bins[0] - 1
    )
    for v, bin in zip(value[:6].tolist(), bins[:6].tolist(), strict=True):
        assert EDGES[bin] <= v <= EDGES[bin + 1]
    assert bins[6] == BINS // 2 and bins[7] == BINS - 1 and bins[8] == 0 and len(EDGES) == BINS + 1


@given(VALUES, st.integers(0, 50))
def test_histograms_of_parts_add_up(values: list[float], cut: int) -> None:
    value = np.array(values, np.float32)
    unit = np.arange(len(value)) % 3
    parts = histogram(unit[:cut], value[:cut], 3) + histogram(unit[cut:], value[cut:], 3)
    assert (parts == histogram(unit, value, 3)).all() and parts.sum() == len(value)


@given(VALUES)
def test_quantiles_of_a_row(values: list[float]) -> None:
    value = np.array(sorted(values, key=abs, reverse=True), np.float16)
    found = exact_quantiles(np.array([0, 0, len(value)]), value)
    size = np.sort(np.abs(value.astype(np.float32)))
    assert (found[0] == 0).all() and found[1, 0] == size[0] and found[1, -1] == size[-1]
    near = np.rint((1 - QUANTILES) * (len(size) - 1)).astype(int)
    assert found[1].tolist() == size[len(size) - 1 - near].tolist()
    assert (np.diff(found[1]) >= 0).all()


def test_quantiles_off_a_histogram_are_right_within_half_an_octave() -> None:
    value = np.random.default_rng(0).lognormal(0, 1.5, 4000).astype(np.float32)
    counts = histogram(np.zeros(len(value), int), value, 1)
    rough = rough_quantiles(counts, np.array([value.max()]))
    order = np.sort(value)[::-1]
    exact = exact_quantiles(np.array([0, len(value)]), order)
    assert (np.abs(np.log2(rough[0, 1:] / exact[0, 1:])) <= 0.5).all() and rough[0, -1] == value.max()
    assert rough_quantiles(np.zeros((2, BINS), np.int32), np.zeros(2)).tolist() == np.zeros((2, 11)).tolist()


def test_what_a_summary_says() -> None:
    counts = histogram(np.array([0, 0, 0]), np.array([1.0, -2.0, 3.0], np.float32), 2)
    told = Summary(np.array([3, 0]), 12, counts, np.zeros((2, 11), np.float32), np.zeros(2), np.zeros(2))
    assert told.density.tolist() == [0.25, 0] and told.positive.tolist() == [pytest.approx(2 / 3), 0]
    assert told.negative.tolist() == [pytest.approx(1 / 3), 0]
    assert repr(told) == "Summary(2 units over 12 positions, 1 of which never fire)"


def test_a_frame_has_a_row_for_each_unit() -> None:
    value = np.array([1.0, -2.0, 3.0], np.float32)
    counts = histogram(np.array([0, 0, 2]), value, 3)
    zeros = np.zeros((3, len(QUANTILES)), np.float32)
    told = Summary(np.array([2, 0, 1]), 4, counts, zeros, np.array([-2.0, 0, 0]), np.array([1.0, 0, 3]))
    made = told.to_frame()
    assert made["unit"].tolist() == [0, 1, 2] and made["density"].tolist() == [0.5, 0, 0.25]
    assert made["negative"].tolist() == [0.5, 0, 0] and made["low"].tolist() == [-2.0, 0, 0]
