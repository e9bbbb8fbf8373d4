"""The whole model strays nowhere; the empty circuit strays as far as the ends are apart."""

from dataclasses import replace

import numpy as np
import pytest

from clew import Behaviour
from clew.data.behaviours.metrics import logit_difference
from clew.measures.circuits._trials import trial_of
from clew.measures.circuits.worst_case import worst_case
from tests.measures.idle_model import LIVE, all_edges, idle_model, live_edges, nodes
from tests.planted import random_behaviour


def test_the_live_nodes_stray_nowhere() -> None:
    report = worst_case(idle_model(), random_behaviour(n=6), nodes(idle_model(), *LIVE), held_out=False)
    assert [r.value for r in report.rows] == pytest.approx([0, 0, 0], abs=1e-9)


@pytest.mark.parametrize("edges", [False, True])
def test_an_empty_circuit_strays_from_one_end_to_the_other(edges: bool) -> None:
    model, behaviour = idle_model(), random_behaviour(n=6)
    circuit = all_edges(model).top(0) if edges else nodes(model)
    trial = trial_of(model, behaviour, circuit)
    apart = np.abs(trial.whole - trial.empty)
    mean, high, largest = worst_case(model, behaviour, circuit, held_out=False).rows
    assert mean.value == pytest.approx(apart.mean()) and largest.value == pytest.approx(apart.max())
    assert high.value == pytest.approx(np.percentile(apart, 95)) and mean.low < mean.value < mean.high
    assert np.isnan(largest.low)


def test_the_worst_prompts_are_named_whatever_their_lengths() -> None:
    model, circuit = idle_model(), nodes(idle_model(), "mlp.1/0")
    mixed = [p for pair in zip(*(random_behaviour(4, n, seed=n).pairs for n in (6, 4, 5)), strict=True) for p in pair]
    behaviour = Behaviour("mixed", tuple(mixed), logit_difference)
    options = {"ablation": "patch", "held_out": False}
    alone = [worst_case(model, replace(behaviour, pairs=(p,)), circuit, **options).rows[0].value for p in mixed]
    report = worst_case(model, behaviour, circuit, show=3, **options)
    named = [note for note in report.notes if note.startswith("worst")]
    assert report.rows[2].value == pytest.approx(max(alone)) and len(named) == 3
    for note, i in zip(named, np.argsort(alone)[::-1], strict=False):
        assert f"tokens {' '.join(map(str, mixed[i].clean))}: " in note


def test_copies_of_a_prompt_are_one() -> None:
    model, circuit = idle_model(), nodes(idle_model(), "mlp.1/0")
    once = random_behaviour(n=6)
    (first, *_) = once.pairs
    copied = replace(once, pairs=(*once.pairs, *[first] * 30))
    options = {"ablation": "patch", "held_out": False}
    one, many = (worst_case(model, task, circuit, **options).rows for task in (once, copied))
    for a, b in zip(one, many, strict=True):
        assert (b.value, b.low, b.high) == pytest.approx((a.value, a.low, a.high), nan_ok=True)
        assert a.examples == b.examples == 6


def test_a_divergence_is_a_discrepancy_too() -> None:
    model = idle_model()
    behaviour = random_behaviour(n=6).with_metric("kl_divergence")
    part, whole = (
        worst_case(model, behaviour, c, held_out=False) for c in (nodes(model, "mlp.1/0"), live_edges(model))
    )
    assert part["discrepancy"].value > 0.01 and whole["discrepancy"].value == pytest.approx(0, abs=1e-9)


def test_a_negative_number_of_prompts_is_refused() -> None:
    with pytest.raises(ValueError, match="show=-1"):
        worst_case(idle_model(), random_behaviour(), nodes(idle_model(), *LIVE), show=-1)
