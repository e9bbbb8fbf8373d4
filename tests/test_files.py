"""Files are written whole or not at all."""

import pytest
import torch

from clew.files import cache_folder, open_tensors, read_json, write_json, write_tensors, write_text, write_whole


def test_json_comes_back_bit_for_bit(tmp_path):
    value = {"format": "x", "numbers": [0.1, 1e-320, 2.0**70, -0.0, 3], "word": "é 線 \ud83d"}
    back = read_json(write_json(tmp_path / "deep" / "a.json", value), "x")
    assert back == value and str(back["numbers"]) == str(value["numbers"])


@pytest.mark.parametrize("error", [RuntimeError("half way"), KeyboardInterrupt(), OSError(28, "no space")])
def test_a_failing_write_leaves_the_old_file_and_no_other(tmp_path, error):
    path = write_text(tmp_path / "a.txt", "old")

    def fail(temporary):
        temporary.write_text("ne")
        raise error

    with pytest.raises(type(error)):
        write_whole(path, fail)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_names_the_file(tmp_path):
    def fail(temporary):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"a\.txt was not written \(No space left on device\)"):
        write_whole(tmp_path / "a.txt", fail)


def test_the_temporary_name_is_in_the_same_folder(tmp_path):
    seen = []
    write_whole(tmp_path / "a.txt", lambda temporary: seen.append(temporary.parent))
    assert seen == [tmp_path]


def test_not_a_number_is_not_json(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", [float("nan")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"format": "clew', "is not JSON"), ("", "is not JSON"), ('{"format": "other"}', "'other'"), ("[1]", "'list'"),
     ("{}", "None")],
)  # fmt: skip
def test_a_foreign_file_is_named_with_what_was_expected_and_found(tmp_path, text, words):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"a\.json.*{words}") as error:
        read_json(path, "clew circuit")
    assert "clew circuit" in str(error.value)


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not JSON"):
        read_json(tmp_path / "a.json", "x")


def test_the_cache_folder_follows_its_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEW_CACHE", str(tmp_path / "here"))
    assert cache_folder("a", "b") == tmp_path / "here" / "a" / "b" and cache_folder("a", "b").is_dir()


def test_tensors_come_back_with_what_is_said_of_them(tmp_path):
    given = {"a": torch.tensor([1.5, -0.0]), "b": torch.ones(2, 3, dtype=torch.bfloat16)}
    with open_tensors(write_tensors(tmp_path / "a.safetensors", given, {"of": "two"})) as file:
        assert set(file.keys()) == {"a", "b"} and file.metadata() == {"of": "two"}
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in given.items())
        assert torch.signbit(file.get_tensor("a")).tolist() == [False, True]
