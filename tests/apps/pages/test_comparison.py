"""The page of a bench: every cell is there, nothing is fetched, nothing runs, and no text becomes markup."""

import base64
import hashlib
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from clew.apps.pages.comparison import bench_page
from tests.studies.comparison.cells import CHANCE, FAILED, cell

HOSTILE = "</style><script>alert(1)</script><img src=x onerror='x'>\"& {{style}}"


def body(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.search(r"<main>.*</main>", page, re.DOTALL)[0])


def test_every_cell_is_a_line_and_every_curve_a_figure() -> None:
    main = body(bench_page([CHANCE, cell(), cell("eap_ig_inputs", 0.9), FAILED]))
    lines = [["".join(part.itertext()) for part in row] for row in main.findall(".//tbody/tr")]
    assert [line[0] for line in lines] == [
        "random", "eaptopovershoot", "eap_ig_inputstopovershoot", "acdcilp", "what no signal gets",
    ]  # fmt: skip
    assert lines[1][1] == "0.50.4 to 0.6" and lines[1][5:] == ["6", "5", "1.2", "3"] and lines[0][5:] == ["–"] * 4
    assert lines[3][1:] == ["failed: it needs scipy"] and lines[4][1] == "0.25"
    assert [f.find("figcaption").text for f in main.findall(".//figure")] == ["eap, top", "eap_ig_inputs, top"]
    assert main.find(".//section/p").text == "100 edges; found on 5 pairs, judged on 4 others, by logit difference"


def test_a_curve_is_drawn_where_its_values_are() -> None:
    figure = body(bench_page([CHANCE, cell(f=0.55)])).find(".//figure")
    (dashed, *curves) = [path.get("d") for path in figure.iter("path") if path.get("class") in ("f", "chance")]
    assert len(curves) == 2 and curves[0] == curves[1] != dashed
    assert re.fullmatch(r"M30.0 132.0L149.0 \S+L268.0 \S+", curves[0])  # log k: .1 stands half way, 0 on the floor
    halfway, top = (float(point.split()[1]) for point in curves[0].split("L")[1:])
    assert (132 - halfway) / (132 - top) == pytest.approx(0.55, abs=0.01)
    assert "0.55 at 0.1" in figure.find("svg").get("aria-label") and "overshoot: too much" in "".join(figure.itertext())


def test_what_leaves_the_scale_is_said() -> None:
    figure = body(bench_page([cell(f=7.5)])).find(".//figure")
    assert "f runs from 0 to 7.5 in the signed ranking" in "".join(figure.itertext())


def test_how_it_was_made_is_there() -> None:
    made = " ".join(body(bench_page([cell()])).find(".//details").itertext())
    assert all(word in made for word in ("a note", "options steps", "cpu_seconds", "key of eap"))


def test_no_text_becomes_markup_and_nothing_is_fetched_or_run() -> None:
    hostile = cell(HOSTILE, flags=(HOSTILE,), provenance={**cell().provenance, HOSTILE: HOSTILE})
    page = bench_page(
        [replace(c, behaviour=HOSTILE, model=HOSTILE, failed=c.failed and HOSTILE) for c in (hostile, FAILED)]
    )
    assert "<script" not in page and "<img" not in page and page.count("</style>") == 1
    assert body(page).find(".//figure/p").text == HOSTILE
    page = bench_page([CHANCE, cell()])
    assert not re.search(r"https?:|//[a-z]+\.|@import|\burl\(|<link|<script|\bsrc=|\bon\w+=|\bstyle=|href=", page)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in page


def test_a_bench_in_which_all_failed_is_shown_too() -> None:
    page = bench_page([FAILED])
    assert "failed: it needs scipy" in page and "<figure" not in page


def test_a_page_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="give at least one cell"):
        bench_page([])
