"""Near is what it says: against every pair counted one by one, in blocks of any size."""

import numpy as np
import pytest
import torch

from clew.dictionaries import Dictionary
from clew.readings.index import neighbours
from clew.readings.index._firings import by_token
from clew.readings.index.neighbours import NEAREST, Twin, by_cofiring, by_decoder, directions
from tests.readings.index.planted import model, signed_dictionary


def fired(units: int = 20, tokens: int = 60, seed: int = 0) -> np.ndarray:
    """Which unit fires where [token, unit]; unit 0 never."""
    fires = np.random.default_rng(seed).random((tokens, units)) < 0.2
    fires[:, 0] = False
    return fires


def twin_of(fires: np.ndarray, *cuts: int) -> Twin:
    chunks = []
    for first, end in zip((0, *cuts), (*cuts, len(fires)), strict=True):
        token, unit = np.nonzero(fires[first:end])
        chunks.append((first, by_token(token, unit, np.ones(len(unit), np.float16), end - first, fires.shape[1])))
    return Twin(chunks)


@pytest.mark.parametrize("crowded", [0, 1 << 20])
@pytest.mark.parametrize("values", [1, 100, 1 << 23])
def test_cofiring_is_jaccard_of_every_pair(values: int, crowded: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PAIRS", values), ("CELLS", values), ("CROWDED", crowded)):
        monkeypatch.setattr(neighbours, name, value)
    fires = fired()
    unit, place = np.nonzero(fires.T)
    start = np.append(0, np.bincount(unit, minlength=20).cumsum())
    found = by_cofiring(start, place, 0, twin_of(fires, 7, 30), fires.sum(0))
    both = fires.T.astype(int) @ fires
    either = fires.sum(0)[:, None] + fires.sum(0) - both
    for one in range(20):
        alike = [(-(both[one, o] / either[one, o]), o) for o in range(20) if o != one and both[one, o]]
        wanted = sorted(alike)[:NEAREST]
        assert found["cofiring"][one, : len(wanted)].tolist() == [other for _, other in wanted]
        assert found["jaccard"][one, : len(wanted)] == pytest.approx([-a for a, _ in wanted])
        assert (found["cofiring"][one, len(wanted) :] == -1).all()


def test_a_range_of_units_says_the_same() -> None:
    fires = fired()
    unit, place = np.nonzero(fires.T)
    start = np.append(0, np.bincount(unit, minlength=20).cumsum())
    whole = by_cofiring(start, place, 0, twin_of(fires, 30), fires.sum(0))
    part = by_cofiring(start[5:12] - start[5], place[start[5] :], 5, twin_of(fires), fires.sum(0))
    assert part["cofiring"].tolist() == whole["cofiring"][5:11].tolist()


def test_by_decoder_is_the_cosine_of_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "VALUES", 100)
    dictionary = signed_dictionary()
    found = by_decoder(dictionary, 3, 30)
    rows = torch.nn.functional.normalize(dictionary.W_dec, dim=1)
    alike = (rows @ rows.T).fill_diagonal_(-2)[3:30].topk(NEAREST)
    assert found["decoder"].tolist() == alike.indices.tolist()
    assert found["cosine"] == pytest.approx(alike.values.numpy(), abs=1e-6)


@pytest.mark.parametrize("crowded", [0, 1 << 20])
def test_few_units_fire_with_few(crowded: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "CROWDED", crowded)
    fires = np.array([[True, True, False], [True, False, False], [False, True, True]])
    place = np.nonzero(fires.T)[1]
    found = by_cofiring(np.array([0, 2, 4, 5]), place, 0, twin_of(fires), fires.sum(0))
    assert found["cofiring"][:, :3].tolist() == [[1, -1, -1], [2, 0, -1], [1, -1, -1]]
    assert found["jaccard"][1, :3].tolist() == [0.5, pytest.approx(1 / 3), 0]


def test_few_units_have_few_neighbours() -> None:
    found = by_decoder(signed_dictionary(units=4, k=2), 0, 4)
    assert sorted(found["decoder"][1].tolist())[-3:] == [0, 2, 3] and (found["decoder"][:, 3:] == -1).all()


def test_what_a_unit_of_any_dictionary_writes() -> None:
    neurons: Dictionary = next(iter(model().neurons("neuron.0").dictionaries.values()))
    assert torch.equal(directions(neurons), torch.eye(neurons.n_units))
