"""Parts: whatever comes together first, the same stays; what is not exact is near."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.readings.index import parts
from clew.readings.index._firings import narrow
from clew.readings.index.parts import Part, Stays, joined, keep_part, last, live, part_of, quantiles
from clew.readings.index.summary import QUANTILES, exact_quantiles
from tests.readings.index.planted import indexed, signed_dictionary

UNITS = 3
STAYS = Stays(2, 1, 5, np.arange(0, 201, 4))
SIZES = st.floats(-30, 30, width=16).filter(bool)


def of(values: list[float], first: int, end: int, stays: Stays = STAYS) -> Part:
    place, value = np.arange(first, end), narrow(np.array(values[first:end], np.float32))
    return part_of(place % UNITS, place, value, UNITS, stays)


def same(one: Part, other: Part) -> bool:
    return all(np.array_equal(getattr(one, column.name), getattr(other, column.name)) for column in fields(Part))


@given(
    st.lists(SIZES, min_size=8, max_size=200), st.lists(st.integers(0, 49), min_size=3, max_size=3), st.integers(1, 9)
)
def test_a_part_is_the_same_whatever_came_together_first(values: list[float], cuts: list[int], few: int) -> None:
    a, b, c = sorted(min(4 * cut, len(values)) for cut in cuts)  # no window is cut
    ends = [(0, a), (a, b), (b, c), (c, len(values))]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MET", "SIZES", "AT_ONCE"):
            patch.setattr(parts, name, few)
        one, two, three, four = (of(values, *pair) for pair in ends)
        whole = of(values, 0, len(values))
        assert same(joined([joined([one, two], STAYS), joined([three, four], STAYS)], STAYS), whole)
        assert same(joined([joined([joined([one, two], STAYS), three], STAYS), four], STAYS), whole)


@given(st.lists(SIZES, min_size=1, max_size=200))
def test_few_sizes_have_their_quantiles(values: list[float]) -> None:
    part = of(values, 0, len(values))
    rows = [sorted((narrow(np.array(values[u::UNITS], np.float32))), key=lambda v: -abs(v)) for u in range(UNITS)]
    start = np.append(0, np.cumsum([*map(len, rows)]))
    assert np.array_equal(quantiles(part, QUANTILES), exact_quantiles(start, np.concatenate(rows).astype(np.float32)))


def test_many_sizes_are_right_within_a_hundredth() -> None:
    values = np.random.default_rng(0).lognormal(0, 1.5, 20_000).astype(np.float32)
    part = of(values.tolist(), 0, len(values), Stays(2, 1, 5, np.arange(20_001)))
    rows = [np.sort(narrow(values[u::UNITS]))[::-1] for u in range(UNITS)]
    exact = exact_quantiles(np.append(0, np.cumsum([*map(len, rows)])), np.concatenate(rows))
    assert part.rough.all() and len(part.size) < len(values) / 5
    assert (np.abs(quantiles(part, QUANTILES) / exact - 1) < 0.01).all()
    assert (quantiles(part, QUANTILES)[:, -1] == exact[:, -1]).all()


def test_a_part_comes_back_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    part, path = of([1.0, -2.0, 3.0], 0, 3), tmp_path / "parts" / "0-1.safetensors"
    part.save(path)
    assert same(Part.load(path, UNITS), part)
    with pytest.raises(ValueError, match=r"0-1.safetensors is not of 4 units"):
        Part.load(path, 4)


def test_halves_make_room_for_their_part(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=28).tolist()
    for number in range(7):
        keep_part(tmp_path, "embed", of(values, 4 * number, 4 * number + 4), number, range(7), STAYS)
        assert live(tmp_path, "embed")[0][0] == 0 and len(live(tmp_path, "embed")) == (number + 1).bit_count()
    assert same(last(tmp_path, "embed", UNITS, STAYS), of(values, 0, 28))
    assert live(tmp_path, "embed") == [(0, 7)]


def test_a_process_joins_its_own_chunks_alone(tmp_path: Path) -> None:
    values = [1.0] * 16
    for share, numbers in ((range(1, 4), (1, 2, 3)), (range(1), (0,))):
        for number in numbers:
            keep_part(tmp_path, "embed", of(values, 4 * number, 4 * number + 4), number, share, STAYS)
    assert live(tmp_path, "embed") == [(0, 1), (1, 2), (2, 4)]


@pytest.mark.parametrize("crowded", [0, 1 << 20])
def test_cofiring_of_few_places_is_near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crowded: int) -> None:
    from clew.readings.index import neighbours

    monkeypatch.setattr(neighbours, "CROWDED", crowded)
    exact = indexed(tmp_path / "all", signed_dictionary())
    monkeypatch.setattr(parts, "MET", 10)
    near = indexed(tmp_path / "top", signed_dictionary(), keep="top")
    apart = list[float]()
    for unit in range(40):
        one, two = (dict(index.nearest("resid.1", unit, "cofiring")) for index in (exact, near))
        apart += [one[other] - two[other] for other in set(one) & set(two)]
    assert len(apart) > 150 and abs(np.mean(apart)) < 0.03 and np.std(apart) < 0.12
