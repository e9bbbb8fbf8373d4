"""The notebooks run, cell by cell, on a model written by hand that knows capitals and the number of a subject."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import jupytext
import nbclient
import nbformat
import pytest

import clew
from clew.data.words import PEOPLE, PLACE_WORDS, SINGULAR_PLURAL_VERBS, THINGS
from clew.labels import Labels
from tests.stage import ASKED, CAPITALS, ORDINARY, dictionary, knowing

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "tutorials").glob("*.py"))
TEXTS = [*ORDINARY, *(f"{ASKED.format(land)} {city}" for land, city in CAPITALS.items())] * 12


@cache
def module() -> clew.Model:
    """The model of the stage, grown by all people and things of our templates."""
    verbs = {one.strip(): many.strip() for one, many in SINGULAR_PLURAL_VERBS}
    return knowing(PEOPLE, verbs, [*THINGS, *THINGS.values(), *PLACE_WORDS])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What stands in place of the cell of parameters, in a folder that is this notebook's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path / "cache"))
    model = module()
    model.body.module.save_pretrained(tmp_path / "model")
    model.tokenizer.save_pretrained(tmp_path / "model")
    for site in ("resid.1", "resid.2"):
        dictionary(site, model.body.widths[model.body.site(site)]).save(tmp_path / "saes" / f"{site}.safetensors")
    return {
        "MODEL": "model", "DICTIONARIES": "saes", "SITES": ["resid.1", "resid.2"], "LAYERS": [1, 2], "LAYER": 1,
        "PAIRS": 8, "NAMES": Labels.of({"resid.2/17": "number of the subject"}), "TEXTS": TEXTS, "TOKENS": 400,
        "STEPS": 4, "UNITS": 24, "ACTIVE": 2,
    }  # fmt: skip


def cells(path: Path) -> list[Any]:
    return jupytext.read(path).cells


def parameters(path: Path) -> set[str]:
    """The names that a notebook's cell of parameters sets."""
    (cell,) = (cell for cell in cells(path) if "parameters" in cell.metadata.get("tags", ()))
    assigned = (node for node in ast.parse(cell.source).body if isinstance(node, ast.Assign))
    return {
        name.id
        for node in assigned
        for name in ast.walk(node)
        if isinstance(name, ast.Name) and name.ctx.__class__ is ast.Store
    }


def shown(source: str, here: dict[str, Any], where: str) -> Any:
    """What a cell shows: the value of its last line."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, where, "exec"), here)
    return None if last is None else eval(compile(ast.Expression(last.value), where, "eval"), here)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_what_it_shows_is_shown_well(path: Path, settings: dict[str, Any]) -> None:
    here: dict[str, Any] = {"__name__": "__main__"}
    for i, cell in enumerate(cells(path)):
        if "parameters" in cell.metadata.get("tags", ()):
            here |= {name: settings[name] for name in parameters(path)}
        elif cell.cell_type == "code":
            value = shown(cell.source, here, f"{path.name}, cell {i}")
            html = getattr(value, "_repr_html_", str)()
            assert "<script" not in re.sub(r'srcdoc="[^"]*"', "", html) and " object at 0x" not in html


@pytest.mark.slow
def test_in_a_kernel_a_notebook_shows_tables_plots_and_the_page_and_its_bars_are_taken_away(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    book = jupytext.read(ROOT / "docs" / "tutorials" / "first_circuit.py")
    plain = {name: value for name, value in settings.items() if isinstance(value, str | int | list)}
    told = "\n".join(f"{name} = {value!r}" for name, value in plain.items())
    for cell in book.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            cell.source = f"from clew.labels import Labels\nNAMES = Labels()\n{told}"
    nbclient.NotebookClient(book, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    data = [output.data for output in outputs if "data" in output]
    assert sum("image/png" in one for one in data) == 2
    assert sum("<table" in one.get("text/html", "") for one in data) == 3
    assert sum('sandbox="allow-scripts"' in one.get("text/html", "") for one in data) == 1
    assert not [one for one in data if "<progress" in one.get("text/html", "")]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if "so far" in output.get("text", "")]  # a line of progress
    assert len(nbformat.writes(book)) < 2_000_000


def test_notebooks_call_what_is_public() -> None:
    """Nothing of `clew` whose name, or the name of whose folder, begins with an underscore."""
    for path in NOTEBOOKS:
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            said = node.attr if isinstance(node, ast.Attribute) else getattr(node, "module", None) or ""
            assert not re.search(r"(^|\.)_", said), f"{path.name}: {said}"


def test_every_link_from_a_notebook_to_another_is_one() -> None:
    for path in NOTEBOOKS:
        for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).exists(), f"{path.name}: {link}"
