"""The command: its menu, its exit codes, and what goes to which stream."""

import json
import subprocess
import sys

import pytest

import clew
from clew.apps.cli import commands, run
from tests.apps.cli.toys import typed


def test_a_users_mistake_is_one_sentence_on_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["show", "nowhere.json"]) == 1
    heard = capsys.readouterr()
    assert heard.out == ""
    assert heard.err.startswith("clew: there is no file or folder 'nowhere.json'")
    assert "Traceback" not in heard.err


def test_a_mistake_of_ours_is_not_hidden(toys, monkeypatch):
    monkeypatch.setattr(clew, "find", lambda *_, **__: 1 / 0, raising=False)
    with pytest.raises(ZeroDivisionError):
        typed("find tiny agreement")


def test_an_interrupt_exits_130(toys, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(clew, "find", stop, raising=False)
    assert typed("find tiny agreement") == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_folder_is_the_menu():
    assert {"find", "verify", "show", "check", "models", "behaviours", "dictionaries"} <= set(commands())
    for name, function in commands().items():
        assert function.__name__ == name.replace("-", "_")
        assert function.__doc__


@pytest.mark.parametrize("command", ["models", "behaviours", "dictionaries"])
def test_lists_come_as_json_too(command, capsys):
    assert run([command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def clew_command(*tokens: str, code: str = "from clew.apps.cli import main; main()") -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *tokens], capture_output=True, text=True, check=False)


def test_help_lists_the_commands_and_leaves_torch_alone():
    helped = clew_command(
        code="import sys; from clew.apps.cli import run; run(['--help']); print('torch' in sys.modules)"
    )
    assert "verify" in helped.stdout
    assert helped.stdout.endswith("False\n")


@pytest.mark.parametrize(("tokens", "code"), [(["--version"], 0), (["nonsense"], 2), (["show", "nowhere.json"], 1)])
def test_exit_codes(tokens, code):
    assert clew_command(*tokens).returncode == code


@pytest.mark.parametrize("command", ["find", "verify", "edit", "train"])
def test_a_command_without_its_arguments_says_which_it_needs(capsys, command):
    assert run([command]) in (1, 2)
    assert "zip()" not in capsys.readouterr().err
