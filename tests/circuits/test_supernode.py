"""Supernodes: what one is, and what a file may say of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from clew.circuits.circuit import Circuit
from clew.circuits.supernode import Supernode
from tests.circuits.test_circuit import circuit


def test_fewer_members_are_another_group() -> None:
    node = Supernode("plural", ("resid.0/3", "mlp.1/7"), 0.9, accepted=True)
    assert node.among({"resid.0/3", "mlp.1/7", "mlp.1/8"}) is node
    assert node.among({"mlp.1/7"}) == Supernode("plural", ("mlp.1/7",), 0.9)
    assert node.among({"mlp.1/8"}) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([("a", ("resid.0/3",)), ("a", ("mlp.1/7",))], "two supernodes have the name 'a'"),
        ([("a", ("resid.0/3",)), ("b", ("resid.0/3",))], "the node resid.0/3 is in two supernodes"),
        ([("a", ("resid.0/4",))], "no node of this circuit has the address 'resid.0/4'"),
    ],
)
def test_groups_that_do_not_fit_are_refused(given: list[tuple[str, tuple[str, ...]]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        circuit().with_supernodes(Supernode(*one) for one in given)
    with pytest.raises(ValueError, match="a name and at least one member"):
        Supernode("a", ())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"members": "resid.0/3"}, r"supernodes\[0\].members is 'resid.0/3'; a list is due"),
        ({"accepted": 1}, r"supernodes\[0\].accepted is 1"),
        ({"members": ["resid.0/9"]}, "no node of this circuit has the address 'resid.0/9'"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_a_file_says_wrong_is_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = circuit().with_supernodes([Supernode("a", ("resid.0/3",))]).save(tmp_path / "c.json")
    held = json.loads(path.read_text())
    held["supernodes"][0] |= change
    path.write_text(json.dumps(held))
    with pytest.raises(ValueError, match=words):
        Circuit.load(path)
