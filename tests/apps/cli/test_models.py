import json

from clew.apps.cli import run
from clew.finder import names
from clew.models.bundled import BUNDLED


def test_models_lists_what_opens_by_name_and_the_families(capsys):
    assert run(["models", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in said["models"]] == list(BUNDLED)
    assert said["families"] == names("models.architectures") and "llama" in said["families"]
