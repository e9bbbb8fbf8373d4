import json
import re

from clew.apps.cli import run
from tests.dictionaries.test_relu import by_hand


def test_a_file_is_listed_by_site_type_and_size(tmp_path, capsys):
    by_hand().save(tmp_path / "d.safetensors")
    assert run(["dictionaries", str(tmp_path), "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert said == {"reads": "resid.0", "writes": "resid.0", "type": "ReLU", "units": 3, "d_in": 2}


def test_without_a_path_the_formats_that_can_be_read_are_listed(capsys):
    assert run(["dictionaries", "--json"]) == 0
    assert {"clew", "saelens", "sparsify"} <= set(json.loads(capsys.readouterr().out)["formats"])


def test_dictionaries_lists_formats_and_packs(capsys):
    assert run(["dictionaries", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert "saelens" in said["formats"] and isinstance(said["packs"], list)
    assert run(["dictionaries"]) == 0
    assert re.search(r"^(installed packs: |no pack is installed)", capsys.readouterr().out, re.MULTILINE)
