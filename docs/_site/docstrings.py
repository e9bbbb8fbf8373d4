"""Docstrings as they are written here, made Markdown: arguments as a list, examples as code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import griffe

HEADS = ("Args", "Returns", "Raises", "Costs", "Source", "Differs", "Yields")
HEAD = re.compile(rf"({'|'.join(HEADS)}): ?(.*)")


def as_markdown(text: str, names: Iterable[str] = ()) -> str:
    """A docstring, its sections under bold heads, its arguments (known by their names) as items, its examples fenced."""
    done = list[str]()
    for is_code, lines in groupby(_marked(text.splitlines()), key=lambda line: line[0]):
        said = [line for _, line in lines]
        done += ["", "```pycon", *said, "```", ""] if is_code else _sections(said, list(names))
    return "\n".join(done).strip()


def _marked(lines: Iterable[str]) -> Iterator[tuple[bool, str]]:
    """Each line, and whether it is of an example: from `>>>` to the next empty line."""
    inside = False
    for line in lines:
        inside = line.lstrip().startswith(">>>") or (inside and bool(line.strip()))
        yield inside, line.strip() if inside else line


def _sections(lines: list[str], names: list[str]) -> Iterator[str]:
    """Sections are told by their heads, which stand at the margin."""
    head, held = "", list[str]()
    for line in [*lines, "Args:"]:
        if found := HEAD.fullmatch(line):
            yield from _section(head, held, names)
            head, held = found[1], [found[2]]
        else:
            held.append(line)


def _section(head: str, lines: list[str], names: list[str]) -> Iterator[str]:
    if not head:
        yield from lines
    elif head == "Args":
        items = re.split(
            rf"(?:^|(?<=\. )|(?<=: )|(?<=\n)\s*)(?=(?:{'|'.join(names) or 'x^'})(?:, \w+)*: )", "\n".join(lines)
        )
        said = [" ".join(item.split()) for item in items if item.strip()]
        yield from ("", "**Args**", "", *(re.sub(r"^([\w, ]+?): ", r"- `\1`: ", item) for item in said), "")
    else:
        yield from ("", f"**{head}** {' '.join(' '.join(lines).split())}", "")


class Docstrings(griffe.Extension):
    """Rewrites the docstring of every object as it is loaded."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            names = [p.name for p in obj.parameters] if isinstance(obj, griffe.Function | griffe.Class) else []
            names += list(obj.members) if isinstance(obj, griffe.Class) else []
            obj.docstring.value = as_markdown(obj.docstring.value, [n for n in names if n != "self"])
