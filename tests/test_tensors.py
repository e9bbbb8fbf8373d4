from pathlib import Path

import pytest
import safetensors
import torch
from safetensors.torch import save_file

from clew.tensors import (
    check_finite,
    check_flags,
    check_floats,
    check_held,
    is_signed,
    map_tensors,
    open_tensors,
    read_header,
    read_shapes,
    read_tensors,
    write_tensors,
    writer_of_tensors,
)


def test_tensors_come_back_with_what_is_said_of_them(tmp_path):
    given = {"a": torch.tensor([1.5, -0.0]), "b": torch.ones(2, 3, dtype=torch.bfloat16)}
    path = write_tensors(tmp_path / "a.safetensors", given, {"of": "two"})
    assert read_header(path) == {"of": "two"} and is_signed(path) and read_shapes(path) == {"a": (2,), "b": (2, 3)}
    with open_tensors(path) as file:
        assert set(file.keys()) == {"a", "b"}
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in given.items())
        assert torch.signbit(file.get_tensor("a")).tolist() == [False, True]


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.tensor([1, 2]), "x in a.safetensors is of torch.int64; floats are due"),
        (torch.tensor([1j]), "complex64; floats are due"),
        (torch.ones(2, dtype=torch.float8_e4m3fn), "float8_e4m3fn; floats are due"),
        (torch.ones(0, 3), r"x in a.safetensors is empty: its shape is \[0, 3\]"),
        (torch.tensor([1.0, float("nan")]), "1 of the 2 values of x in a.safetensors are not finite"),
    ],
)
def test_tensors_that_are_no_finite_floats_are_named(tensor, said):
    check_floats({"x": torch.ones(2)}, "a.safetensors")
    with pytest.raises(ValueError, match=said):
        check_floats({"x": tensor}, "a.safetensors")


def test_tensors_and_the_head_come_back_and_half_a_file_is_named(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.arange(3.0)}, path, {"clew": "1"})
    tensors, head = read_tensors(path)
    assert tensors["x"].tolist() == [0, 1, 2] and head == read_header(path) == {"clew": "1"}
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"a\.safetensors is not a whole safetensors file .*bytes\)"):
        read_tensors(path)


def test_numbers_of_a_byte_are_not_asked_whether_they_are_finite():
    check_finite({"x": torch.tensor([1, 2])}, "a")
    with pytest.raises(ValueError, match="x in a is of torch.float8_e4m3fn; real numbers are due"):
        check_finite({"x": torch.ones(2, dtype=torch.float8_e4m3fn)}, "a")


def test_flags_are_true_or_false():
    check_flags({"x": torch.tensor([True, False])}, "a")
    for odd in (torch.tensor([0, 1], dtype=torch.uint8), torch.tensor([7], dtype=torch.uint8).view(torch.bool)):
        with pytest.raises(ValueError, match="x in a is of .*; true and false are due"):
            check_flags({"x": odd}, "a")


def test_all_tensors_are_there_and_no_other():
    check_held({"a": 1, "b": 2}, ("b", "a"), "f")
    with pytest.raises(ValueError, match="f has no 'c'; it holds a, b"):
        check_held(("b", "a"), ("a", "b", "c"), "f")
    with pytest.raises(ValueError, match="f also holds b, and we do not know"):
        check_held(("b", "a"), ("a",), "f")


def test_the_same_tensors_make_the_same_bytes(tmp_path):
    about = {name: name * 3 for name in "qwertyuiop"} | {"é\u2028": "漢"}
    first, second = (write_tensors(tmp_path / name, {"x": torch.ones(3)}, about).read_bytes() for name in "ab")
    assert first == second and read_header(tmp_path / "a") == about


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, said: tensors.pop("b"),
        lambda tensors, said: tensors.update(c=torch.ones(1)),
        lambda tensors, said: tensors.update(b=tensors["b"].half()),
        lambda tensors, said: tensors.update(b=tensors["b"].T.contiguous()),
        lambda tensors, said: said.pop("of"),
        lambda tensors, said: said.update(of="three"),
        lambda tensors, said: said.update(more="x"),
    ],
)
def test_a_header_that_has_changed_since_is_seen(tmp_path, change):
    path = write_tensors(
        tmp_path / "a.safetensors", {"a": torch.ones(2), "b": torch.ones(2, 2)[:, :1].contiguous()}, {"of": "two"}
    )
    with safetensors.safe_open(path, "pt") as file:
        tensors, said = {name: file.get_tensor(name).clone() for name in file.keys()}, dict(file.metadata())  # noqa: SIM118
    change(tensors, said)
    save_file(tensors, path, said)
    with pytest.raises(
        ValueError, match=r"a\.safetensors is not a whole safetensors file \(its header has changed since"
    ):
        read_tensors(path)


def test_what_others_read_holds_what_others_write(tmp_path):
    writer_of_tensors({"x": torch.ones(1)})(tmp_path / "a")
    assert read_header(tmp_path / "a") == {} and not is_signed(tmp_path / "a")


def headed(path, text, numbers=b""):
    path.write_bytes(len(text).to_bytes(8, "little") + text.encode() + numbers)
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "x": {}}', "'x' is given twice"),
        ('{"__metadata__": {"a": "1", "a": "2"}}', "'a' is given twice"),
        ('{"__metadata__": {"a": 1}}', "its header: a is 1; text is due"),
        (
            '{"x": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4]}}',
            "is not a whole safetensors file",
        ),
        ("[" * 100_000, "nested too deep"),
        ("[]", r"its header is \[\]; an object is due"),
    ],
)
def test_what_a_header_claims_is_not_believed(tmp_path, text, said):
    with pytest.raises(ValueError, match=rf"a\.safetensors is not a whole safetensors file.*{said}|{said}"):
        read_tensors(headed(tmp_path / "a.safetensors", text, bytes(4)))
    (tmp_path / "b.safetensors").write_bytes((10**12).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match=r"b\.safetensors .*its header should be 1000000000000 bytes long; 10 bytes\)"):
        read_tensors(tmp_path / "b.safetensors")


def test_mapped_tensors_are_those_that_were_written(tmp_path: Path) -> None:
    held = {
        "a": torch.arange(6).reshape(2, 3),
        "b": torch.randn(5).half(),
        "c": torch.tensor([1, 2], dtype=torch.uint16),
        "none": torch.zeros(0, 3),
    }
    path = write_tensors(tmp_path / "a.safetensors", held, {"said": "x"})
    mapped = map_tensors(path)
    assert mapped.keys() == held.keys()
    for name, tensor in held.items():
        assert mapped[name].dtype == tensor.numpy().dtype and mapped[name].tolist() == tensor.tolist()
        assert not mapped[name].flags.writeable or not mapped[name].size


def test_what_cannot_be_mapped_is_named(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(3, dtype=torch.bfloat16)}, {})
    with pytest.raises(ValueError, match=r"a in .*a.safetensors is of BF16; numbers of numpy's are due"):
        map_tensors(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"a.safetensors is not a whole safetensors file"):
        map_tensors(path)


def test_a_file_that_is_taken_away_while_it_is_opened_is_not_whole(tmp_path: Path, monkeypatch) -> None:
    path = write_tensors(tmp_path / "a.safetensors", {"x": torch.zeros(2)}, {})

    def gone(*_: object, **__: object) -> None:
        raise RuntimeError("unable to open file in read-only mode")  # as torch says, which maps it

    monkeypatch.setattr(safetensors, "safe_open", gone)
    with pytest.raises(ValueError, match=r"a\.safetensors"), open_tensors(path):
        pass
