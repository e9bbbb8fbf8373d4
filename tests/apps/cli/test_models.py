import json

from clew.apps.cli import run
from clew.finder import names
from clew.models.bundled import BUNDLED
from clew.models.families import families
from tests.apps.cli.toys import typed


def test_models_lists_what_opens_by_name_and_the_families(capsys):
    assert run(["models", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in said["models"]] == list(BUNDLED)
    assert said["families"] == names("models.architectures") and "llama" in said["families"]


def test_every_family_is_a_line_with_its_verdict(capsys):
    assert typed("models --families") == 0
    _, *lines, _, last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [row.type for row in families().rows]
    assert all(f" {row.verdict} " in line for row, line in zip(families().rows, lines, strict=True))
    assert f"{families().counts['exact']} exact" in last and families().transformers in last


def test_those_of_a_name_say_why_what_they_lack_is_not_there(capsys):
    assert typed("models --families deepseek_v2") == 0
    said = capsys.readouterr().out
    (row,) = families().named("deepseek_v2").rows
    assert "deepseek_v2: no k (3): the keys of model.layers.N come from no one linear map" in said and row.lacks
    assert typed("models --families deepseek_v2 --json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(families().named("deepseek_v2").to_json()))


def test_a_name_that_is_none_or_that_stands_alone_is_an_error(capsys):
    assert typed("models --families mistrel") == 1
    assert "did you mean 'mistral'" in capsys.readouterr().err
    assert typed("models smollm2-135m") == 1
    assert "clew check smollm2-135m" in capsys.readouterr().err
