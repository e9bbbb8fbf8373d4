"""clew units: the sites of an index, a unit, and units by their labels."""

import json
from pathlib import Path

import pytest

from clew.apps.cli import run
from clew.labels import Label
from tests.readings.index.planted import KING, indexed, signed_dictionary, words_dictionary


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    index = indexed(tmp_path / "index", words_dictionary(), signed_dictionary())
    index.labels.add(f"embed/{KING}", Label("words for kings", "person", origin="Ada"))
    return tmp_path / "index"


def typed(*words: object) -> int:
    return run([str(word) for word in words])


def test_the_sites(folder: Path, capsys) -> None:
    assert typed("units", folder) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["site", "embed", "resid.1"]


def test_a_unit(folder: Path, capsys) -> None:
    assert typed("units", folder, f"embed/{KING}", "--top", 2) == 0
    head, label, *rest = capsys.readouterr().out.splitlines()
    assert head.startswith(f"embed/{KING} fires at ") and "words for kings (person, Ada)" in label
    assert len([line for line in rest if "« king»" in line]) == 2
    assert typed("units", folder, "resid.1/3", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["unit"] == "resid.1/3" and said["nearest"].keys() == {"decoder", "cofiring"}
    assert said["positive"] + said["negative"] == pytest.approx(1)


def test_a_unit_at_all_strengths(folder: Path, capsys) -> None:
    assert typed("units", folder, "resid.1/3", "--top", 4, "--quantiles", 2, "--json") == 0
    shown = [abs(context["value"]) for context in json.loads(capsys.readouterr().out)["contexts"]]
    assert len(shown) == 4 and min(shown[:2]) >= max(shown[2:])


def test_bands_are_told_apart(folder: Path, capsys) -> None:
    assert typed("units", folder, "resid.1/3", "--top", 4, "--quantiles", 2, "--json") == 0
    value = json.loads(capsys.readouterr().out)
    first, second = value["bands"]
    assert first["low"] >= second["high"] and first["shown"] + second["shown"] == len(value["contexts"]) == 4
    assert first["firings"] + second["firings"] == value["firings"]
    sizes = [abs(context["value"]) for context in value["contexts"]]
    assert sizes == sorted(sizes, reverse=True)
    assert typed("units", folder, "resid.1/3", "--top", 4, "--quantiles", 2) == 0
    lines = capsys.readouterr().out.splitlines()[-8:]
    for band, (blank, head, *shown) in zip(value["bands"], (lines[:4], lines[4:]), strict=True):
        bounds = f"{band['high']:.3g} to {band['low']:.3g}"
        assert (blank, head) == ("", f"{bounds}: {band['firings']:.0f} firings") and len(shown) == 2


def test_units_by_their_labels(folder: Path, capsys) -> None:
    assert typed("units", folder, "--search", "king") == 0
    assert capsys.readouterr().out.split()[:2] == [f"embed/{KING}", "words"]
    assert typed("units", folder, "--search", "queen") == 0
    said = "no label holds 'queen'; the index holds 1 label, and clew explain makes them"
    assert said in capsys.readouterr().out


def test_a_file_is_no_index(tmp_path: Path, capsys) -> None:
    path = tmp_path / "simple.json"
    path.write_text("{}")
    for words in (("units", path), ("explain", path, "--units", "embed/1")):
        assert typed(*words) == 1
        assert f"{path} is a file, and an index is a folder" in capsys.readouterr().err


@pytest.mark.parametrize("unit", ["resid.1", "resid.1/x", "resid.1/99", "resid.9/1"])
def test_what_is_no_unit_is_said(folder: Path, capsys, unit: str) -> None:
    assert typed("units", folder, unit) == 1
    assert "no unit" in (said := capsys.readouterr().err) or "is not in" in said
