"""Linear probes of labelled texts: by hand, what is recorded, and what is to be said first."""

import pytest
import torch

import clew
from clew.changes import Scale
from clew.data.labels.labelled import Labelled
from clew.probes.linear import linear
from clew.probing import Pool
from clew.readings.probe import scores
from tests.measures.labelled_model import embedding_model

MODEL = embedding_model({"on": (9.0,), "a": (1.0,), "b": (-1.0,), "c": (0.0, 5.0)})
TEXTS = ("on a", "on b", "on a a", "on b b", "on c")
KINDS = Labelled("kinds", TEXTS, {"kind": ("x", "y", "x", "y", "")})
MEANS = {"at": "embed", "estimator": "mean_difference"}


def test_the_difference_of_means_by_hand() -> None:
    probe = linear(MODEL, KINDS, **MEANS)
    assert probe.weight.nonzero().tolist() == [[0]] and probe.weight[0] == -2.0 and probe.bias == 0.0
    assert probe.classes == ("x", "y") and probe.pool == Pool("mean", skip=1)
    assert scores(MODEL, TEXTS, probe).tolist() == [-2.0, 2.0, -2.0, 2.0, 0.0]


def test_the_order_of_the_classes_turns_it() -> None:
    turned = linear(MODEL, KINDS, classes=("y", "x"), **MEANS)
    assert torch.equal(turned.weight, -linear(MODEL, KINDS, **MEANS).weight) and turned.classes == ("y", "x")


def test_it_says_what_it_was_fitted_on() -> None:
    fitted = linear(MODEL, KINDS, **MEANS).fitted
    assert (fitted["estimator"], fitted["examples"], fitted["train_accuracy"]) == ("mean_difference", 4, 1.0)
    assert (fitted["evidence"], fitted["evidence_hash"], fitted["labelling"]) == ("kinds", KINDS.hash, "kind")


def test_a_labelled_last_token_is_read_where_it_is() -> None:
    last = Labelled("last", ("a b", "b a"), {"kind": ("x", "y")}, position=-1)
    probe = linear(MODEL, last, **MEANS)
    assert probe.pool == Pool("last") and probe.weight[0] == 2.0


def test_edits_in_force_are_in_what_it_learns_from() -> None:
    blinded = MODEL.edited(Scale("embed", factor=0.0, units=(0,)))
    assert not linear(blinded, KINDS, **MEANS).weight.any()


def test_the_verb_finds_it_by_name_and_says_what_it_was_called_with(tmp_path) -> None:
    probe = clew.probe(MODEL, KINDS, **MEANS)
    assert torch.equal(probe.weight, linear(MODEL, KINDS, **MEANS).weight) and probe.fitted["train_accuracy"] == 1.0
    assert probe.fitted["method"] == "linear" and probe.fitted["weights"] == MODEL.body.fingerprint
    assert clew.Probe.load(probe.save(tmp_path / "probe.safetensors")).fitted == probe.fitted
    with pytest.raises(ValueError, match="linear has no option 'gamma'"):
        clew.probe(MODEL, KINDS, at="embed", gamma=2.0)
    with pytest.raises(ValueError, match="'linea' is not one of clew's probes"):
        clew.probe(MODEL, KINDS, by="linea", at="embed")


@pytest.mark.parametrize("estimator", ["logistic", "lda"])
def test_every_estimator_tells_them_apart(estimator) -> None:
    if estimator == "logistic":
        pytest.importorskip("sklearn")
    probe = linear(MODEL, KINDS, at="embed", estimator=estimator)
    assert probe.fitted["train_accuracy"] == 1.0 and (scores(MODEL, TEXTS[:2], probe) > 0).tolist() == [False, True]


def test_texts_of_other_classes_are_left_out_when_two_are_named() -> None:
    three = Labelled("three", TEXTS, {"kind": ("x", "y", "x", "y", "z")})
    with pytest.raises(ValueError, match=r"three has x, y, z; say which two by classes="):
        linear(MODEL, three, **MEANS)
    assert linear(MODEL, three, classes=("x", "y"), **MEANS).fitted["examples"] == 4


@pytest.mark.parametrize(
    ("evidence", "options", "says"),
    [
        (Labelled("two", TEXTS, {"kind": ("x",) * 5, "other": ("y",) * 5}), {}, "labellings kind, other; say which"),
        (KINDS, {"classes": ("x", "w")}, r"not \('x', 'w'\)"),
        (KINDS, {"labelling": "kin"}, "did you mean 'kind'"),
        (KINDS, {"at": "resid.99"}, "is not a site"),
        (KINDS, {"pool": Pool("every")}, "told by one state"),
        (Labelled("first", TEXTS, KINDS.labels, position=0), {}, "labels token 0 of each text"),
    ],
)
def test_what_is_not_clear_is_asked_for(evidence: Labelled, options: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        linear(MODEL, evidence, **MEANS | options)
