import json

from clew import Behaviour
from clew.apps.cli import run


def test_behaviours_lists_every_name_with_a_line_about_it(capsys):
    assert run(["behaviours", "--json"]) == 0
    said = {entry["name"]: entry["description"] for entry in json.loads(capsys.readouterr().out)}
    assert said == Behaviour.available() and all(said.values())
