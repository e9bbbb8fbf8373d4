"""Names of a circuit's units, wherever they come from."""

from pathlib import Path

import pytest

import clew
from clew.apps.cli._names import named, units_of
from clew.circuits.circuit import Circuit
from clew.labels import Labels
from tests.apps.cli.test_explain import circuit, folder
from tests.readings.index.planted import KING, VERY

__all__ = ["folder"]


@pytest.fixture
def found(tmp_path: Path) -> Circuit:
    return Circuit.load(circuit(tmp_path / "c.json"))


def test_an_index_explains_what_nobody_has(found: Circuit, folder: Path, capsys) -> None:
    assert units_of(found) == [f"embed/{KING}", f"embed/{VERY}", "resid.1/3"]
    made, said = named(found, str(folder))
    assert (
        "king" in made.labels.name(f"embed/{KING}")
        and said == f"2 of 3 units have a name, by {folder}; it says nothing of resid.1"
    )
    assert "names from so few are guesses" in capsys.readouterr().err
    known = clew.Index.load(folder).labels.all()
    assert made.labels[f"embed/{KING}"] == known[f"embed/{KING}"]
    assert named(found, str(folder))[0] == made and clew.Index.load(folder).labels.all() == known


def test_a_file_of_labels_names_its_units(found: Circuit, tmp_path: Path) -> None:
    path = Labels.of({f"embed/{KING}": "kings", "embed/0": "of no node"}).save(tmp_path / "names.json.gz")
    made, said = named(found, str(path))
    assert dict(made.labels) == {f"embed/{KING}": made.labels[f"embed/{KING}"]} and "1 of 3" in said


def test_what_names_nothing_is_refused(found: Circuit) -> None:
    with pytest.raises(ValueError, match=r"nowhere is no index, no file of labels and no pack; "):
        named(found, "nowhere")
