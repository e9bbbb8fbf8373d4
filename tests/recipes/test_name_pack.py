"""The recipe of the pack's names: a site is made again where it was made otherwise."""

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clew.files import read_any_json, write_json
from clew.labels import Labels

RECIPE = Path(__file__).parents[2] / "recipes" / "name_pack.py"
ROW = {"site": "resid.3", "units": 2}


@pytest.fixture
def recipe(tmp_path: Path) -> dict[str, Any]:
    """Its names, of one dictionary, with nothing that takes long; `made` holds the sites that were made."""
    names, made = runpy.run_path(str(RECIPE)), list[str]()

    def named(site: str, *_: Any) -> tuple[Labels, dict[str, Any]]:
        made.append(site)
        return Labels({}), dict(ROW)

    dictionary = SimpleNamespace(writes="resid.3", fingerprint="aa")
    stubs = {"Dictionary": SimpleNamespace(load=lambda _: [dictionary]), "indexes": lambda *_: (None, None)}
    inside = names["run"].__globals__
    inside.update(stubs, named=named, PACK=tmp_path, RESULT=tmp_path / "names.json")
    return {"globals": inside, "made": made, "dictionary": dictionary, "run": names["run"]}


def test_a_site_is_made_again_where_it_was_made_otherwise(recipe: dict[str, Any], tmp_path: Path, capsys) -> None:
    def again(tokens: int = 100) -> int:
        before = len(recipe["made"])
        recipe["run"](tmp_path, [], tokens, None)
        return len(recipe["made"]) - before

    assert [again(), again(), again(200), again(200)] == [1, 0, 1, 0]
    for name, other in (("CLAUSES", 3), ("AMONG", 5)):
        recipe["globals"][name] = other
        assert [again(200), again(200)] == [1, 0]
    recipe["dictionary"].fingerprint = "bb"
    assert [again(200), again(200)] == [1, 0]
    write_json(tmp_path / "names.json", {"model": "m", "rows": [ROW]})  # does not say how it was made
    assert [again(200), again(200)] == [1, 0]
    assert "made with" not in capsys.readouterr().out
    ((row,),) = [read_any_json(tmp_path / "names.json")["rows"]]
    assert row.items() >= ROW.items() and row["made with"]["clauses"] == 3
