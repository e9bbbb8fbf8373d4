"""An ablation as one value: what it refuses, and its short form."""

import dataclasses

import pytest
import torch

from clew.readings.ablation import Ablation
from clew.sites import Site


def test_a_kind_in_a_word_is_the_ablation_of_that_kind():
    assert Ablation.of("patch") == Ablation("patch") == Ablation(kind="patch", errors="nodes", start=0)
    whole = Ablation("zero", "keep", 2)
    assert Ablation.of(whole) is whole


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Ablation().start = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "patches"}, "there is no ablation 'patches'; did you mean 'patch'"),
        ({"errors": "drop"}, "errors='drop'; known: nodes, keep, remove"),
        ({"start": -1}, "start=-1: layers are counted from 0"),
        ({"kind": "mean", "constants": {Site("mlp", 0): torch.zeros(3)}}, "exclude each other"),
    ],
)
def test_what_cannot_be_meant_is_refused(given, said):
    made = Ablation()
    for field, value in given.items():  # past the checks of types, which not everyone has
        object.__setattr__(made, field, value)
    with pytest.raises(ValueError, match=said):
        made.__post_init__()
