"""The site: every public name has a place, every page stands in its list, docstrings are read as they are written."""

import re
import sys
from pathlib import Path

import pytest

import clew

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs" / "_site"))

import hooks  # noqa: E402
import notebooks  # noqa: E402
import reference  # noqa: E402
from docstrings import as_markdown  # noqa: E402


def listed() -> list[str]:
    """The pages that the site's list names."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    return re.findall(r"^ +- .*?([\w/-]+\.md)$", text[text.index("\nnav:") :], re.MULTILINE)


def test_every_public_name_stands_in_the_reference() -> None:
    assert reference.public() == set(clew.__all__) | {"open"}


def test_every_page_stands_in_the_list_and_is_one() -> None:
    made = {*reference.pages(), *notebooks.pages(), *hooks.OUTSIDE.values(), "gallery.md"}
    written = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    assert len(listed()) == len(set(listed()))
    assert set(listed()) == {name for name in made | written if name.endswith(".md")}


def test_every_file_of_a_room_that_is_called_by_its_name_stands_in_the_reference() -> None:
    text = reference.pages()["api/methods.md"]
    for path in (ROOT / "clew" / "methods").rglob("[a-z]*.py"):
        assert f".{path.stem}.{path.stem}\n" in text, path


def test_a_docstring_is_read_as_it_is_written() -> None:
    said = as_markdown(
        "Do.\n\nArgs: model: seen through\n    dictionaries. n, seed: how many.\nReturns: a Circuit.\n\n>>> f(1)\n2\n\nMore.",
        ["model", "n", "seed"],
    )
    assert [line for line in said.splitlines() if line] == [
        "Do.", "**Args**", "- `model`: seen through dictionaries.", "- `n, seed`: how many.",
        "**Returns** a Circuit.", "```pycon", ">>> f(1)", "2", "```", "More.",
    ]  # fmt: skip
    assert as_markdown("Args:\n    a: one: two.\n    b: three.", ["a", "b"]).endswith("- `a`: one: two.\n- `b`: three.")


@pytest.mark.parametrize(
    ("here", "link", "there"),
    [
        ("circuits.md", "[a](all-of-clew.md#words)", "[a](all-of-clew.md#words)"),
        ("editing.md", "[a](../bench/LOG.md)", "[a](project/speed.md)"),
        ("project/contributing.md", "[a](docs/extend.md)", "[a](../extend.md)"),
        ("index.md", "[a](tutorials/your_own.py)", "[a](tutorials/your_own.md)"),
        ("project/contributing.md", "[a](recipes)", "a"),
        ("results.md", "![a](results/x.svg)", "![a](results/x.svg)"),
        ("index.md", "[a](https://arxiv.org/x)", "[a](https://arxiv.org/x)"),
    ],
)
def test_a_link_between_files_becomes_one_between_pages(here: str, link: str, there: str) -> None:
    assert hooks.moved(link, here) == there
