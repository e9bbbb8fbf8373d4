import numpy as np
import pytest
import torch

from clew.data.labels.labelled import Labelled
from clew.measures.dictionaries._probes import Seen
from clew.measures.dictionaries.tpp import drops, ranking, tpp
from tests.measures.labelled_model import embedding_model, relu

MODEL = embedding_model(
    {"the": ()} | {f"{'rgb'[c]}{i}": [float(c == j) for j in range(3)] + [0.1 * i] for c in range(3) for i in range(15)}
)
COLOURS = Labelled(
    "colours", tuple(f"the {c}{i}" for c in "rgb" for i in range(15)), {"c": tuple(c for c in "rgb" for _ in range(15))}
)


def test_drops_by_hand():
    truth = np.array([[True, True, False, False], [False, False, True, True]])
    base = np.ones((2, 4), dtype=bool)
    ablated = np.stack([base, base])
    ablated[0, 0, :2] = False  # class 0 ablated: its probe misses both positives, 1 to 0.5
    ablated[1, 1, 2] = False  # class 1 ablated: its probe misses one of two, 1 to 0.75,
    ablated[1, 0, 3] = False  # and the other's probe one of two negatives, 1 to 0.75
    assert drops(base, ablated, truth, np.arange(4)) == pytest.approx(((0.5 + 0.25) / 2, (0 + 0.25) / 2))


def test_only_units_that_push_towards_the_class_are_ranked():
    code = torch.tensor([[1.0, 1.0, 0.0, 2.0], [0.0, 0.0, 1.0, 0.0]])
    dictionary = relu([(1.0,), (-1.0,), (1.0,), (1.0,)])
    probe = torch.eye(32)[0], 0.0
    assert ranking(Seen(torch.zeros(2, 32), code), np.array([True, False]), probe, dictionary) == [3, 0]


def test_a_unit_per_class_is_worth_all_of_its_probe_and_nothing_to_the_others():
    report = tpp(MODEL, COLOURS, relu(torch.eye(4).tolist()), ablate=(1,))
    assert report["probe"].value == 1.0
    assert report["own drop N=1"].value == 0.5 and report["tpp N=1"].of == "features"
    assert abs(report["other drop N=1"].value) < 0.3 and report["tpp N=1"].value >= 0.2


def test_a_unit_that_holds_nothing_of_the_classes_is_worth_nothing():
    report = tpp(MODEL, COLOURS, relu([(0.0, 0.0, 0.0, 0.0, 1.0)]), ablate=(1,))
    assert [r.value for r in report.rows if r.measure == "tpp N=1"] == [0.0, 0.0]


def test_two_classes_are_too_few():
    two = COLOURS.pick([i for i, c in enumerate(COLOURS["c"]) if c != "b"])
    with pytest.raises(ValueError, match="TPP takes three or more"):
        tpp(MODEL, two, relu([(1.0,)]))
