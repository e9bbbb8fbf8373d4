"""Stacks of edits: saved and loaded to the bit, added up, scaled, and refused where they are not whole."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from clew.changes import ActivationEdit, Add, Clamp, Gate, Mix, Project, Scale, Set, Update
from clew.probing import Probe
from clew.sites import Where
from clew.stack import Stack
from tests.planted import tiny_model

G = torch.Generator().manual_seed(0)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=G)


EVERYTHING = Stack(
    (
        Update("down.1", left=noise(32, 2), right=noise(2, 48), scale=0.5),
        Update("out.0", left=noise(32, 32)),
        Add("resid.0", vector=noise(32), scale=3.0, keep_norm=True, where=Where.at(-1)),
        Set("mlp.1", value=noise(32), keep=noise(32) > 0),
        Mix("mlp.1", value=0.5, weight=noise(32).sigmoid()),
        Scale("head.1", factor=0.0, units=(0, 3), gate=Gate(Probe("head.1", noise(32)), above=-1.0, reach="prompt")),
        Clamp("resid.1", high=1.0, gate=Gate(Probe("resid.0", noise(32), 0.5))),
        Project("resid.2", directions=noise(2, 32), value=noise(32), where=Where.phrase((4, 5))),
    ),
    "everything",
    {"norm": "natural", "sites": ["resid.0"]},
    {"weights": "abc"},
)
TOKENS = torch.tensor([[3, 4, 5, 6], [4, 5, 7, 8]])


def test_a_long_table_is_printed_by_its_first_entries_and_how_many_there_are():
    said = str(Stack((), "probed", {"left_out": {f"head.0[{i}]": 0.5 for i in range(9)}, "prefixes": list("abcdefg")}))
    assert "'head.0[4]': 0.5, ... 9 in all}" in said and "head.0[5]" not in said and "'e', ... 7 in all]" in said


def test_in_a_notebook_a_stack_is_its_edits_and_what_is_known_of_them():
    shown = EVERYTHING._repr_html_()
    assert "everything: 8 edits" in shown and ">update</td>" in shown and "norm: natural" in shown
    assert "at(-1)" not in shown.partition("<td")[0] and "<script" not in Stack((), "<script>")._repr_html_()


def test_a_frame_of_a_stack_has_a_row_for_each_edit():
    made = EVERYTHING.to_frame()
    assert made["verb"].tolist() == [type(edit).__name__ for edit in EVERYTHING]
    assert made["at"].tolist()[0] == "down.1" and made["said"].tolist() == list(map(str, EVERYTHING))


def test_what_was_saved_is_loaded_to_the_bit(tmp_path):
    model = tiny_model("llama")
    loaded = Stack.load(EVERYTHING.save(tmp_path / "edits.safetensors"))
    assert str(loaded) == str(EVERYTHING) and loaded.provenance == EVERYTHING.provenance
    before, after = (model.edited(stack).run(TOKENS).logits for stack in (EVERYTHING, loaded))
    assert torch.equal(before, after)
    assert not torch.equal(after, model.run(TOKENS).logits)


def test_a_sum_makes_the_edits_one_after_the_other():
    model, first, second = tiny_model("llama"), EVERYTHING[:1], EVERYTHING[1:]
    both = Stack(tuple(first), "a") + Stack(tuple(second), "b") + Stack(())
    assert [p["name"] for p in both.about["parts"]] == ["a", "b", ""]
    in_steps = model.edited(first).edited(second)
    assert torch.equal(model.edited(both).run(TOKENS).logits, in_steps.run(TOKENS).logits)


def test_only_what_adds_can_be_scaled():
    adds = Stack(tuple(e for e in EVERYTHING if isinstance(e, Add | Update)))
    assert [e.scale for e in adds.scaled(2.0)] == [1.0, 2.0, 6.0]
    with pytest.raises(ValueError, match=r"set at mlp\.1.* has no strength"):
        EVERYTHING.scaled(2.0)


def test_printing_says_what_where_and_how_strong():
    said = str(EVERYTHING)
    assert "add at resid.0: where position -1, vector [32] of norm" in said and "scale 3, keep_norm True" in said
    assert "gate a probe at head.1 > -1 (by prompt), factor 0" in said and "norm: natural" in said


def test_what_is_no_stack_is_refused(tmp_path):
    class Own(ActivationEdit):
        def __call__(self, x):
            return x

    with pytest.raises(ValueError, match="a Own cannot be saved"):
        Stack((Own("resid.0"),)).save(tmp_path / "own.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors holds no edits of clew"):
        Stack.load(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="there is no file"):
        Stack.load(tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(EVERYTHING.save(tmp_path / "whole.safetensors").read_bytes()[:200])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        Stack.load(tmp_path / "cut.safetensors")


def first_version(path, *gates):
    """A file as the first version wrote it, whose gates held a direction and a bias of their own."""
    edits, tensors = [], {}
    for i, (direction, told) in enumerate(gates):
        gate = {
            "verb": "Gate",
            "above": 0.1,
            "direction": None,
            "unit": None,
            "bias": 0.0,
            "at": None,
            "reach": "token",
        }
        if direction is not None:
            tensors[f"{i}.gate.direction"] = direction.clone()
            gate["direction"] = {"tensor": f"{i}.gate.direction"}
        edit = {"verb": "Scale", "at": "resid.1", "where": {"kind": "every", "values": []}, "basis": "value"}
        edits.append(edit | {"units": None, "gate": gate | told, "factor": 3.0})
    edits.append({**edits[-1], "gate": None})
    head = {"format": "clew stack", "version": 1, "name": "old", "edits": edits, "about": {}, "provenance": {}}
    save_file(tensors, path, {"clew": json.dumps(head)})
    return path


def test_a_stack_of_the_first_version_means_what_it_meant(tmp_path):
    w = noise(32)
    path = first_version(
        tmp_path / "old.safetensors", (w, {"bias": 1e-17}), (w, {"at": "resid.0"}), (None, {"unit": 5})
    )
    own, earlier, unit, always = (edit.gate for edit in Stack.load(path))
    assert (str(own.at), str(earlier.at), unit.at, always) == ("resid.1", "resid.0", None, None)
    assert torch.equal(own.probe.weight, w) and own.probe.bias == 1e-17 and own.above == 0.1
    assert (unit.unit, unit.probe) == (5, None)


def test_a_gate_that_is_no_number_is_refused_with_the_files_name(tmp_path):
    path = first_version(tmp_path / "old.safetensors", (noise(32) * torch.nan, {}))
    with pytest.raises(ValueError, match=r"old\.safetensors are not finite"):
        Stack.load(path)


def test_a_file_of_ours_is_ours_whatever_other_formats_would_say(tmp_path, monkeypatch):
    path = Stack((Add("resid.0", vector=torch.ones(3)),), "mine").save(tmp_path / "mine.safetensors")
    monkeypatch.setattr("clew.finder.reading", lambda room, given: pytest.fail("others were asked"))
    assert Stack.load(path).name == "mine"


def spoilt(path, change):
    """The file with its head or its tensors changed, as one of an older clew, which had no sum of its header."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        head = json.loads(file.metadata()["clew"])
    change(head, tensors)
    save_file(tensors, path, {"clew": json.dumps(head)})
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h, t: t.update(more=torch.ones(1)), r"also holds more"),
        (lambda h, t: t.pop("2.vector"), r"edits\[2\]\.vector is {'tensor': '2.vector'}; the tensor '2.vector' is due"),
        (lambda h, t: t["2.vector"].fill_(torch.nan), r"32 of the 32 values of 2\.vector in .*are not finite"),
        (lambda h, t: t["5.gate.probe"].fill_(torch.inf), r"5\.gate\.probe in .* are not finite"),
        (
            lambda h, t: t.update({"2.vector": torch.ones(32).long()}),
            r"2\.vector in .* is of torch.int64; floats are due",
        ),
        (
            lambda h, t: t.update({"3.keep": torch.ones(32)}),
            r"3\.keep in .* is of torch.float32; true and false are due",
        ),
        (lambda h, t: h["edits"][2].pop("scale"), r"edits\[2\] has no 'scale'"),
        (lambda h, t: h["edits"][2].update(scale="3"), r"edits\[2\]\.scale is '3'; a finite number is due"),
        (lambda h, t: h["edits"][2].update(keep_norm=1), r"edits\[2\]\.keep_norm is 1; true or false is due"),
        (lambda h, t: h["edits"][2].update(more=1), r"edits\[2\] has 'more', which is none of"),
        (lambda h, t: h["edits"][2].update(where=""), r"edits\[2\]\.where is ''; an object is due"),
        (lambda h, t: h["edits"][2].update(verb="Ad"), r"edits\[2\] is a 'Ad'.*did you mean 'Add'"),
        (lambda h, t: h["edits"][5].update(units="03"), r"edits\[5\]\.units is '03'; a list is due"),
        (lambda h, t: h["edits"][5].update(units=[0, 3.0]), r"edits\[5\]\.units\[1\] is 3.0; a whole number is due"),
        (
            lambda h, t: h["edits"][5]["gate"]["probe"].update(classes="ab"),
            r"gate\.probe\.classes is 'ab'; a list is due",
        ),
        (lambda h, t: h["edits"][5]["gate"]["probe"].update(bias=0.5), r"gate\.probe\.bias is 0.5; text is due"),
        (lambda h, t: h["edits"][5].update(gate=[]), r"edits\[5\]\.gate is \[\]; an object is due"),
        (lambda h, t: h.update(edits={}), "edits is {}; a list is due"),
        (lambda h, t: h.update(name=None), "name is None; text is due"),
        (lambda h, t: h.pop("about"), "has no 'about'"),
        (lambda h, t: h.update(more=1), "has 'more', which is none of"),
    ],
)
def test_a_stack_that_is_not_whole_is_refused_with_the_place(tmp_path, change, said):
    path = EVERYTHING.save(tmp_path / "a.safetensors")
    assert str(Stack.load(spoilt(path, lambda head, tensors: None))) == str(EVERYTHING)
    with pytest.raises(ValueError, match=said) as caught:
        Stack.load(spoilt(path, change))
    assert str(path) in str(caught.value)


def test_what_cannot_be_read_again_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="value of the set at resid.0 is of torch.int64; give floats"):
        Stack((Set("resid.0", value=torch.ones(3, dtype=torch.int64)),)).save(tmp_path / "a.safetensors")
    path = Stack((), "empty", {"reached": float("nan")}).save(tmp_path / "a.safetensors")
    assert Stack.load(path).about == {"reached": None}
    with pytest.raises(ValueError, match="above=inf: a gate opens above a finite number"):
        Gate(unit=3, above=float("inf"))
