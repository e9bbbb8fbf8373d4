"""Results made again from their records: a tiny model's circuit, report and edits, whole and in parts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import clew
from clew.report import Report, Row
from clew.studies.replication.replicate import Given, compared, named_in, replicate
from tests.apps.cli.toys import small_circuit
from tests.models.tiny import model_of, relu_dictionary

PAIRS = [("nurse", "king", "she", "he"), ("queen", "man", "she", "he"), ("woman", "king", "she", "he")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Pairs in a file, dictionaries in another, and a model that is opened by any name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clew, "open", lambda name, **_: model_of())
    columns = ("clean_prefix", "patch_prefix", "clean_answer", "patch_answer")
    rows = [
        dict(zip(columns, (f"the {a} {word} that", f"the {b} {word} that", f" {yes}", f" {no}"), strict=True))
        for a, b, yes, no in PAIRS
        for word in ("said", "was")
    ]
    Path("task.jsonl").write_text("\n".join(map(json.dumps, rows)))
    relu_dictionary(model_of(), "resid.1").save("d.safetensors")


@pytest.fixture
def made(folder):
    """A view, its task, and a circuit found on it."""
    view = model_of().through(relu_dictionary(model_of(), "resid.1"))
    task = clew.Behaviour.load("task.jsonl", model=view)
    return view, task, clew.find(view, task, by="attribution_patching")


@pytest.fixture
def given():
    return Given(through=(Path("d.safetensors"),))


def test_a_circuit_is_found_again_to_the_bit(made, given):
    _, _, found = made
    found.top(5).save("circuit.json")
    (again,) = replicate("circuit.json", given=given)
    assert again.agrees
    assert [n.verdict for n in again.numbers] == ["same"] * 5


def test_a_wired_circuit_is_searched_and_wired_again(made, given):
    view, task, found = made
    clew.find(view, task, found.keep(found.unit >= 0).top(4), by="edges").save("wired.json")
    (again,) = replicate("wired.json", given=given)
    assert again.agrees, again
    assert any(n.what.startswith("edge") for n in again.numbers)


def test_a_report_of_the_best_nodes_is_measured_again_on_those(made, given):
    view, task, found = made
    report = clew.verify(view, task, found.top(5))
    report.save("report.json")
    (again,) = replicate("report.json", given=given)
    assert again.agrees, again
    assert len(again.numbers) == len(report.rows)


def test_a_sum_of_reports_is_made_again_part_by_part(made, given):
    view, task, found = made
    plain = clew.find(model_of(), task, by="attribution_patching")
    (clew.verify(view, task, found.top(5)) + clew.verify(model_of(), task, plain.top(3))).save("both.json")
    told = []
    (again,) = replicate("both.json", given=given, progress=lambda done, of, _={}: told.append((done, of)))
    assert again.agrees, again
    assert told == [(0, 2), (1, 2)]


def test_what_was_not_measured_so_differs(made, given):
    view, task, found = made
    told = clew.verify(view, task, found.top(5)).to_json()
    told["rows"][0] |= {"value": 7.0, "low": 6.9, "high": 7.1}
    Path("false.json").write_text(json.dumps(told))
    (again,) = replicate("false.json", given=given)
    assert not again.agrees
    assert again.numbers[0].verdict == "differs"
    assert "7 then" in str(again)


def test_a_part_whose_dictionaries_are_gone_says_so_and_the_others_are_run(made):
    view, task, found = made
    plain = clew.find(model_of(), task, by="attribution_patching")
    (clew.verify(view, task, found.top(5)) + clew.verify(model_of(), task, plain.top(3))).save("both.json")
    (again,) = replicate("both.json")
    assert not again.agrees
    assert len(again.refused) == 1
    assert "the dictionaries at resid.1 are not there" in again.refused[0]
    assert again.numbers


def test_other_weights_are_refused_unless_they_are_wanted(made, given, monkeypatch):
    _, _, found = made
    found.top(5).save("circuit.json")
    monkeypatch.setattr(clew, "open", lambda name, **_: model_of("gemma2"))
    (again,) = replicate("circuit.json", given=given)
    assert "the weights of tiny llama are others" in again.refused[0]


def test_prompts_that_cannot_be_posed_as_then_are_refused(made, given):
    _, _, found = made
    found.top(5).save("circuit.json")
    rows = Path("task.jsonl").read_text().splitlines()
    Path("task.jsonl").write_text("\n".join(rows[::-1]))
    (again,) = replicate("circuit.json", given=given)
    assert "cannot be posed as they were" in again.refused[0]


def test_records_without_steps_are_found_by_their_hash(made, given):
    """As files of the first versions are."""
    _, _, found = made
    path = found.top(5).save("circuit.json")
    old = json.loads(path.read_text())
    del old["provenance"]["prompts"]["made"]
    path.write_text(json.dumps(old))
    (again,) = replicate(path, given=given)
    assert again.agrees, again


@pytest.mark.parametrize("steps", [True, False])
def test_what_a_record_names_is_looked_for_here_and_then_beside_the_file(made, given, steps):
    """By the steps in the record, and as files without any are guessed."""
    path = saved_apart(made, steps)
    Path("task.jsonl").rename("kept/task.jsonl")
    (again,) = replicate(path, given=given)
    assert again.agrees, again


def test_what_is_here_comes_before_what_is_beside_the_file(made, given):
    path = saved_apart(made)
    Path("kept/task.jsonl").write_text("\n".join(Path("task.jsonl").read_text().splitlines()[::-1]))
    assert replicate(path, given=given)[0].agrees


def test_a_model_beside_the_file_is_opened_from_there(made, given, monkeypatch):
    path, asked = saved_apart(made), []
    Path("kept/tiny llama").mkdir()

    def opened(name: str, **_: object) -> object:
        asked.append(name)
        return model_of()

    monkeypatch.setattr(clew, "open", opened)
    assert replicate(path, given=given)[0].agrees
    assert asked == ["kept/tiny llama"]


def saved_apart(made, steps: bool = True) -> Path:
    """A circuit in a folder of its own."""
    Path("kept").mkdir()
    path = made[2].top(5).save("kept/circuit.json")
    if not steps:
        held = json.loads(path.read_text())
        del held["provenance"]["prompts"]["made"]
        path.write_text(json.dumps(held))
    return path


def test_a_file_that_a_method_was_given_is_left_alone_where_that_is_asked(tmp_path):
    record = {"method": "bigram_subnetwork", "options": {"to": "masks.safetensors"}, "model": "tiny"}
    path = replace(small_circuit(), provenance=record).save(tmp_path / "c.json")
    (again,) = replicate(path, given=Given(writes=False))
    assert "was given the file to=masks.safetensors" in again.refused[0]


def test_a_record_that_is_none_is_an_error_that_names_its_file(tmp_path):
    record = {"method": "attribution_patching", "prompts": {"made": [["load", 5]]}}
    path = replace(small_circuit(), provenance=record).save(tmp_path / "c.json")
    with pytest.raises(ValueError, match=r"c\.json is not a whole record of a run"):
        named_in(path)


def test_an_edit_is_computed_again(made, given):
    view, task, _ = made
    clew.edit(view, task, by="mean_difference").save("edit.safetensors")
    (again,) = replicate("edit.safetensors", given=given)
    assert again.agrees, again
    assert again.numbers


def test_what_an_edit_changes_is_measured_again(made, given):
    view, task, _ = made
    stack = clew.edit(view, task, by="mean_difference")
    clew.verify(view, task, stack).save("report.json")
    (again,) = replicate("report.json", given=given)
    assert again.agrees, again


def test_a_table_says_that_it_is_none_and_how_to_compare_it(tmp_path):
    path = tmp_path / "table.json"
    path.write_text('{"rows": [{"units": 5, "seconds": 3}]}')
    with pytest.raises(ValueError, match="holds 1 numbers and no record of a run"):
        replicate(path)


def test_two_tables_are_compared_number_by_number(tmp_path):
    was, now = tmp_path / "was.json", tmp_path / "now.json"
    was.write_text('{"rows": [{"a": 5, "b": 1.0, "seconds": 3}]}')
    now.write_text('{"rows": [{"a": 5, "b": 1.5, "seconds": 9}]}')
    assert {n.what: n.verdict for n in compared(was, now).numbers} == {"rows[0].a": "same", "rows[0].b": "differs"}


def test_two_reports_are_compared_by_their_rows(tmp_path):
    was, now = tmp_path / "was.json", tmp_path / "now.json"
    Report("one", (Row("f", 0.5, 0.4, 0.6),)).save(was)
    Report("one", (Row("f", 0.55, 0.4, 0.6),)).save(now)
    (number,) = compared(was, now).numbers
    assert number.verdict == "within interval"


def test_a_report_that_names_no_verb_says_so(tmp_path):
    path = Report("mine", (Row("f", 0.5, 0.4, 0.6),)).save(tmp_path / "mine.json")
    (again,) = replicate(path)
    assert not again.agrees
    assert again.refused
