"""What is kept is what was put there, within the budget, and no module's tensors are counted."""

import pickle

import numpy as np
import torch

from clew.models import Trace
from clew.scale.shared import Shared, size_of


def test_the_longest_unused_makes_room():
    shared = Shared(3 * 40)
    for name in "abc":
        shared.put(name, torch.zeros(10))
    assert shared.get("a") is not None and shared.bytes == 120
    shared.put("d", torch.zeros(10))
    assert shared.keys() == ["c", "a", "d"] and shared.get("b") is None


def test_what_is_beyond_the_budget_is_not_kept():
    shared = Shared(39)
    assert len(shared.of("a", lambda: torch.zeros(10))) == 10
    assert shared.keys() == [] and shared.bytes == 0


def test_a_key_that_is_put_again_counts_once():
    shared = Shared(100)
    for value in (0.0, 1.0):
        shared.put("a", torch.full((10,), value))
    assert shared.bytes == 40 and float(shared.get("a")[0]) == 1


def test_bytes_are_those_of_tensors_and_arrays_however_deep():
    x = torch.zeros(4)
    trace = Trace(torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool), module=torch.nn.Linear(9, 9))
    assert size_of([x, {"again": x}, (np.zeros(3), None, "words")]) == 16 + 24
    assert size_of(x[:2]) == 16  # the whole of it stays in memory
    assert size_of(trace) == 16 + 2


def test_a_pickle_of_it_is_empty():
    shared = Shared(100)
    shared.put("a", torch.zeros(10))
    again = pickle.loads(pickle.dumps(shared))
    assert again.budget == 100 and again.keys() == []
