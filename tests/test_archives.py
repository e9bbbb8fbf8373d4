"""Files of torch and numpy: what they claim is held against what they are, and nothing in them is run."""

import io
import struct
import warnings
import zipfile

import numpy as np
import pytest
import torch

from clew.archives import mentions, read_npz, read_torch


def saved(path, value, **options):
    torch.save(value, path, **options)
    return path


def packed(path, members, compression=zipfile.ZIP_DEFLATED):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")  # two members of one name
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_and_plain_values_come_back(tmp_path, zipped):
    held = {"a": torch.arange(3.0), "b": {"k": 2, "name": "x"}}
    found = read_torch(saved(tmp_path / "a.pt", held, _use_new_zipfile_serialization=zipped))
    assert torch.equal(found["a"], held["a"]) and found["b"] == held["b"]


def test_what_stands_before_is_skipped(tmp_path):
    content = saved(tmp_path / "a.pt", {"a": torch.ones(2)}).read_bytes()
    (tmp_path / "b.pt").write_bytes(b"{}\n" + content)
    assert read_torch(tmp_path / "b.pt", skip=3)["a"].tolist() == [1, 1]


def test_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.pt holds Python objects .* would run code"):
        read_torch(saved(tmp_path / "a.pt", torch.nn.Linear(2, 2)))


def test_every_bit_of_a_torch_file_counts(tmp_path):
    path = saved(tmp_path / "a.pt", {"a": torch.arange(4.0)})
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        try:
            found = read_torch(path)
        except (ValueError, OSError) as error:
            assert str(path) in str(error)
        else:
            assert list(found) == ["a"] and found["a"].tolist() == [0, 1, 2, 3]


def test_a_file_cut_short_is_named_with_its_size(tmp_path):
    path = saved(tmp_path / "a.pt", torch.ones(9))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=r"a\.pt is not a whole torch file of 300 bytes"):
        read_torch(path)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.zeros(1).expand(10**9), "larger than the file"),
        (torch.eye(3).to_sparse(), "layout torch.sparse_coo"),
        (torch.empty(3, device="meta"), "on meta"),
    ],
)
def test_a_tensor_that_is_not_there_is_refused(tmp_path, tensor, said):
    with pytest.raises(ValueError, match=rf"a\.pt is not a whole torch file.*{said}"):
        read_torch(saved(tmp_path / "a.pt", {"x": [tensor]}))


def test_arrays_come_back_and_objects_do_not(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.arange(3.0), b=np.ones((2, 2), np.float32))
    found = read_npz(tmp_path / "a.npz")
    assert found["a"].tolist() == [0, 1, 2] and found["b"].dtype == torch.float32
    np.savez(tmp_path / "b.npz", a=np.array([print], dtype=object))
    with pytest.raises(ValueError, match=r"b\.npz .*Object arrays cannot be loaded"):
        read_npz(tmp_path / "b.npz")


def array(shape: str, numbers: bytes = b"") -> bytes:
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + numbers


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("a.npy", array("(1000000000000,)"))], "a.npz is not a whole archive"),
        ([("a.npy", array("(1,)", bytes(4) + b"more"))], "a.npy goes on after its last number"),
        ([("a.npy", array("(1,)", bytes(4))), ("a.npy", array("(1,)", bytes(4)))], "two of its members have one name"),
        ([("a.npy", bytes(1 << 26))], "a.npy would be 67108864 bytes, from"),
        ([("a.npy", b"\x93NUMPY\x01\x00" + b"\xff" * 9)], "a.npz is not a whole archive"),
    ],
)
def test_what_an_archive_claims_is_not_believed(tmp_path, members, said):
    with pytest.raises(ValueError, match=rf"a\.npz.*{said}|{said}"):
        read_npz(packed(tmp_path / "a.npz", members))


def test_numbers_that_changed_are_seen(tmp_path):
    path = packed(tmp_path / "a.npz", [("a.npy", array("(2,)", b"ABCDEFGH"))], zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"ABCD", b"ABCE"))
    with pytest.raises(ValueError, match=r"a\.npz is not a whole archive"):
        read_npz(path)


def test_a_file_is_known_by_its_head_alone(tmp_path):
    assert mentions(saved(tmp_path / "a.pt", {"layer_activations": {}}), b"layer_activations")
    assert not mentions(saved(tmp_path / "b.pt", {"other": {}}), b"layer_activations")
    bomb = packed(tmp_path / "c.pt", [("x/data.pkl", io.BytesIO(bytes(1 << 28)).getvalue())])
    assert not mentions(bomb, b"layer_activations")
    bomb.write_bytes(bomb.read_bytes()[: 1 << 12])
    assert not mentions(bomb, b"layer_activations")
