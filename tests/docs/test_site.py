"""The site: every public name has a place, every page stands in its list, docstrings are read as they are written."""

import re
import sys
from pathlib import Path

import pandas
import pytest

import clew
from clew.report import Report
from clew.studies.atlas.atlas import Atlas

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs" / "_site"))

import gallery  # noqa: E402
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


def test_in_a_table_a_number_is_not_torn_from_its_interval() -> None:
    table = "| fit | 0.78 ± 0.02 | 0.96 [-0.79, 1.45] |\n\n0.78 ± 0.02"
    held = table.replace("0.78 ± 0.02 |", "0.78\xa0±\xa00.02 |").replace("[-0.79, ", "[-0.79,\xa0")
    assert hooks.whole_numbers(table) == held
    assert hooks.whole_numbers("<td>0.96 [0.79, 1.45]</td>") == "<td>0.96 [0.79,\xa01.45]</td>"


def test_a_frame_of_pandas_and_what_was_printed_look_like_the_rest_of_the_site() -> None:
    (table,) = notebooks._shown({"data": {"text/html": pandas.DataFrame({"fit": [1.0]})._repr_html_()}}, "first", {})
    assert "<table>" in table and "border" not in table
    (said,) = notebooks._shown({"text": "a long line\n"}, "first", {})
    assert said == "``` {.text .said}\na long line\n```"


def test_the_gallery_is_made_of_what_is_kept_without_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clew, "open", None)
    monkeypatch.setattr(clew, "find", None)
    made = gallery.gallery()
    cards = re.findall(r'<a href="([^"]+)"><img src="([^"]+)"', made["gallery.md"])
    assert {name for card in cards for name in card} == made.keys() - {"gallery.md", "gallery/atlas.html"}
    assert all("<html" in made[page] and "<svg" in made[drawing] for page, drawing in cards)
    assert {path.name for path in gallery.KEPT.iterdir() if path.is_file()} == {
        Path(page).with_suffix(end).name for page, _ in cards for end in (".json", ".report.json")
    }


def test_the_gallerys_atlas_is_small_and_shows_contexts_of_the_novels_alone() -> None:
    atlas = Atlas.load(gallery.KEPT / "atlas")
    assert (gallery.KEPT / "atlas" / "atlas.json").stat().st_size < 5e6
    assert {atlas.sources[e.source] for one in atlas for e in one.examples} == {"Standard Ebooks"}
    report = atlas.report()
    own, random = (
        next(r for r in report.rows if r.measure == "completeness" and r.of == of)
        for of in ("resample", "random, resample")
    )
    assert own.high < random.low  # without its circuits the model loses more than without random ones


def test_the_gallerys_circuits_of_a_pretrained_model_were_checked_and_beat_chance() -> None:
    for part, find, of, *_ in gallery.CIRCUITS:
        rows = Report.load(gallery.KEPT / f"{gallery._name(find, of)}.report.json").rows
        best = {row.of: row.value for row in rows if row.measure == "faithfulness" and row.nodes == rows[-1].nodes}
        (chance,) = (name for name in best if name.startswith("random"))
        assert best[chance.removeprefix("random ")] > 0.5 > best[chance], part
