"""clew serve: what can be asked of it on the command line; the protocol is tried in tests/apps/agent."""

import json

from clew.apps.cli import run


def test_one_tool_is_called_and_its_answer_printed(tmp_path, capsys):
    assert run(["serve", str(tmp_path), "--call", "items", "{}"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["items"] == [] and told["grounds"]["command"].startswith("clew serve . --call items")


def test_what_is_asked_wrongly_is_a_sentence(tmp_path, capsys):
    for words, said in (
        ([], "say what to do: --mcp"),
        (["--call", "items"], "as JSON"),
        (["--call", "show", '{"path": "x.json"}'], "there is no file 'x.json'"),
        (["--call", "nothing", "{}"], "nothing"),
    ):
        assert run(["serve", str(tmp_path), *words]) == 1
        assert said in capsys.readouterr().err
