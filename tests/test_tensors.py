import pytest
import torch
from safetensors.torch import save_file

from clew.tensors import check_floats, open_tensors, read_header, read_tensors, write_tensors


def test_tensors_come_back_with_what_is_said_of_them(tmp_path):
    given = {"a": torch.tensor([1.5, -0.0]), "b": torch.ones(2, 3, dtype=torch.bfloat16)}
    with open_tensors(write_tensors(tmp_path / "a.safetensors", given, {"of": "two"})) as file:
        assert set(file.keys()) == {"a", "b"} and file.metadata() == {"of": "two"}
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in given.items())
        assert torch.signbit(file.get_tensor("a")).tolist() == [False, True]


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.tensor([1, 2]), "x in a.safetensors is of torch.int64; floats are due"),
        (torch.tensor([1j]), "complex64; floats are due"),
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
