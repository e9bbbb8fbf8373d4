import json
import logging

import pytest

from clew.readings.asking.answer import Answer, Token
from clew.readings.asking.kept import Kept, Remembered

KEY = "ab" + "0" * 62
ANSWER = Answer("yes", (Token("yes", -0.1),), 5, 1)


def test_an_answer_is_there_again(tmp_path):
    assert Kept(tmp_path).get(KEY) is None
    Kept(tmp_path).put(KEY, ANSWER)
    assert Kept(tmp_path).get(KEY) == ANSWER and Kept(tmp_path).get(KEY[::-1]) is None
    assert [p.name for p in tmp_path.rglob("*.json")] == [f"{KEY}.json"]


def cut(text):
    return text[: len(text) // 2]


def other_word(text):
    return text.replace('"yes"', '"no"', 1)


def other_key(text):
    return text.replace(KEY, KEY[::-1])


@pytest.mark.parametrize(
    "harm", [cut, other_word, other_key, lambda text: "", lambda text: "[]", lambda text: "\x00\xff"]
)
def test_a_damaged_one_is_named_and_is_not_there(tmp_path, caplog, harm):
    kept = Kept(tmp_path)
    kept.put(KEY, ANSWER)
    (path,) = tmp_path.rglob("*.json")
    path.write_text(harm(path.read_text()))
    with caplog.at_level(logging.WARNING, logger="clew"):
        assert kept.get(KEY) is None
    assert str(path) in caplog.text and "it is asked again" in caplog.text
    kept.put(KEY, ANSWER)
    assert kept.get(KEY) == ANSWER


def test_where_nothing_can_be_written_work_goes_on(tmp_path):
    (tmp_path / "file").write_text("")
    kept = Kept(tmp_path / "file")
    kept.put(KEY, ANSWER)
    assert kept.get(KEY) is None


def test_what_is_remembered_is_not_written(tmp_path):
    below = Kept(tmp_path)
    below.put(KEY, ANSWER)
    remembered = Remembered(below)
    remembered.put(KEY[::-1], Answer("no"))
    assert (remembered.get(KEY), remembered.get(KEY[::-1])) == (ANSWER, Answer("no"))
    assert below.get(KEY[::-1]) is None and Remembered().get(KEY) is None


def test_a_file_says_what_it_is(tmp_path):
    Kept(tmp_path).put(KEY, ANSWER)
    (path,) = tmp_path.rglob("*.json")
    held = json.loads(path.read_text())
    assert (held["format"], held["version"], held["key"]) == ("clew answer", 1, KEY)
