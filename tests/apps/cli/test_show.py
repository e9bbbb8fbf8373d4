"""clew show: the page, and the strongest nodes in the terminal."""

import json
from pathlib import Path

import pytest

from clew.apps.cli import run
from clew.circuits.circuit import Circuit
from tests.apps.cli.test_find import folder as folder
from tests.apps.cli.test_find import found


@pytest.fixture
def bare() -> Path:
    """A circuit that says nothing of what its units fire on."""
    circuit = found("--through d.safetensors --top 8")
    kept = {name: value for name, value in circuit.details.items() if name == "tokens"}
    path = Path("bare.json")
    path.write_text(json.dumps(circuit.to_json() | {"details": kept}))
    return path


def test_the_strongest_nodes_are_told_with_their_tokens(capsys) -> None:
    found("--through d.safetensors --top 8")
    capsys.readouterr()
    assert run(["show", "circuit.json"]) == 0
    heard = capsys.readouterr()
    assert "fires on" in heard.out and "promotes" in heard.out and "--model" not in heard.err
    assert Path("circuit.html").stat().st_size > 20_000


def test_what_is_not_known_can_be_looked_up(bare, capsys) -> None:
    capsys.readouterr()
    assert run(["show", str(bare)]) == 0
    heard = capsys.readouterr()
    assert "fires on" not in heard.out and "--model NAME" in heard.err
    assert run(["show", str(bare), "--model", "tiny", "--through", "d.safetensors"]) == 0
    assert "fires on" in capsys.readouterr().out
    assert "top_tokens" not in Circuit.load(bare).details


def test_prompts_that_are_gone_leave_the_text(bare, capsys) -> None:
    Path("task.jsonl").unlink()
    words = ["show", str(bare), "--model", "tiny", "--through", "d.safetensors"]
    assert run(words) == 1
    assert "cannot be read again" in capsys.readouterr().err
    Path("text.txt").write_text("a doctor was very good .")
    assert run([*words, "--text", "text.txt", "--json", "--quiet"]) == 0
    tokens = {token for card in json.loads(capsys.readouterr().out)["strongest"] for token in card["fires_on"] or ()}
    assert tokens and tokens <= set("a doctor was very good .".split())


def test_a_text_without_a_model_is_a_mistake(bare, capsys) -> None:
    assert run(["show", str(bare), "--text", "x.txt"]) == 1
    assert "name it by --model" in capsys.readouterr().err
