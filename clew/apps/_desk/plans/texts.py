"""Text that is read: files and folders of the folder, or `wikipedia`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from clew.apps._desk.plans.plan import Work
from clew.apps._desk.views import View

TEXT = {
    "texts": "text to read: paths in the folder, or wikipedia",
    "tokens": "how much of it",
    "context": "the longest window in tokens",
}


def check_texts(work: Work) -> list[str]:
    """Their names. Raises: NotHere for a file that is not there."""
    names = work.some("texts", str)
    for name in names:
        if name != "wikipedia":
            work.folder.there(name)
    work.one("tokens", int, at_least=1)
    work.one("context", int, at_least=2)
    return names


def read(work: Work) -> Iterator[str]:
    """The texts, one after the other."""
    from clew.data.text import texts

    def of(name: str) -> Iterator[str]:
        if name == "wikipedia":
            return iter(texts.shuffled_texts(texts.wikipedia_leads()))
        return texts.stream_texts(work.folder.there(name))

    return chain.from_iterable(map(of, work.some("texts", str)))


def windows_of(work: Work, view: View, usual: int = 20_000) -> Any:
    """The text, cut as the model reads it."""
    from clew.data.text.windows import cut

    limit, context = work.one("tokens", int, usual), work.one("context", int, 64)
    return cut(read(work), view.model.tokenizer, context=context, limit=limit)
