import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

import clew
from clew import finder
from clew import progress as progress_of
from clew.apps.cli import _options, commands, run
from clew.apps.cli._groups import Machine, View
from clew.apps.cli._options import arguments
from clew.circuits.circuit import Circuit
from clew.explain import top_tokens  # noqa: F401 - it is replaced by its name
from clew.measures.circuits import predicted_effects
from clew.progress import Stopped
from clew.report import Report, Row
from clew.sites import Site
from clew.studies.comparison import selections  # noqa: F401 - it takes the finder's `load` before the toys replace it
from tests.models.tiny import module_of


def small_circuit() -> Circuit:
    site = Site("resid", 0)
    index = np.arange(3)
    columns = {"site": index * 0, "unit": index, "position": index * 0 - 1, "score": np.array([0.1, -0.5, 0.3])}
    return Circuit((site,), {site: 8}, **columns, patch_mean=np.zeros(3), labels={"resid.0/1": "plural"})


def typed(words: str) -> int:
    return run(words.split())


def steady(
    model: object, behaviour: object, *, steps: int = 10, mode: Literal["fast", "slow"] = "fast",
    sizes: Sequence[int] = (1, 2), exact: bool = False, rule: Callable | None = None,
) -> Circuit:  # fmt: skip
    """A method.

    Args:
        steps: points on the line,
            in number.
        mode, exact: how.

    Returns: a circuit.
    """
    return small_circuit()


@pytest.fixture
def toys(monkeypatch, tmp_path):
    """A command line whose model, behaviours, methods and measures are toys; what they were called with."""
    calls = {}

    class Task:
        note = ""

        def filter(self, view: object) -> object:
            return self

        def prompts(self) -> list[str]:
            return ["a prompt"]

        @property
        def train(self) -> object:
            return "the training half"

        @classmethod
        def load(cls, name, **options):
            calls["behaviour"] = (name, options)
            return cls()

    def find(view, task, nodes=None, *, by, **options):
        calls["find"] = {"view": view, "by": by, "nodes": nodes, **options}
        return small_circuit()

    def tried(view, task, circuit, *, nodes, progress):
        calls["tried"] = (task, nodes)
        return circuit

    def verify(view, task, nodes, *, by, **options):
        calls["verify"] = {"by": by, "nodes": len(nodes), **options}
        return Report("toy", (Row("faithfulness", 0.5, 0.4, 0.6, "features", 3, 9),))

    monkeypatch.setattr(clew, "open", lambda name, **options: f"model {name}", raising=False)
    monkeypatch.setattr(clew, "find", find, raising=False)
    monkeypatch.setattr(clew, "verify", verify, raising=False)
    monkeypatch.setattr(predicted_effects, "with_predicted_effects", tried)
    monkeypatch.setattr(sys.modules["clew.explain.top_tokens"], "top_tokens", lambda view, circuit, texts: circuit)
    monkeypatch.setattr(clew, "Behaviour", Task, raising=False)
    monkeypatch.setattr(finder, "load", lambda folder, name: steady)
    monkeypatch.chdir(tmp_path)
    return calls


def test_options_come_from_the_methods_signature(toys, tmp_path):
    words = "find tiny agreement --steps 3 --mode slow --sizes 4 5 6 --exact --examples 7 --top 2 --out c.json"
    assert typed(words) == 0
    given = {"steps": 3, "mode": "slow", "sizes": [4, 5, 6], "exact": True, "held_out": True}
    assert toys["find"] == {"view": "model tiny", "by": "integrated_gradients", "nodes": None, **given}
    assert toys["behaviour"] == ("agreement", {"model": "model tiny", "n": 7})
    assert len(Circuit.load(tmp_path / "c.json")) == 2


def test_a_selection_is_written_as_for_the_bench(toys, tmp_path, capsys):
    assert typed("find tiny agreement --select ratio:rho=1 --top 2 --out c.json") == 0
    assert sorted(Circuit.load(tmp_path / "c.json").score) == [0.1, 0.3]
    for top in (2, 0):
        assert typed(f"find tiny agreement --select bootstrap --top {top}") == 1
        assert "have no standard error" in capsys.readouterr().err


def test_only_options_that_were_given_reach_the_method(toys):
    assert typed("find tiny agreement") == 0
    assert set(toys["find"]) == {"view", "by", "nodes", "held_out"}


