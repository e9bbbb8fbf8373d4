"""Rows: any firings in come out as the same, sorted; ranges of units say together what one range says."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.readings.index import shards
from clew.readings.index._firings import by_token, chosen, drawn, narrow, order, sampled
from tests.readings.index.planted import indexed, model, signed_dictionary

SIZES = st.floats(-30, 30, width=16).filter(bool)


@given(st.dictionaries(st.tuples(st.integers(0, 30), st.integers(0, 9)), SIZES, max_size=120), st.booleans())
def test_firings_come_back_from_rows(fired: dict[tuple[int, int], float], wide: bool) -> None:
    keys = sorted(fired)
    token, unit = (np.array([key[i] for key in keys], np.int64) for i in range(2))
    value = narrow(np.array([fired[key] for key in keys], np.float32))
    value = value.astype(np.float32) if wide else value
    rows = by_token(token, unit, value, 31, 10)
    assert (rows.token == token).all() and rows.start[-1] == len(token)
    by = order(rows.unit, rows.value, 10)
    back = list(zip(*(column[by].tolist() for column in (rows.unit, rows.value, rows.token)), strict=True))
    assert back == sorted(back, key=lambda one: (one[0], -abs(one[1]), one[2]))
    assert {(t, u): v for u, v, t in back} == {key: pytest.approx(v) for key, v in fired.items()}


@given(st.lists(SIZES, min_size=1, max_size=200), st.integers(1, 4), st.integers(1, 4), st.integers(0, 200))
def test_what_stays_of_parts_is_what_stays_of_the_whole(values: list[float], top: int, sample: int, cut: int) -> None:
    value, place = np.array(values, np.float16), np.arange(len(values)) * 7
    unit = np.arange(len(values)) % 3

    def stays(u: np.ndarray, p: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, ...]:
        by = order(u, v, 3)
        u, p, v = u[by], p[by], v[by]
        kept = chosen(u, p, v, top, sample, 5)
        return u[kept], p[kept], v[kept]

    parts = [stays(unit[s], place[s], value[s]) for s in (slice(cut), slice(cut, None))]
    u, p, v = (np.concatenate(column) for column in zip(*parts, strict=True))
    again = np.argsort(p)
    one, two = stays(u[again], p[again], v[again]), stays(unit, place, value)
    assert all((a == b).all() for a, b in zip(one, two, strict=True))


def test_a_sample_is_fair() -> None:
    place = np.arange(20_000)
    unit, value = place % 1000, np.full(len(place), 1.5, np.float16)
    by = order(unit, value, 1000)
    kept = sampled(unit[by], place[by], value[by], 5, seed=1)
    assert kept.sum() == 5000
    rounds = np.bincount(place[by][kept] // 1000, minlength=20)
    assert abs(rounds - 250).max() < 5 * 250**0.5
    assert (drawn(place, 1) != drawn(place, 2)).all()


@pytest.mark.parametrize("keep", ["all", "top"])
def test_small_ranges_say_what_one_range_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str) -> None:
    (neurons,) = model().neurons("neuron.1").dictionaries.values()
    whole = indexed(tmp_path / "one", signed_dictionary(), neurons, keep=keep, top=3, sample=2)
    monkeypatch.setattr(shards, "FIRINGS", 40)
    monkeypatch.setattr(shards, "UNITS", 7)
    parts = indexed(tmp_path / "many", signed_dictionary(), neurons, keep=keep, top=3, sample=2)
    assert len(list((tmp_path / "many" / "resid.1").iterdir())) > 5
    for site in whole.sites:
        one, two = whole.summary(site), parts.summary(site)
        for name in ("count", "histogram", "quantiles", "low", "high"):
            assert (getattr(one, name) == getattr(two, name)).all(), name
        for unit in range(whole.units(site)):
            assert whole.row(site, unit).place.tolist() == parts.row(site, unit).place.tolist()
            for by in whole.near_by(site):
                pairs = zip(whole.nearest(site, unit, by), parts.nearest(site, unit, by), strict=True)
                assert all(a[0] == b[0] and a[1] == pytest.approx(b[1], abs=1e-5) for a, b in pairs)
