"""Grouping: planted groups are found, what cannot be grouped stays alone, and names come from what is known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from clew.circuits.circuit import ERROR, OUTPUT, Circuit
from clew.circuits.grouping import grouped
from clew.sites import Site

BELOW, HERE, ABOVE = (Site("resid", i) for i in range(3))
ENDS = 20


def planted(
    groups: int = 6, members: int = 5, loose: int = 8, noise: float = 0.3, seed: int = 0
) -> tuple[Circuit, list[int]]:
    """Units at `resid.1`, some of which read and write the same but for noise; and the group of each."""
    random = np.random.default_rng(seed)
    truth = [*np.repeat(np.arange(groups), members).tolist(), *range(groups, groups + loose)]
    reads, writes = random.normal(size=(2, groups + loose, ENDS))
    n = ENDS + len(truth) + ENDS
    weight = np.zeros((n, n))  # [target, source]
    for unit, group in enumerate(truth):
        weight[ENDS + unit, :ENDS] = reads[group] + noise * random.normal(size=ENDS)
        weight[-ENDS:, ENDS + unit] = writes[group] + noise * random.normal(size=ENDS)
    target, source = np.nonzero(weight)
    made = Circuit(
        sites=(BELOW, HERE, ABOVE),
        units={BELOW: ENDS, HERE: len(truth), ABOVE: ENDS},
        site=np.repeat([0, 1, 2], [ENDS, len(truth), ENDS]),
        unit=np.concatenate([np.arange(ENDS), np.arange(len(truth)), np.arange(ENDS)]),
        position=np.full(n, -1),
        score=random.normal(size=n),
        patch_mean=np.zeros(n),
        source=source,
        target=target,
        weight=weight[target, source],
    )
    return made, truth


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", [0.1, 0.3, 0.5])
def test_planted_groups_are_found(noise: float, seed: int) -> None:
    made, truth = planted(noise=noise, seed=seed)
    found = grouped(made)
    of = {member: i for i, node in enumerate(found.supernodes) for member in node.members}
    here = [of.get(f"resid.1/{unit}", 100 + unit) for unit in range(len(truth))]
    assert adjusted_rand_score(truth, here) >= 0.8
    assert all(node.similarity >= 0.5 and node.accepted is None for node in found.supernodes)


def pair(**columns: np.ndarray) -> Circuit:
    """Two units that read the same two below them, and write the same one above them; those below do opposite things."""
    own = {
        "site": np.array([0, 0, 1, 1, 2]),
        "unit": np.array([0, 1, 0, 1, 0]),
        "position": np.full(5, -1),
        "score": np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
        "patch_mean": np.zeros(5),
        "source": np.array([0, 1, 0, 1, 2, 3, 0, 1]),
        "target": np.array([2, 2, 3, 3, 4, 4, OUTPUT, OUTPUT]),
        "weight": np.array([1.0, 2.0, 1.0, 2.0, 1.0, 1.0, 9.0, -9.0]),
    }
    return Circuit((BELOW, HERE, ABOVE), {BELOW: 2, HERE: 2, ABOVE: 1}, **{**own, **columns})


def members(made: Circuit, **options: Any) -> list[tuple[str, ...]]:
    return [node.members for node in grouped(made, **options).supernodes]


def test_a_pair_by_hand() -> None:
    (node,) = grouped(pair()).supernodes
    assert node.members == ("resid.1/1", "resid.1/0") and node.similarity == pytest.approx(1)
    assert node.name == "resid.1/1 and 1 more"
    turned = pair(weight=np.array([1.0, 2.0, -1.0, -2.0, 1.0, 1.0, 9.0, -9.0]))
    assert members(turned) == []  # what comes in is opposite, and the harmonic mean with 0 is 0
    half = pair(weight=np.array([1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 9.0, -9.0]))
    assert grouped(half).supernodes[0].similarity == pytest.approx(2 * 0.5**0.5 / (1 + 0.5**0.5))
    assert members(half, similar=0.9) == []


def test_what_lies_elsewhere_stays_apart() -> None:
    assert members(pair(position=np.array([-1, -1, 2, 3, -1]))) == []
    assert len(members(pair(position=np.array([-1, -1, 2, 3, -1])), together=True)) == 1
    assert members(pair(unit=np.array([0, 1, 0, ERROR, 0]))) == []
    far = replace(pair(), sites=(BELOW, HERE, Site("resid", 9)), site=np.array([0, 0, 1, 2, 2]))
    assert members(replace(far, units={**far.units, Site("resid", 9): 2})) == []


def test_a_unit_at_several_positions_is_one_where_positions_do_not_count() -> None:
    twice = pair(unit=np.array([0, 1, 1, 1, 0]), position=np.array([-1, -1, 2, 3, -1]))
    assert members(twice, together=True) == []  # both are one unit, and no other is like it
    three = planted(groups=1, members=3, loose=0, noise=0)[0]
    spread = replace(three, position=np.where(three.site == 1, np.arange(len(three)) % 2, -1))
    found = [group for group in members(spread, together=True) if group[0].startswith("resid.1")]
    assert [len(group) for group in found] == [3]


def test_common_tokens_bring_units_together_and_name_them() -> None:
    told = pair().with_details(promotes={"resid.1/0": [" are", " were"], "resid.1/1": [" Are", " be"]})
    (node,) = grouped(told, meaning=0.5).supernodes
    assert node.name == "promotes 'are'" and node.similarity == pytest.approx(0.5 * 1 + 0.5 / 3)
    other = pair().with_details(promotes={"resid.1/0": [" are"], "resid.1/1": [" is"]})
    assert members(other, meaning=0.6) == [] and len(members(other, meaning=0.0)) == 1
    fires = pair().with_details(top_tokens={"resid.1/0": ["cats"], "resid.1/1": ["cats", "dogs"]})
    assert grouped(fires).supernodes[0].name == "fires on 'cats'"


def test_groups_stay_in_a_file_and_in_a_choice(tmp_path: Path) -> None:
    found = grouped(pair())
    (node,) = found.supernodes
    assert Circuit.load(found.save(tmp_path / "c.json")).supernodes == found.supernodes
    assert [n.address for n in found[node.name]] == ["resid.1/0", "resid.1/1"]
    assert found.top(1).supernodes == () and found.top(2).supernodes[0].members == ("resid.1/1",)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"similar": 0.0}, "similar=0.0 and meaning=0.25: give shares, similar above 0"),
        ({"meaning": 1.5}, "meaning=1.5"),
        ({"most": 1}, "most=1 and span=7: give at least 2 units"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        grouped(pair(), **options)


def test_a_circuit_without_edges_cannot_be_grouped() -> None:
    with pytest.raises(ValueError, match="this circuit has none; wire it with clew.find"):
        grouped(pair().keep_edges(np.zeros(8, bool)))