def test_predictions_of_a_graph_are_tried_on_the_half_it_was_found_on(toys, monkeypatch):
    assert typed("find tiny agreement --tried 7") == 0 and "tried" not in toys
    edge = {"source": np.array([0]), "target": np.array([1]), "weight": np.ones(1), "weight_error": np.zeros(1)}
    monkeypatch.setattr(clew, "find", lambda *given, **options: replace(small_circuit(), **edge), raising=False)
    assert typed("find tiny agreement --tried 7") == 0
    assert toys["tried"] == ("the training half", 7)


@pytest.mark.parametrize("words", ["--mode loud", "--steps many", "--rule x", "--stepz 3"])
def test_an_option_that_does_not_fit_is_a_usage_error(toys, words, capsys):
    assert run(["find", "tiny", "agreement", *words.split()]) == 2
    assert "find" not in toys
    assert capsys.readouterr().out == ""


def test_json_is_all_that_stdout_gets(toys, capsys):
    assert typed("find tiny agreement --json --out c.json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["nodes"], said["circuit"]) == (3, "c.json")
    assert said["strongest"][0]["address"] == "resid.0/1" and said["strongest"][0]["score"] == -0.5
    assert typed("verify tiny agreement c.json --json") == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["value"] == 0.5


def test_the_fields_of_an_ablation_are_options_of_verify(toys, monkeypatch):
    from clew.measures.circuits.faithfulness import faithfulness

    monkeypatch.setattr(finder, "load", lambda folder, name: faithfulness)
    small_circuit().save("c.json")
    assert typed("verify tiny agreement c.json --ablation patch --errors keep --start 3") == 0
    assert toys["verify"]["ablation"] == clew.Ablation("patch", "keep", 3)
    assert "errors" not in toys["verify"]


def test_verify_saves_what_show_draws(toys, tmp_path):
    small_circuit().save("c.json")
    assert typed("verify tiny agreement c.json --by curve --out r.json") == 0
    assert toys["verify"] == {"by": "curve", "nodes": 3}
    assert typed("show c.json --report r.json") == 0
    assert "plural" in (tmp_path / "c.html").read_text()


def test_a_users_mistake_is_one_sentence_on_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["show", "nowhere.json"]) == 1
    heard = capsys.readouterr()
    assert heard.out == ""
    assert heard.err.startswith("clew: there is no file or folder 'nowhere.json'")
    assert "Traceback" not in heard.err


def test_an_unknown_method_names_the_near_ones(capsys):
    assert typed("find tiny agreement --by integrated_gradient") == 1
    assert "did you mean 'integrated_gradients'" in capsys.readouterr().err


def test_a_method_that_wires_a_circuit_asks_for_one(capsys):
    assert typed("find tiny agreement --by edges") == 1
    assert "give it as --circuit" in capsys.readouterr().err
    assert typed("find tiny agreement --by attribution_patching --circuit c.json") == 1
    assert "leave --circuit c.json out" in capsys.readouterr().err


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


def test_three_ways_to_see_a_model_are_not_mixed(toys):
    with pytest.raises(ValueError, match="give one of them"):
        View(neurons=("resid.0",), heads=True).open("tiny")


def test_dtype_reaches_the_model(toys, monkeypatch):
    monkeypatch.setattr(clew, "open", lambda name, **options: options, raising=False)
    assert Machine("float64", "cpu").open("tiny") == {"dtype": "float64", "device": "cpu"}


@pytest.mark.parametrize(
    ("options", "words"), [("--dtype int8", "'int8' is not a dtype that clew"), ("--device gpu", "use cpu, cuda")]
)
def test_what_a_machine_cannot_do_is_said(options, words, tmp_path, capsys):
    module_of().save_pretrained(tmp_path)
    assert typed(f"check {tmp_path} {options}") == 1
    assert words in " ".join(capsys.readouterr().err.split())


def test_the_next_line_is_as_this_one_was_typed(toys, monkeypatch, capsys):
    class View(str):
        def neurons(self, *sites: str) -> str:
            return f"{self} at {' '.join(sites)}"

    monkeypatch.setattr(clew, "open", lambda name, **options: View(name), raising=False)
    assert typed("find tiny agreement --neurons resid.0 resid.1 --examples 8 --all-pairs --out c.json") == 0
    assert toys["find"]["view"] == "tiny at resid.0 resid.1"
    wanted = "clew verify tiny agreement c.json --neurons resid.0 resid.1 --examples 8 --all-pairs, or clew show c.json"
    assert wanted in capsys.readouterr().err


def test_arguments_reads_our_docstrings():
    assert arguments(steady.__doc__) == {"steps": "points on the line, in number.", "mode": "how.", "exact": "how."}
    assert arguments('"""One.\n\n    Args: by: a file. seed: of chance.\n    Returns: x"""')["by"].startswith("a file.")


