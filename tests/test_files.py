"""Files are written whole or not at all."""

import gzip
import zipfile

import numpy as np
import pytest
from safetensors import SafetensorError

from clew.files import (
    cache_folder,
    check_names,
    check_spelling,
    check_whole,
    csv_rows,
    entries,
    entry,
    entry_or,
    json_lines,
    jsonable,
    parse_json,
    read_any_json,
    read_json,
    whole,
    write_folder,
    write_json,
    write_text,
    write_whole,
    writer_of,
)


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
    write_whole(tmp_path / "a.txt", lambda temporary: seen.append(temporary.parent) or temporary.touch())
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


def test_what_json_is_not_is_refused_by_name(tmp_path):
    cases = {
        '{"a": 1, "a": 2}': "'a' is given twice",
        '{"a": NaN}': "NaN is no number",
        "[-Infinity]": "-Infinity is no number",
        "[" * 100_000: "nested too deep",
    }
    for text, said in cases.items():
        path = tmp_path / "a.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=said) as error:
            read_any_json(path)
        assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("value", "kind", "limits", "said"),
    [
        (-7, int, {"at_least": -1}, r"a\.json: unit is -7; it is at least -1"),
        (9, int, {"at_least": 0, "at_most": 8}, "at least 0 and at most 8"),
        (True, int, {}, "is True; a whole number is due"),
        (1.5, int, {}, "is 1.5; a whole number is due"),
        (float("inf"), float, {}, "is inf; a finite number is due"),
        (None, str, {}, "is None; text is due"),
        ("drpo", str, {"among": ("keep", "drop")}, "is 'drpo'; it is one of 'keep', 'drop'"),
    ],
)
def test_a_value_of_another_kind_or_out_of_range_is_named_with_its_place(value, kind, limits, said):
    with pytest.raises(ValueError, match=said):
        entry({"unit": value}, "unit", kind, origin="a.json", **limits)


def test_a_whole_number_is_a_number_and_text_is_no_list():
    assert entry({"x": 3}, "x", float, origin="a.json") == 3
    assert entries({"x": ["a"]}, "x", str, origin="a.json") == ["a"]
    with pytest.raises(ValueError, match=r"a\.json: x is 'letters'; a list is due"):
        entries({"x": "letters"}, "x", str, origin="a.json")
    with pytest.raises(ValueError, match=r"a\.json: rows\[2\]\.x\[1\] is 4; text is due"):
        entries({"x": ["a", 4]}, "x", str, origin="a.json: rows[2]")
    with pytest.raises(ValueError, match=r"a\.json has no 'y'; known: x"):
        entry({"x": 1}, "y", int, origin="a.json")


def test_unknown_names_are_refused_where_they_are_checked():
    with pytest.raises(ValueError, match="has 'c', which is none of 'a', 'b'"):
        check_names({"a": 1, "c": 2}, ("a", "b"), "a.json")


def test_only_line_feeds_end_a_row():
    text = '{"a": "one\u2028two\x85three"}\r\n\n{"a": "five"}\n'
    found = [(place, row["a"]) for place, row in json_lines(text, "a.jsonl")]
    assert found == [("a.jsonl, line 1", "one\u2028two\x85three"), ("a.jsonl, line 3", "five")]


def test_a_quoted_line_end_stays_in_its_cell():
    assert csv_rows('a,b\n"one\ntwo",3\r\n', "a.csv") == [{"a": "one\ntwo", "b": "3"}]
    assert csv_rows("a,b\n1,\u2028\n", "a.csv") == [{"a": "1", "b": "\u2028"}]
    with pytest.raises(ValueError, match=r"a\.csv, row 1 has 3 cells; its 2 columns are a, b"):
        csv_rows("a,b\n1,2,3\n", "a.csv")
    with pytest.raises(ValueError, match="names a column twice"):
        csv_rows("a,a\n1,2\n", "a.csv")


