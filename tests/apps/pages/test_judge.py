import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from clew.apps.pages.judge import judge_page
from clew.circuits.verdicts import Verdicts
from tests.circuits.test_verdicts import circuit

HOSTILE = "</script><script>alert(1)</script><img src=x onerror='x'>\"& {{style}}"
TOLD = {
    "top_tokens": {"resid.0/3": [" she", HOSTILE]},
    "examples": {"resid.0/3": [f"and «she» said {HOSTILE}"]},
    "promotes": {"resid.0/3": [" her"]},
}
JUDGED = Verdicts.of(circuit()).drop("resid.0/5", HOSTILE, judge=HOSTILE, day="2026-01-31")


def cards(page: str) -> list[ElementTree.Element]:
    closed = re.sub(r"(<input[^>]*[^/])>", r"\1/>", re.search(r"<main>.*</main>", page, re.DOTALL)[0])
    return ElementTree.fromstring(closed).findall("article")


def test_every_unit_has_a_card_and_no_error_has_one() -> None:
    found = cards(judge_page(circuit(**TOLD)))
    assert [card.get("data-address") for card in found] == ["resid.0/3", "resid.0/5", "resid.0/8"]
    assert [b.get("class") for b in found[0].findall(".//button")] == ["keep", "drop"]


def test_a_card_shows_tokens_passages_and_what_is_promoted() -> None:
    card = cards(judge_page(circuit(**TOLD)))[0]
    assert [span.text for span in card.findall(".//div[@class='tokens']/span")] == [" she", HOSTILE]
    assert card.find(".//li/mark").text == "she" and card.find(".//li/mark").tail == f" said {HOSTILE}"
    assert card.find(".//p[@class='promotes']").text == "promotes  her" and "effect +4" in card.find(".//h2/span").text


def test_what_others_wrote_stays_text() -> None:
    page = judge_page(circuit(**TOLD), JUDGED)
    assert page.count("<script") == 2 and "<img" not in page and "{{style}}" in page
    assert cards(page)[1].find(".//input").get("value") == HOSTILE


def test_the_page_holds_the_judgement_as_it_is_saved() -> None:
    data = re.search(r'id="data">(.*?)</script>', judge_page(circuit(), JUDGED), re.DOTALL)[1]
    assert json.loads(data) == JUDGED.to_json()


def test_a_judgement_of_more_units_keeps_them() -> None:
    more = replace(JUDGED, units={**JUDGED.units, "resid.0/9": None})
    page = judge_page(circuit(), more)
    assert len(cards(page)) == 3 and '"resid.0/9"' in page


def test_nothing_is_fetched_and_only_this_script_runs() -> None:
    page = judge_page(circuit(**TOLD))
    assert "default-src 'none'" in page and not re.search(r"https?://|@import|url\(", page)


def test_errors() -> None:
    with pytest.raises(ValueError, match="no units to judge"):
        judge_page(circuit().keep(circuit().unit < 0))
    with pytest.raises(ValueError, match="another dictionary"):
        judge_page(circuit("xyz"), JUDGED)
