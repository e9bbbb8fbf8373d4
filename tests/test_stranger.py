"""A package that is not clew (tests/stranger) adds to every room, and a broken one harms only itself."""

import json
import os
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import clew
from clew import finder
from clew.apps.cli import run
from clew.circuits.circuit import ANYWHERE
from clew.data.facts.facts import Facts
from clew.dictionaries import ReLU
from clew.models.selfcheck import selfcheck
from tests.models.tiny import model_of, module_of, word_tokenizer

STRANGER = Path(__file__).parent / "stranger"
WORDS = ("man", "woman", "doctor", "nurse")
QUEENS = [{"ask": f"the {w} said", "instead": f"the {w} was", "yes": " king", "no": " queen"} for w in WORDS]


def groups() -> dict[str, dict[str, str]]:
    """The entry points of the stranger, as its pyproject.toml says them."""
    return tomllib.loads((STRANGER / "pyproject.toml").read_text())["project"]["entry-points"]


def install(folder: Path, name: str, entries: dict[str, dict[str, str]]) -> Path:
    """What pip would leave of a package beside its modules; the folder belongs on the path."""
    place = folder / f"{name}-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    sections = (f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in of.items()) for group, of in entries.items())
    (place / "entry_points.txt").write_text("\n".join(sections))
    return folder


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    monkeypatch.syspath_prepend(str(STRANGER))
    monkeypatch.syspath_prepend(str(install(tmp_path / "site", "theirs", groups())))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def broken(tmp_path, monkeypatch) -> Path:
    """Every room has a guest whose module is not there, and one that answers no question."""
    entries = {group: {"gone": "no_such_module:gone", "silent": "builtins:NotImplemented"} for group in groups()}
    monkeypatch.syspath_prepend(str(install(tmp_path / "site", "wreck", entries)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in QUEENS))
    return path


def some_dictionary(kind: type = ReLU) -> ReLU:
    W = torch.eye(32)[:, :4].contiguous()
    return kind("resid.0", W_enc=W, W_dec=W.T.contiguous(), b_dec=torch.zeros(32), centred=False)


@pytest.mark.parametrize("group", groups())
def test_every_room_lists_and_loads_them(installed, group):
    for name, value in groups()[group].items():
        assert name.replace("-", "_") in finder.names(group.removeprefix("clew."))
        found = finder.file(group.removeprefix("clew."), name)
        assert f"{found.__module__}:{found.__name__}" == value if ":" in value else found.__name__ == value


def test_a_method_a_measure_and_an_edit_by_name(installed):
    view, task = model_of().components(), clew.Behaviour.load(lines(installed / "queens.jsonl"), model=model_of())
    plain = clew.find(view, task, by="attribution_patching", positions=False)
    circuit = clew.find(view, task, by="theirs", factor=3.0)
    np.testing.assert_allclose(circuit.score, 3 * plain.score)
    assert clew.verify(view, task, circuit.top(5), by="theirs", each=2)["nodes"].value == 10
    assert clew.edit(view, by="theirs", factor=0.25)[0].factor == 0.25
    assert finder.load("circuits.selection", "theirs")(circuit, 2).score.tolist() == circuit.score[:2].tolist()


def test_behaviours_by_name_and_from_a_file(installed):
    assert clew.Behaviour.available()["their_questions/royal"] == "Who reigns?"
    assert len(clew.Behaviour.load("their_questions/medical")) == 2
    read = clew.Behaviour.load(lines(installed / "queens.jsonl"))
    assert {p.clean for p in read.pairs} == {row["ask"] for row in QUEENS}
    assert clew.Behaviour.load(installed / "queens.jsonl", format="their_lines").hash == read.hash


def test_facts_from_a_file(installed):
    (installed / "facts.json").write_text(json.dumps({"theirs": [["{} is in", "Rome", "Spain", "Italy"]]}))
    assert Facts.load(installed / "facts.json")[0].target == "Spain"


def test_a_type_of_dictionary_is_saved_and_read(installed):
    from theirs.dictionary import Theirs

    some_dictionary(Theirs).save(installed / "d.safetensors")
    (read,) = clew.Dictionary.load(installed / "d.safetensors")
    assert type(read) is Theirs and read.encode(2 * torch.eye(32)[0])[0] == 1