def test_a_full_disk_that_safetensors_reports_is_an_error_of_the_system_and_leaves_nothing(tmp_path):
    def fail(temporary):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with pytest.raises(OSError, match=r"a\.safetensors was not written \(I/O error: No space left"):
        write_whole(tmp_path / "a.safetensors", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ValueError("odd"), ValueError, r"a\.x is not a whole probe: odd"),
        (KeyError("weight"), ValueError, r"a\.x is not a whole probe: there is no 'weight' where one is due"),
        (RecursionError("too deep"), ValueError, "is not a whole probe: too deep"),
        (MemoryError(), ValueError, "is not a whole probe: MemoryError"),
        (OverflowError("large"), ValueError, "is not a whole probe: large"),
        (zipfile.BadZipFile("no zip"), ValueError, "is not a whole probe: no zip"),
        (gzip.BadGzipFile("no gzip"), ValueError, "is not a whole probe: no gzip"),
        (SafetensorError("no header"), ValueError, "is not a whole probe: no header"),
        (UnicodeDecodeError("utf-8", b"a", 0, 1, "odd"), ValueError, "is not a whole probe: 'utf-8' codec"),
        (PermissionError(13, "Permission denied"), OSError, r"a\.x cannot be read \(Permission denied\)"),
    ],
)
def test_whatever_goes_wrong_in_reading_names_the_file(error, kind, said):
    with pytest.raises(kind, match=said), whole("a.x", "probe"):
        raise error


def test_an_error_that_names_the_file_stays_as_it_is_and_others_pass():
    for error in (
        ValueError("a.x is odd"),
        FileNotFoundError(2, "No such file", "a.x"),
        KeyboardInterrupt(),
        ImportError("x"),
    ):
        with pytest.raises(type(error)) as caught, whole("a.x", "probe"):
            raise error
        assert caught.value is error


def test_a_folder_is_all_of_the_old_one_or_all_of_the_new(tmp_path):
    write_folder(tmp_path / "x", {"a": writer_of("1"), "b": writer_of("1")})

    def fails(place):
        raise OSError(28, "No space left on device")

    with pytest.raises(
        OSError, match=r"x was not written \(No space left on device\); what stood there before is untouched"
    ):
        write_folder(tmp_path / "x", {"a": writer_of("2"), "b": fails})
    assert {p.name: p.read_text() for p in (tmp_path / "x").iterdir()} == {"a": "1", "b": "1"}
    write_folder(tmp_path / "x", {"a": writer_of("2"), "b": writer_of("2")})
    assert {p.name: p.read_text() for p in (tmp_path / "x").iterdir()} == {"a": "2", "b": "2"}
    with pytest.raises(ValueError, match="x also holds b; name a folder that is not there yet"):
        write_folder(tmp_path / "x", {"a": writer_of("3")})
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("text", ["1e999", "-1e999", "[1e999]"])
def test_a_number_beyond_the_largest_is_none(text):
    with pytest.raises(ValueError, match=r"a\.json is not JSON \(-?1e999 is beyond the largest number of 64 bits"):
        parse_json(text, "a.json")


@pytest.mark.parametrize(("value", "kind"), [(10**400, float), (10**400, int), (2**63, int), (-(2**63), int)])
def test_a_whole_number_has_64_bits(value, kind):
    with pytest.raises(ValueError, match="a.json: x is -?[0-9]*; a (whole|finite) number is due"):
        entry({"x": value}, "x", kind, origin="a.json")


def test_a_default_stands_for_what_is_missing_and_null_only_where_null_does():
    assert entry_or({}, "x", int, 3, origin="a") == 3 and entry_or({"x": None}, "x", int, None, origin="a") is None
    with pytest.raises(ValueError, match="a: x is None; a whole number is due"):
        entry_or({"x": None}, "x", int, 3, origin="a")


def test_an_object_has_all_its_names_and_no_other():
    check_whole({"a": 1, "b": 2}, ("b", "a"), "a.json")
    for value, said in (
        ({"a": 1}, "a.json has no 'b'; it has 'a'"),
        ({"a": 1, "b": 1, "c": 1}, "has 'c'"),
        ([], "is \\[\\]"),
    ):
        with pytest.raises(ValueError, match=said):
            check_whole(value, ("a", "b"), "a.json")


def test_a_misprint_of_a_name_that_is_missing_is_refused_and_other_names_are_kept():
    check_spelling({"hook_name": 1, "hook_nam": 2, "more": 3}, ("hook_name",), "a.json")
    with pytest.raises(ValueError, match="a.json has 'hook_nam' and no 'hook_name'"):
        check_spelling({"hook_nam": 2}, ("hook_name",), "a.json")


def test_plain_json_has_null_for_what_is_no_number():
    held = {"a": (np.float32(0.5), float("nan")), 3: np.int64(2), "b": np.bool_(True)}
    assert jsonable(held) == {"a": [0.5, None], "3": 2, "b": True}
