import base64
import hashlib
import re
import xml.etree.ElementTree as ElementTree

import pytest

from clew.apps.pages.dictionary import dictionary_page
from clew.report import Report, Row

HOSTILE = "</style><script>alert(1)</script><img src=x onerror='x'>\"& {{style}}"


def report(fvu: float = 0.25, **changes) -> Report:
    rows = (
        Row("FVU", fvu, fvu - 0.05, fvu + 0.05, examples=8),
        Row("coherence", 0.5, float("nan"), float("nan"), "plain"),
        Row("loss recovered", 0.98, 0.97, 0.99, "mean ablation"),
        Row("loss recovered", -0.5, -0.9, 0.1, "zero ablation"),
        Row("FVU", 0.5, 0.4, 0.6, "user tokens"),
        Row("dead", 0.1, 0.05, 0.15),
        Row("density", 0.3, 0.2, 0.4, "0..1e-2"),
        Row("density", 0.6, 0.5, 0.7, "1e-2..1"),
    )
    given = {"rows": rows, "notes": ("a note",), "provenance": {"model": "tiny", "options": {"seed": 7}}}
    return Report("topk at resid.0", **(given | changes))


def hostile() -> Report:
    rows = (Row(HOSTILE, 1.0, 0.5, 2.0, HOSTILE), Row("density", 0.5, 0.4, 0.6, HOSTILE))
    return Report(HOSTILE, rows, (HOSTILE,), {HOSTILE: HOSTILE})


def body(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.search(r"<main>.*</main>", page, re.DOTALL)[0])


def test_every_dictionary_is_a_column_and_every_row_a_line() -> None:
    table = body(dictionary_page({"one": report(), "two": report(0.5)})).find(".//table")
    assert [th.text for th in table.findall("thead/tr/th")] == ["Measure", "one", "two"]
    lines = [["".join(cell.find("b").itertext()) for cell in tr.findall("td")] for tr in table.findall("tbody/tr")]
    assert lines[0] == ["0.25", "0.5"]
    assert lines[4] == ["−0.5", "−0.5"]


def test_lines_of_one_measure_stand_together_and_it_is_named_once() -> None:
    rows = body(dictionary_page({"one": report()})).findall(".//tbody/tr")
    said = [[(s.get("class"), s.text) for s in tr.find("th")] for tr in rows]
    assert said[0][0] == ("name", "FVU") and said[1][:2] == [("name again", "FVU"), ("of", "user tokens")]
    assert [s[0][1] for s in said] == ["FVU", "FVU", "coherence", "loss recovered", "loss recovered", "dead"]


def test_what_one_dictionary_lacks_is_a_dash() -> None:
    cells = body(dictionary_page({"one": report(), "two": Report("", ())})).findall(".//tbody/tr/td")
    assert {cell.text for cell in cells[1::2]} == {"–"}


def test_a_measure_has_one_scale_and_its_dots_lie_on_it() -> None:
    page = dictionary_page({"one": report(0.25), "two": report(0.5)})
    first = body(page).find(".//tbody/tr")
    dots = [float(dot.get("cx")) for dot in first.iter("circle")]
    ends = [3 + 126 * v / 0.6 for v in (0.25, 0.5)]  # from 0 to the highest end of an interval
    assert dots == pytest.approx(ends, abs=0.1)


def test_a_number_without_an_interval_says_so_and_draws_none() -> None:
    coherence = body(dictionary_page({"one": report()})).findall(".//tbody/tr")[2]
    assert coherence.find(".//span[@class='span']").text == "no interval"
    assert coherence.find(".//path[@class='range']") is None and coherence.find(".//circle") is not None


def test_the_histogram_has_a_bar_for_the_dead_and_each_decade() -> None:
    (figure,) = body(dictionary_page({"one": report()})).iter("figure")
    heights = [float(bar.get("height")) for bar in figure.iter("rect")]
    assert heights == pytest.approx([120 * v / 0.7 for v in (0.1, 0.3, 0.6)], abs=0.1)
    assert figure.find("svg").get("aria-label") == "dead: 10.0%, 0 – 1e-2: 30.0%, 1e-2 – 1: 60.0%"


def test_notes_and_provenance_are_told() -> None:
    made = "".join(body(dictionary_page({"one": report()})).find(".//details").itertext())
    assert "topk at resid.0" in made and "a note" in made and "options seed" in made and "7" in made


def test_no_text_becomes_markup() -> None:
    page = dictionary_page({HOSTILE: hostile(), "two": report()})
    assert "<script" not in page and "<img" not in page and page.count("</style>") == 1
    tree = body(page)  # what is well-formed has no stray tag
    assert tree.find(".//thead/tr/th[2]").text == HOSTILE
    assert {tree.find(".//tbody/tr/th/span").text, tree.find(".//li").text, tree.find(".//dd").text} == {HOSTILE}


def test_nothing_is_fetched_and_nothing_runs() -> None:
    page = dictionary_page({"one": report(), "two": report(0.5)})
    assert not re.search(r"https?:|//[a-z]+\.|@import|\burl\(|<link|<script|\bsrc=|\bon\w+=|\bstyle=|href=", page)
    policy = re.search(r'Content-Security-Policy" content="(.*?)">', page)[1]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_one_report_gives_the_page_its_name_and_none_is_refused() -> None:
    assert "<title>a &lt;b&gt;</title>" in dictionary_page({"a <b>": report()})
    assert "<section><h2>How often" not in dictionary_page({"one": report(rows=())})
    with pytest.raises(ValueError, match="give at least one report"):
        dictionary_page({})
