"""Texts and chats as they stand in files, and whose words are whose in a rendered chat."""

import gzip
import json
import lzma
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from clew.data.text.texts import (
    hub_chats,
    hub_texts,
    read_texts,
    rendered,
    sentences,
    shuffled_texts,
    stream_chats,
    stream_texts,
    token_classes,
    windows,
)
from tests.models.tiny import word_tokenizer

TALK = [{"role": "user", "content": "who is old ?"}, {"role": "assistant", "content": "the king"}]


def test_windows_start_at_sentences_and_stay_in_their_text() -> None:
    texts = ["One two. Three four five. Six.", "Seven eight. Nine"]
    cut = list(windows(texts, str.split, 4))
    assert cut == [["One", "two."], ["Three", "four", "five.", "Six."], ["Seven", "eight.", "Nine"]]
    assert list(windows(["a b c d e f"], str.split, 4)) == [["a", "b", "c", "d"]]


def test_sentences() -> None:
    assert sentences('He came in 1.5 hours. "She left." Then rain.') == [
        "He came in 1.5 hours.",
        '"She left." Then rain.',
    ]


def test_texts_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\nstill one\n\n \n\ntwo\n")
    (tmp_path / "b.jsonl").write_text('{"text": "three"}\n\n{"text": "four"}\n')
    (tmp_path / "c.json").write_text('["five", {"text": "six"}]')
    assert read_texts(tmp_path / "a.txt") == ["one\nstill one", "two"]
    assert read_texts(tmp_path / "b.jsonl") == ["three", "four"]
    assert read_texts(tmp_path / "c.json") == ["five", "six"]
    assert read_texts(tmp_path) == ["one\nstill one", "two", "three", "four", "five", "six"]


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_a_compressed_file_is_what_is_in_it(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / f"a.jsonl.{suffix}").write_bytes(pack(b'{"body": "one"}\n{"body": "two"}\n'))
    (tmp_path / f"b.txt.{suffix}").write_bytes(pack("drei\n\nvier ö".encode()))
    assert read_texts(tmp_path / f"a.jsonl.{suffix}", field="body") == ["one", "two"]
    assert read_texts(tmp_path / f"b.txt.{suffix}") == ["drei", "vier ö"]


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"text": ["one", "two"], "n": [1, 2]}), tmp_path / "a.parquet")
    parquet.write_table(pyarrow.table({"messages": [TALK]}), tmp_path / "b.parquet")
    (tmp_path / "c.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    assert read_texts(tmp_path / "a.parquet") == read_texts(tmp_path / "c.parquet.gz") == ["one", "two"]
    assert list(stream_chats(tmp_path / "b.parquet")) == [TALK]
    with pytest.raises(ValueError, match="row 0 has no field 'story'; its fields are 'text', 'n'"):
        read_texts(tmp_path / "a.parquet", field="story")


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(ImportError, match=r"clew\[data\]"):
        read_texts(tmp_path / "a.parquet")


BROKEN = {
    "empty.txt": ("\n\n", "holds no text"),
    "line.jsonl": ('{"text": "a"}\n{"text"\n', "line 2 is not JSON"),
    "field.jsonl": ('{"id": 1, "body": "a"}\n', "line 1 has no field 'text'; its fields are 'id', 'body'$"),
    "chat.jsonl": (json.dumps({"messages": TALK}), "read it with stream_chats"),
    "number.jsonl": ('{"text": 3}', "line 1: 'text' is no text but 3"),
    "object.json": ('{"text": "a"}', "must hold a JSON list"),
    "not.json": ('{"text": "a"}\n{"text": "b"}', "belongs in a .jsonl file"),
    "plain.txt.gz": ("not packed", "is not a whole file of texts: Not a gzipped file"),
    "twice.jsonl": ('{"text": "a", "text": "b"}', "line 1 is not JSON .*'text' is given twice"),
    "deep.jsonl": ("[" * 100_000, "line 1 is not JSON that can be read .*nested too deep"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_with_the_place(tmp_path: Path, name: str) -> None:
    content, said = BROKEN[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name}.*{said}"):
        read_texts(tmp_path / name)


def test_what_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no text file .*none.txt"):
        read_texts(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="holds no file that ends in"):
        read_texts(tmp_path)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match="latin.txt cannot be read as UTF-8"):
        read_texts(tmp_path)


def test_a_stream_is_read_as_far_as_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\nbroken\n')
    assert next(stream_texts(tmp_path / "a.jsonl")) == "one"


def test_shuffled_texts_are_the_same_texts_in_a_repeatable_order() -> None:
    texts = [str(i) for i in range(50)]
    assert shuffled_texts(iter(texts), 1) == shuffled_texts(texts, 1) != shuffled_texts(texts, 2)
    assert sorted(shuffled_texts(texts, 1), key=int) == texts


def test_the_hub_is_read_by_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    hub = ModuleType("datasets")
    hub.load_dataset = lambda *a, **o: asked.append((a, o)) or iter([{"text": "one", "messages": TALK}])
    monkeypatch.setitem(sys.modules, "datasets", hub)
    assert list(hub_texts("owner/name:en", split="test")) == ["one"]
    assert asked == [(("owner/name", "en"), {"split": "test", "streaming": True})]
    assert list(hub_chats("owner/name")) == [TALK]
    with pytest.raises(ValueError, match="owner/name, row 0 has no field 'body'; its fields are 'text', 'messages'"):
        next(hub_texts("owner/name", field="body"))


def test_the_hub_without_datasets_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"clew\[data\]"):
        next(hub_texts("owner/name"))


def template(words: str, inner: str = "{{ m.content }}") -> object:
    tokenizer = word_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}" + words.replace("WORDS", inner) + "{% endfor %}"
    return tokenizer