def test_by_is_found_in_both_spellings():
    for tokens in (["a", "--by", "x"], ["--by=x", "a"]):
        assert _options._value_of("--by", tokens) == "x"
    assert _options._value_of("--by", ["--through", "by"]) is None


def test_the_folder_is_the_menu():
    assert {"find", "verify", "show", "check", "models", "behaviours", "dictionaries"} <= set(commands())
    for name, function in commands().items():
        assert function.__name__ == name.replace("-", "_")
        assert function.__doc__


@pytest.mark.parametrize("command", ["models", "behaviours", "dictionaries"])
def test_lists_come_as_json_too(command, capsys):
    assert run([command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_dictionaries_lists_formats_and_packs(capsys):
    assert run(["dictionaries", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert "saelens" in said["formats"] and isinstance(said["packs"], list)
    assert run(["dictionaries"]) == 0
    assert re.search(r"^(installed packs: |no pack is installed)", capsys.readouterr().out, re.MULTILINE)


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


@pytest.mark.parametrize("stopped", [False, True])
def test_an_interrupted_measure_is_shown_as_far_as_it_came(toys, stopped, monkeypatch, capsys):
    def verify(*given, **options):
        raise Stopped("stopped", Report("curve", (Row("faithfulness", 0.5, 0.4, 0.6),), ("stopped after 2 of 9",)))

    small_circuit().save("c.json")
    if stopped:
        monkeypatch.setattr(clew, "verify", verify, raising=False)
    assert typed("verify tiny agreement c.json --by curve --out r.json") == (130 if stopped else 0)
    heard = capsys.readouterr()
    assert ("stopped after 2 of 9" in heard.out) == ("clew: interrupted" in heard.err) == stopped
    assert Report.load("r.json").rows


def test_a_pipe_hears_how_far_it_is_and_a_quiet_one_nothing(toys, monkeypatch, capsys):
    def slow(view, task, nodes=None, *, progress, **options):
        progress(1, 2)
        monkeypatch.setattr(progress_of.time, "monotonic", lambda: now + 30)
        progress(3, 4)
        monkeypatch.setattr(progress_of.time, "monotonic", lambda: now)
        return small_circuit()

    now = progress_of.time.monotonic()
    monkeypatch.setattr(finder, "load", lambda folder, name: slow)
    monkeypatch.setattr(clew, "find", slow, raising=False)
    assert typed("find tiny agreement") == 0
    assert "integrated gradients on agreement: 75%, 30 s so far, about 10 s left" in capsys.readouterr().err
    assert typed("find tiny agreement --quiet") == 0
    heard = capsys.readouterr()
    assert heard.err == "" and "3 nodes" in heard.out
    assert typed("find tiny agreement --quiet --top -1") == 1 and "clew: --top is -1" in capsys.readouterr().err


def test_an_interrupted_search_is_saved_as_far_as_it_came(toys, monkeypatch, capsys):
    def find(*given, **options):
        raise Stopped("stopped", small_circuit())

    monkeypatch.setattr(clew, "find", find, raising=False)
    assert typed("find tiny agreement --top 2 --out c.json") == 130
    heard = capsys.readouterr()
    assert "2 nodes and 0 edges, saved as c.json" in heard.out and "clew: interrupted" in heard.err
    assert len(Circuit.load("c.json")) == 2


@pytest.mark.parametrize("command", ["find", "verify", "edit", "train"])
def test_a_command_without_its_arguments_says_which_it_needs(capsys, command):
    assert run([command]) in (1, 2)
    assert "zip()" not in capsys.readouterr().err


def test_columns_and_numbers_of_examples_are_checked(capsys):
    from clew.apps.cli._groups import Asked

    for asked, said in (
        (Asked(examples=0), "--examples is 0"),
        (Asked(columns=("clean",)), "says not which column is what"),
    ):
        with pytest.raises(ValueError, match=said):
            asked.behaviour("nothing", None)


def test_columns_of_a_table_of_ones_own_are_named(tmp_path):
    from clew.apps.cli._groups import Asked
    from tests.models.tiny import model_of

    path = tmp_path / "own.jsonl"
    path.write_text('{"ask": "the nurse said", "say": " that"}\n' * 2)
    asked = Asked(columns=("clean=ask", "answers=say"), all_pairs=True)
    assert asked.behaviour(str(path), model_of()).pairs[0].clean == "the nurse said"
    assert asked.typed()[0] == "--columns clean=ask answers=say"
