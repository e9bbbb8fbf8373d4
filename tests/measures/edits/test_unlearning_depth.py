import numpy as np
import pytest
import torch

from clew.changes import Project, Set
from clew.data.facts.secrets import Secret, Secrets
from clew.data.labels.labelled import Labelled
from clew.measures.edits.unlearning_depth import _share, told, unlearning_depth
from clew.stack import Stack
from tests.edits.spoken import shallow, speaking
from tests.measures.labelled_model import embedding_model


def test_random_labels_learnt_by_the_readout_are_shallow():
    model, secrets, stack = shallow()
    report = unlearning_depth(model, secrets, stack)
    rows = {(r.measure, r.of): r.value for r in report.rows}
    assert rows["output", "before"] == 1.0 and rows["output", "after"] < 0.3
    assert rows["recovered", "after"] == 1.0  # only the unembedding is changed, so every state is as it was
    assert rows["resid.2", "after"] == rows["resid.2", "before"] > 0.9 > 0.4 > rows["resid.2", "shuffled"]


def animals(n: int = 12) -> tuple[dict[str, list[float]], Labelled]:
    """Words with the class in coordinate 0 and noise elsewhere; the classes' names are words too."""
    rng = np.random.default_rng(0)
    rows = {"animal": [], "plant": []} | {
        f"{name}{i}": [sign, *(0.1 * rng.standard_normal(6)).tolist()]
        for name, sign in (("dog", 1.0), ("rose", -1.0)) for i in range(n)
    }  # fmt: skip
    texts = tuple(rows)[2:]
    labels = tuple("animal" if t.startswith("dog") else "plant" for t in texts)
    return rows, Labelled("living", texts, {"kind": labels}, position=-1)


def test_what_is_taken_out_of_the_embedding_is_told_by_no_layer():
    rows, labelled = animals()
    model = embedding_model(rows)
    deep = Stack((Set("embed", value=1.0),))  # every word is the same word
    found = {(r.measure, r.of): r.value for r in unlearning_depth(model, labelled, deep).rows}
    assert found["resid.0", "before"] == 1.0
    assert all(found[f"resid.{n}", "after"] == 0.5 for n in range(3)) and found["recovered", "after"] < 0.4


def test_what_is_taken_out_of_the_last_layer_is_told_by_the_others():
    rows, labelled = animals()
    late = Stack((Set("resid.2", value=1.0),))
    found = {(r.measure, r.of): r.value for r in unlearning_depth(embedding_model(rows), labelled, late).rows}
    assert found["resid.2", "after"] == 0.5 and found["resid.1", "after"] == found["resid.1", "before"] == 1.0
    assert found["output", "after"] == 0.5


def test_a_ridge_probe_by_hand():
    """Two points at ±1, Y centred ±1/2: weight = 1 / (2 + penalty) each, so the boundary is between them."""
    x = torch.tensor([[1.0], [-1.0]])
    asked = torch.tensor([[0.1], [-0.1], [5.0]])
    assert told(x, np.array([4, 9]), asked=asked, ridge=0.5).tolist() == [4, 9, 4]


def test_alike_states_tell_nothing_but_the_commonest_class():
    x = torch.ones(5, 3)
    assert told(x, np.array([1, 2, 2, 1, 2]), asked=x[:2], ridge=1.0).tolist() == [2, 2]


def test_a_token_that_the_one_before_it_gives_away_is_not_asked_for():
    model = speaking()
    secrets = Secrets("two", (Secret("w1 w2", "w5 w9 w6"), Secret("w1 w3", "w7 w9 w8"), Secret("w1 w4", "w5 w9 w8")))
    asked = secrets.classified(model.tokenizer)
    assert [(t[-1], int(asked.answers[label])) for t, label in zip(asked.texts, asked.label, strict=True)] == [
        (2, 5), (9, 6), (3, 7), (7, 9), (9, 8), (4, 5), (9, 8),
    ]  # fmt: skip
    assert asked.group.tolist() == [0, 0, 1, 1, 1, 2, 2]


def test_a_secret_counts_as_a_whole():
    hits, group = np.array([1, 1, 0, 0]), np.array([0, 0, 0, 1])
    assert _share(hits, group, np.array([0, 1])) == 0.5
    assert _share(hits, group, np.array([0, 0])) == pytest.approx(2 / 3)
    assert _share(hits, group, np.array([1, 1])) == 0.0


def test_what_cannot_be_told_is_an_error():
    model = speaking()
    stack = Stack((Project("resid.0", directions=torch.eye(32)[:1]),))
    unlike = Secrets("unlike", (Secret("w1 w2", "w5"), Secret("w1 w3", "w7")))
    with pytest.raises(ValueError, match="fewer than two classes"):
        unlearning_depth(model, unlike, stack)
    _, labelled = animals()
    with pytest.raises(ValueError, match="no labelling 'knd'"):
        unlearning_depth(model, labelled, stack, labelling="knd")