def words_of(chat: list[dict[str, str]], tokenizer: object) -> list[str]:
    text, spans = rendered(chat, tokenizer, "it")
    return [text[first:last] for first, last, _ in spans]


def test_words_of_a_chat_are_found_where_the_template_puts_them() -> None:
    tokenizer = template("[{{ m.role }}] WORDS <eos> ")
    text, spans = rendered(TALK, tokenizer, "it")
    assert text == "[user] who is old ? <eos> [assistant] the king <eos> "
    assert spans == [(7, 19, 1), (38, 46, 2)]


def test_words_that_look_like_the_template_are_still_words() -> None:
    tricky = [{"role": "user", "content": "user"}, {"role": "user", "content": "a <eos> [user] b <eos> "}]
    assert words_of(tricky, template("[{{ m.role }}] WORDS <eos> ")) == ["user", "a <eos> [user] b <eos> "]


def test_a_template_may_trim_and_shorten() -> None:
    talk = [{"role": "assistant", "content": " <think> much </think> so\n"}, {"role": "user", "content": "  yes "}]
    assert words_of(talk, template("({{ m.role }}) WORDS ;", "{{ m.content | trim }}"))[1] == "yes"
    short = template("({{ m.role }}) WORDS ;", "{{ m.content.split('</think>')[-1] }}")
    assert words_of(talk, short) == [" so\n", "  yes "]


def test_a_template_that_scrambles_is_refused() -> None:
    with pytest.raises(ValueError, match="makes its words unfindable"):
        rendered(TALK, template("{{ m.content | length }} WORDS ;"), "it")


def test_token_classes_by_shared_characters() -> None:
    offsets = [(0, 6), (6, 8), (8, 10), (10, 12), (12, 14), (14, 16)]
    kinds = token_classes([5, 6, 7, 8, 9, 5], offsets, [(7, 11, 1), (13, 16, 2)], special=[9])
    assert np.array_equal(kinds, [0, 1, 1, 1, 0, 2])


@pytest.mark.parametrize(
    ("chat", "said"),
    [
        ([], "must be a list of messages"),
        ("hello", "must be a list of messages"),
        ([{"role": "user", "content": [1]}], "which is no message"),
        ([{"role": "user", "content": None}], "which is no message"),
        ([{"role": "assistant", "tool_calls": []}], "which is no message"),
        ([{"content": "a"}], "a message without a role"),
    ],
)
def test_what_is_no_chat(chat: object, said: str) -> None:
    with pytest.raises(ValueError, match=f"conversation 3 .*{said}"):
        getattr(rendered, "__wrapped__", rendered)(chat, template("WORDS "), "conversation 3")


def test_a_tokenizer_without_a_chat_template() -> None:
    with pytest.raises(ValueError, match="no chat template; open an instruct model"):
        rendered(TALK, word_tokenizer(), "it")


CHATS = {
    "role.jsonl": ({"content": "a"}, "without a role"),
    "text.jsonl": ({"role": "user", "content": [1]}, "which is no message"),
    "lost.jsonl": ({"role": "user"}, "which is no message"),
    "near.jsonl": ({"role": "user", "contnet": "a", "tool_calls": [{"name": "f"}]}, "has 'contnet' and no 'content'"),
}


@pytest.mark.parametrize("name", CHATS)
def test_what_is_no_chat_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    message, said = CHATS[name]
    (tmp_path / name).write_text(json.dumps({"messages": [message]}))
    with pytest.raises(ValueError, match=f"{name}, line 1.*{said}"):
        list(stream_chats(tmp_path / name))


def test_only_a_line_feed_ends_a_line_and_a_mark_at_the_front_is_none_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffone\u2028still one\r\ntwo\r\n\r\nthree\x85".encode())
    assert read_texts(tmp_path / "a.txt") == ["one\u2028still one\ntwo", "three"]
    (tmp_path / "a.jsonl").write_text('\ufeff{"text": "one\u2028two"}\r\n', encoding="utf-8")
    assert read_texts(tmp_path / "a.jsonl") == ["one\u2028two"]


def test_bytes_of_another_encoding_are_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"text": "one"}'.encode("utf-16-le"))
    with pytest.raises(ValueError, match=r"a\.jsonl, line 1 is not JSON"):
        read_texts(tmp_path / "a.jsonl")


def test_a_small_file_that_grows_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clew.data.text.texts.LONGEST", 1000)
    monkeypatch.setattr("clew.data.text.texts.LARGEST", 5000)
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(bytes(10**6)))
    with pytest.raises(ValueError, match=r"a\.txt\.xz, line 1 is longer than 1000 bytes"):
        read_texts(tmp_path / "a.txt.xz")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"\n" * 10**4))
    with pytest.raises(ValueError, match=r"a\.json\.gz is larger than 5000 bytes"):
        read_texts(tmp_path / "a.json.gz")


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_a_damaged_archive_is_named(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    whole = pack(b"one\n\ntwo\n" * 50)
    for at in range(2, len(whole), 3):
        path = tmp_path / f"a.txt.{suffix}"
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        try:
            assert read_texts(path) == ["one", *["two\none"] * 49, "two"]
        except ValueError as error:
            assert path.name in str(error)


def test_a_damaged_parquet_is_named(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": ["one", "two"]}), path, write_page_checksum=True)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        try:
            read_texts(path)
        except (ValueError, OSError) as error:
            assert path.name in str(error)
