import pytest
import torch

from clew.data.planted.activations import Planted, planted
from clew.dictionaries import ReLU, TopK
from clew.measures.dictionaries.recovery import firing, matched, parent_recall, recovery, uniqueness
from tests.measures.labelled_model import relu


def value(report, measure, of="dictionary"):
    return next(r.value for r in report.rows if (r.measure, r.of) == (measure, of))


def orthogonal(n: int = 2000, **given) -> Planted:
    """Features along the axes, so that a ReLU of the identity is the truth."""
    made = planted(n, d=8, features=8, active=2, **given)
    return Planted(made.code.clone(), torch.eye(8), made.code, made.hierarchy, made.bipolar)


def test_the_truth_recovers_itself():
    truth = orthogonal()
    report = recovery(None, truth, relu(torch.eye(8).tolist(), d=8))
    for measure in ("max cosine", "mcc", "recovered", "uniqueness", "F1", "precision", "recall", "shrinkage"):
        assert value(report, measure) == pytest.approx(1.0)
    assert value(report, "FVU") == pytest.approx(0.0) and value(report, "L0") == value(report, "L0", "truth")
    assert value(report, "max cosine", "random") < 0.8 and value(report, "recovered", "random") < 0.5


def test_half_a_dictionary_recovers_half():
    report = recovery(None, orthogonal(), relu(torch.eye(8)[:4].tolist(), d=8))
    assert value(report, "recovered") == 0.5 and value(report, "max cosine") == pytest.approx(0.5)
    assert value(report, "L0") == pytest.approx(value(report, "L0", "truth") / 2, rel=0.1)


def test_two_units_of_one_feature_are_not_unique_and_match_once():
    table = torch.tensor([[1.0, 0.9, 0.0], [0.0, 0.0, 0.6]])
    assert uniqueness(table) == pytest.approx(2 / 3) and matched(table).tolist() == pytest.approx([1.0, 0.6])


def test_firing_by_hand():
    truth = torch.tensor([[1, 0], [1, 0], [1, 0], [0, 0]]).bool()
    units = torch.tensor([[1, 1], [1, 0], [0, 0], [1, 0]]).bool()
    f1, precision, recall = firing(truth, units)
    assert [f1.tolist(), precision.tolist(), recall.tolist()] == [pytest.approx([2 / 3])] * 3


def test_a_sign_is_no_mistake_where_the_truth_has_two():
    flipped = relu((-torch.eye(8)).tolist(), d=8)
    assert value(recovery(None, orthogonal(bipolar=True), flipped), "max cosine") == pytest.approx(1.0)
    assert value(recovery(None, orthogonal(), flipped), "recovered") == 0.0


def test_a_shrunk_reconstruction_is_seen():
    half = ReLU("embed", W_enc=torch.eye(8) / 2, W_dec=torch.eye(8), b_dec=torch.zeros(8), centred=False)
    assert value(recovery(None, orthogonal(), half), "shrinkage") == pytest.approx(0.5)


def test_a_parent_absorbed_by_its_child_is_silent_exactly_there():
    truth = orthogonal(hierarchy={1: 0})
    absorbing = torch.eye(8)
    absorbing[1, 0] = -5.0  # unit 0 is shut where feature 1 fires
    dictionary = ReLU("embed", W_enc=absorbing, W_dec=torch.eye(8), b_dec=torch.zeros(8), centred=False)
    report = recovery(None, truth, dictionary)
    assert value(report, "parent recall", "child fires") == 0.0
    assert value(report, "parent recall", "child silent") == 1.0


def test_parent_recall_by_hand():
    code = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    truth = Planted(torch.zeros(4, 2), torch.eye(2), code, {1: 0})
    units = torch.tensor([[1, 0], [0, 0], [0, 1], [1, 1]]).bool()
    recall = parent_recall(truth, torch.tensor([0, 1]), units)
    assert {of: r.tolist() for of, r in recall.items()} == {"child fires": [0.5], "child silent": [0.0]}


def test_chance_is_what_an_untrained_dictionary_gets():
    truth = planted(500, d=16, features=40, active=3)
    rows = torch.randn(60, 16, generator=torch.Generator().manual_seed(7))
    untrained = TopK("embed", W_enc=rows.T.contiguous(), W_dec=rows, b_dec=torch.zeros(16), centred=False, k=3)
    report = recovery(None, truth, untrained)
    for measure in ("max cosine", "mcc"):
        assert value(report, measure) == pytest.approx(value(report, measure, "random"), abs=0.05)
    assert value(report, "L0") <= 3


def test_another_width_is_refused():
    with pytest.raises(ValueError, match="reads 8 and the planted activations have 4"):
        recovery(None, planted(10, d=4, features=4, active=1), relu([(1.0,)], d=8))
