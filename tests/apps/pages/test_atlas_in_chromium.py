"""The page of an atlas in a real browser, from its file and with no network: by mouse, by keyboard, on a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clew.apps.pages.atlas import atlas_page
from tests.apps.atlases import HOSTILE, atlas

CHOSEN = "#id=3"
DARK = {"color_scheme": "dark", "viewport": {"width": 390, "height": 800}}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("atlas") / "atlas.html"
    path.write_text(atlas_page(atlas(100), shown=["harbour"]))
    return path


@pytest.fixture
def opened(chromium: Any, file: Path) -> Iterator[Any]:
    """Opens the page offline at a link; nothing may be asked for, and nothing may go wrong."""
    heard, tabs = list[str](), list[Any]()

    def open(link: str = "", **options: Any) -> Any:
        tab = chromium.new_context(
            offline=True, **{"viewport": {"width": 1300, "height": 900}, "reduced_motion": "reduce", **options}
        ).new_page()
        tab.on("request", lambda request: heard.append(request.url))
        tab.on("console", lambda message: heard.append(message.text))
        tab.on("pageerror", lambda error: heard.append(str(error)))
        tab.goto(f"{file.as_uri()}{link}")
        tab.locator(".atlas canvas").wait_for()
        tabs.append(tab)
        return tab

    yield open
    for tab in tabs:
        tab.context.close()
    assert [said for said in heard if not said.startswith("file://")] == []


def listed(tab: Any) -> list[str]:
    return tab.locator(".behaviours tbody button").all_inner_texts()


def search(tab: Any, words: str) -> None:
    tab.get_by_role("searchbox", name="Search behaviours").fill(words)


def count(tab: Any) -> str:
    return tab.locator(".count").inner_text()


def column(tab: Any) -> list[float]:
    return [float(text) for text in tab.locator(".behaviours td.by").all_inner_texts() if text != "–"]


def test_a_person_searches_hides_and_sorts(opened):
    tab = opened()
    assert tab.locator("h1").all_inner_texts() == ["Behaviours of tiny"] and tab.locator("img, b").count() == 0
    assert count(tab) == "100" and len(listed(tab)) == 60
    tab.get_by_role("button", name="Show 40 more of 100").click()
    assert len(listed(tab)) == 100 and HOSTILE in listed(tab)
    search(tab, "'STONE' before 'rose'")
    assert count(tab) == "2 of 100"  # words may stand in any order
    search(tab, "resid.3/8")
    assert count(tab) == "34 of 100"
    tab.get_by_label("hide trivial").check()
    tab.get_by_label("hide joined").check()
    assert int(count(tab).split()[0]) == 29 and not any("trivial" in name for name in listed(tab))
    search(tab, "zebra resid.99/1")
    assert "No behaviour that is not hidden has “zebra” and resid.99/1." in tab.locator(".nothing").inner_text()
    tab.get_by_role("button", name="Clear the search").click()
    for name in ("Faithfulness", "Silhouette", "Name fit", "Contexts"):
        tab.get_by_role("button", name=name).click()
        assert column(tab) == sorted(column(tab), reverse=True)
    tab.wait_for_url("**#hide=trivial%2Cjoined")
    tab.reload()
    tab.locator(".atlas canvas").wait_for()
    assert tab.get_by_label("hide joined").is_checked()


def test_a_card_says_what_is_known_and_two_stand_side_by_side(opened):
    tab = opened(CHOSEN)
    card = tab.get_by_role("article").inner_text()
    for said in (
        "Contexts of garden are not shown here.",
        "With another beginning 94\u00a0% of the answers still come (18 contexts); they lose 0.21 nats.",
        "With one word changed: no context to try it on.",
        "Faithfulness at 40 nodes",
        "others set to their mean, p = 0.50",
        "resid.3/7 what grows",
        HOSTILE,
        "400 nodes had an effect; 12 edges among those that were kept.",
    ):
        assert said in card
    assert tab.locator(".example mark").first.inner_text().strip() and tab.locator(".shares .random").count() == 1
    tab.get_by_role("button", name="Compare").click()
    tab.locator(".behaviour ul button").first.click()
    both = tab.get_by_role("region", name="Side by side")
    assert "in both circuits; the cosine of their scores is 0.80." in both.inner_text()
    assert both.get_by_role("article").count() == 2 and both.locator(".both tbody tr").count() >= 2
    tab.get_by_role("button", name="Stop comparing").click()
    tab.get_by_role("button", name="Features").click()
    tab.get_by_role("searchbox", name="Search features").fill("what gr")
    assert [" ".join(row.split()) for row in tab.locator(".features tbody tr").all_inner_texts()] == [
        "resid.3/7 what grows 99"
    ]
    tab.locator(".features tbody button").click()
    assert count(tab) == "99 of 100"


def test_the_map_is_walked_by_keys_and_clicked(opened):
    tab = opened(**DARK)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.get_by_role("application").focus()
    tab.keyboard.press("ArrowRight")
    first = tab.locator(".tip b").inner_text()
    tab.keyboard.press("ArrowRight")
    second = tab.locator(".tip b").inner_text()
    tab.keyboard.press("Enter")
    assert first != second == tab.locator(".behaviour h2").inner_text()
    tab.keyboard.press("+")
    assert tab.locator(".map.moved").count() == 1
    tab.keyboard.press("0")
    tab.keyboard.press("Escape")
    assert tab.locator(".behaviour").count() == 0
    tab.evaluate("scrollTo(0, 0)")
    box = tab.locator("canvas").bounding_box()
    spots = [(x, y) for y in range(60, int(box["height"]) - 60, 30) for x in range(30, int(box["width"]), 25)]
    for x, y in spots:
        tab.mouse.click(box["x"] + x, box["y"] + y)
        if tab.locator(".behaviour").count():
            break
    assert tab.locator(".behaviour").count() == 1
    drawn = "e => new Set(new Uint32Array(e.getContext('2d').getImageData(0, 0, e.width, e.height).data.buffer)).size"
    assert tab.locator("canvas").evaluate(drawn) > 20
