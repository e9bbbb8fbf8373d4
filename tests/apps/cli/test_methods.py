import json

from clew.apps.cli import run
from clew.finder import names


def test_every_one_is_listed_with_a_line_about_it(capsys):
    assert run(["methods", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    known = names("methods")
    assert sorted(row["name"] for row in said) == sorted(known) and all(row["description"] for row in said)
    assert run(["methods"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(known)
