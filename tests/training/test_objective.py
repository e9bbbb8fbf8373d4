"""What all objectives stand on: moments, scalings, and how deep the house inherits."""

import ast
from pathlib import Path

import pytest
import torch

from clew.finder import names
from clew.sites import Site
from clew.training.objective import Clock, Objective, Scaling

ROOM = Path(__file__).parents[2] / "clew" / "training"


def test_a_ramp_rises_over_its_share_of_the_steps() -> None:
    assert [Clock(step, 200).ramp(0.1) for step in (1, 10, 20, 200)] == [0.05, 0.5, 1.0, 1.0]
    assert Clock(1, 200).ramp(0.0) == 1.0


def test_the_size_of_a_scaling_is_its_mean() -> None:
    assert Scaling(torch.zeros(4), torch.tensor([1.0, 1.0, 3.0, 3.0])).size == 2.0


def test_what_is_given_to_an_objective_is_kept_and_the_rest_is_empty() -> None:
    class Half(Objective):
        start = loss = finish = None

    fit = Half(lr=0.5)
    reads, writes = {Site("resid", 1): 3}, {Site("mlp", 1): 4}
    fit.place(reads, writes)
    assert (fit.lr, fit.reads, fit.writes, fit.tensors, fit.frozen) == (0.5, reads, writes, {}, set())
    assert not (fit.pairs or fit.several or fit.gathers or fit.sharded)


def test_no_objective_inherits_from_another() -> None:
    """Composition: an Objective is abstract or final, and so is everything else here."""
    classes = {}
    for path in ROOM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                classes[node.name] = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
    heirs = {name: [b for b in bases if b in classes] for name, bases in classes.items()}
    assert all(bases in ([], ["Objective"]) for bases in heirs.values()), heirs
    assert len(names("training.objectives")) >= 19


@pytest.mark.parametrize("name", names("training.objectives"))
def test_every_objective_has_a_test_of_its_name(name: str) -> None:
    assert (Path(__file__).parent / "objectives" / f"test_{name}.py").exists()