def test_a_format_of_dictionaries_is_written_and_read(installed):
    some_dictionary().save(installed / "d.theirs", format="theirs")
    (read,) = clew.Dictionary.load(installed / "d.theirs")
    assert str(read.reads) == "resid.0" and torch.equal(read.W_enc, some_dictionary().W_enc)


def test_a_format_of_circuits_is_read(installed):
    (installed / "c.json").write_text(json.dumps({"theirs": {"resid.0/3": 0.5, "resid.0/4": -1.0}}))
    read = clew.Circuit.load(installed / "c.json")
    assert [n.address for n in read] == ["resid.0/3", "resid.0/4"] and read.position.tolist() == [ANYWHERE] * 2


def test_a_model_of_their_family_opens_and_keeps_every_promise(installed):
    from theirs.architecture import tiny

    torch.manual_seed(0)
    model = clew.open(tiny().eval(), tokenizer=word_tokenizer())
    assert selfcheck(model.body).ok
    assert len(model.run("the nurse said", read=["resid.1"])["resid.1"]) == 1


def test_the_command_line_runs_all_of_it(installed):
    module_of().save_pretrained(installed / "model")
    word_tokenizer().save_pretrained(installed / "model")
    lines(installed / "queens.jsonl")
    path = os.pathsep.join(map(str, (STRANGER, installed / "site", STRANGER.parent.parent)))
    commands = [
        "their-greeting Ann",
        "models",
        "dictionaries",
        "behaviours",
        "find model queens.jsonl --by theirs --factor 3 --components --all-pairs --top 4 --out c.json",
        "verify model queens.jsonl c.json --by theirs --each 2 --components --all-pairs",
        "bench circuits --model model --behaviours queens.jsonl --units components --searches theirs --select theirs "
        "--sizes 0.5 1 --examples 4 --all-pairs",
    ]
    code = "import sys; from clew.apps.cli import run; sys.exit(max(run(line.split()) for line in sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *commands], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    for said in ("hello, Ann", "strange", "theirs", "their_questions/royal", "4 nodes", "8.000", "theirs, theirs"):
        assert said in done.stdout, (said, done.stdout)
    assert json.loads((installed / "c.json").read_text())["provenance"]["method"] == "theirs"


def test_what_is_broken_elsewhere_harms_nothing_of_ours(broken):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        some_dictionary().save(broken / "d.safetensors")
        assert len(clew.Dictionary.load(broken / "d.safetensors")) == 1
        (broken / "c.json").write_text(json.dumps(small_circuit().to_json()))
        assert len(clew.Circuit.load(broken / "c.json")) == 1
        Facts.one("{} is in", "Rome", "Spain").save(broken / "f.json")
        assert len(Facts.load(broken / "f.json")) == 1
        pairs = [{"clean_prefix": "a", "patch_prefix": "b", "clean_answer": "x", "patch_answer": "y"}] * 2
        (broken / "b.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
        assert len(clew.Behaviour.load(broken / "b.jsonl")) == 2
        assert clew.open(module_of().eval(), tokenizer=word_tokenizer()).sites()
        assert run(["models"]) == 0


def small_circuit() -> clew.Circuit:
    site, columns = clew.Site("resid", 0), {name: np.zeros(1, int) for name in ("site", "unit", "position")}
    return clew.Circuit((site,), {site: 8}, **columns, score=np.zeros(1), patch_mean=np.zeros(1))


def test_where_it_matters_the_broken_one_is_named(broken):
    (broken / "b.jsonl").write_text('{"strange": 1}\n')
    with pytest.raises(ValueError, match="none of the layouts"), pytest.warns(UserWarning, match="'gone' of wreck"):
        clew.Behaviour.load(broken / "b.jsonl")
    with pytest.warns(UserWarning, match="'gone' of wreck"):
        assert "ioi" in clew.Behaviour.available()


@pytest.mark.parametrize("room", ["methods", "data.formats.behaviours", "models.architectures", "apps.cli"])
def test_asked_for_by_name_the_broken_one_raises_its_own_error(broken, room):
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        finder.load(room, "gone")


def test_a_broken_command_is_one_sentence_on_stderr(broken, capsys):
    assert run(["gone"]) == 1
    assert capsys.readouterr().err == "clew: No module named 'no_such_module'\n"
