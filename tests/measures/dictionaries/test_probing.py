import random

import numpy as np
import pytest
import torch

from clew.data.labels.labelled import Labelled
from clew.measures.dictionaries._probes import Seen
from clew.measures.dictionaries.probing import judged, probing
from tests.measures.labelled_model import embedding_model, relu

WORDS = {f"{kind}{i}": row for i in range(12) for kind, row in (("dog", (1.0, 0.0)), ("cat", (0.0, 1.0)))}
FILLERS = {f"f{i}": (0.0, 0.0, *np.random.default_rng(i).random(4).tolist()) for i in range(20)}
MODEL = embedding_model({"the": (5.0, 5.0), **WORDS, **FILLERS})


def pets(n: int = 200) -> Labelled:
    """Two fillers after a pet; a label that is the pet and one that is nothing."""
    rng = random.Random(0)
    texts = {f"the {rng.choice(list(WORDS))} {rng.choice(list(FILLERS))} {rng.choice(list(FILLERS))}" for _ in range(n)}
    made = tuple(sorted(texts))
    coin = tuple(rng.choice("ab") for _ in made)
    return Labelled("pets", made, {"kind": tuple(t.split()[1][:3] for t in made), "coin": coin})


EYE = torch.eye(6).tolist()


def test_one_unit_that_is_the_label_is_found_and_a_coin_is_not():
    report = probing(MODEL, pets(), relu(EYE))
    assert report["kind k=1"].value == 1.0 and (report["kind k=1"].low, report["kind k=1"].high) == (1.0, 1.0)
    assert report["kind"].of == "residual" and report["kind"].value == 1.0
    for name in ("coin k=1", "coin k=5", "coin"):
        assert report[name].low <= 0.5 <= report[name].high


def test_random_units_stand_beside_the_chosen_ones():
    seen = Seen(torch.zeros(40, 1), torch.zeros(40, 50))
    truth = np.array([[True, False] * 20])
    seen.code[:, 1:] = torch.rand(40, 49, generator=torch.Generator().manual_seed(0))
    seen.code[::2, 0] = 9.0
    chosen, floor = (judged(seen, truth, seen, truth, 1, random=r, seed=0).mean() for r in (False, True))
    assert chosen == 1.0 and floor < 0.8


def test_more_classes_than_two_are_asked_one_by_one():
    code = torch.eye(3).repeat(20, 1)
    truth = (code.T > 0).numpy()
    right = judged(Seen(code, code), truth, Seen(code, code), truth, 1, random=False, seed=0)
    assert right.shape == (3, 60) and right.all()


def test_a_class_that_is_only_on_one_side_is_named():
    some = pets(40)
    lone = Labelled("pets", some.texts, {"kind": ("bird", *some["kind"][1:])})
    with pytest.raises(ValueError, match="kind 'bird': one side of the split has no text"):
        probing(MODEL, lone, relu(EYE))
