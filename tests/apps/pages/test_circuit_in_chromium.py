"""The page in a real browser, from its file and with no network: what a person does, by mouse, by keyboard, by phone."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from clew.apps.pages.circuit import page, page_of_two
from clew.circuits.circuit import ANYWHERE, Circuit
from clew.circuits.formats.subgraph import with_subgraph
from clew.circuits.supernode import Supernode
from clew.circuits.verdicts import Verdicts
from clew.report import Report, Row
from tests.apps.test_bundle import HOSTILE, JUDGED, curve, small_circuit
from tests.circuits.test_verdicts import circuit as unit_circuit

pytestmark = pytest.mark.slow
NODES = "#graph .node"
FOCUS = "(e => e.id || e.getAttribute('class') || e.tagName)(document.activeElement)"
DOWN = {"width": 1300, "height": 900}
Opened = Callable[..., Any]


@pytest.fixture
def opened(chromium: Any, tmp_path: Path) -> Iterator[Opened]:
    """Opens a page's text from a file, offline; nothing may be asked for, and nothing may go wrong."""
    heard: list[str] = []
    tabs: list[Any] = []

    def open(text: str, link: str = "", **options: Any) -> Any:
        (tmp_path / "page.html").write_text(text)
        tab = chromium.new_context(offline=True, **{"viewport": DOWN, "reduced_motion": "reduce", **options}).new_page()
        tab.on("request", lambda request: heard.append(request.url))
        tab.on("console", lambda message: heard.append(message.text))
        tab.on("pageerror", lambda error: heard.append(str(error)))
        tab.goto(f"{(tmp_path / 'page.html').as_uri()}{link}")
        tab.wait_for_selector("#card > *")
        tab.wait_for_timeout(120)
        tabs.append(tab)
        return tab

    yield open
    for tab in tabs:
        tab.context.close()
    assert [url for url in heard if not url.startswith(("file://", "blob:"))] == []


def many(n: int = 30, **changes: Any) -> Circuit:
    circuit = small_circuit(n, **changes).with_details(
        tokens=["The", " keys", " were"],
        metric="logit difference",
        top_tokens={f"resid.1/{i}": [f" word{i}"] for i in range(11, 10 + n, 2)},
        promotes={"resid.1/11": [" are"]},
        examples={"resid.1/11": [f"and the «keys» {HOSTILE}"]},
    )
    return replace(circuit, units=dict.fromkeys(circuit.sites, 99))


def node(tab: Any, address: str) -> Any:
    return tab.locator(f"{NODES}[data-i='{addresses(tab).index(address)}']")


def addresses(tab: Any) -> list[str]:
    circuit = Circuit.from_json(tab.evaluate("JSON.parse(document.getElementById('data').textContent).circuit"))
    return [one.address for one in circuit]


def save(tab: Any, name: str) -> Path:
    """The file that `Save as` gives under this name."""
    tab.locator("#export summary").click()
    with tab.expect_download() as told:
        tab.locator("#export button", has_text=re.compile(f"^{name}$")).click()
    return Path(told.value.path())


def looks(tab: Any) -> dict[str, Any]:
    """What is shown, in numbers."""
    return {
        "nodes": tab.locator(NODES).count(),
        "size": tab.locator("#size-is").inner_text(),
        "edges": tab.locator("#edges-are").inner_text(),
        "card": tab.locator("#card .address").all_inner_texts(),
        "pinned": tab.locator(".ring.pinned > *").count(),
        "selected": tab.locator(".ring.selected > *").count(),
        "query": tab.locator("#query").input_value(),
        "at": tab.locator(".world").evaluate("e => e.style.transform"),
    }


# What is drawn.


@pytest.mark.parametrize("where", ["aligned", "summed", "empty"])
def test_every_node_is_drawn_and_nothing_runs_from_the_labels(opened, where):
    position = {"position": np.full(4, ANYWHERE)} if where == "summed" else {}
    circuit = small_circuit(**position).top(0 if where == "empty" else 4)
    tab = opened(page(circuit, curve()))
    assert tab.locator(NODES).count() == tab.locator("article").count() == len(circuit)
    assert tab.title() == "agreement <b> in tiny" and tab.locator("img").count() == 0
    assert tab.locator("h1").all_inner_texts() == ["agreement <b> in tiny"]  # it once stood at the end as well


def test_the_chart_says_which_sizes_were_measured_and_what_its_lines_are(opened):
    """A graph of 4 nodes once stood beside a number "at 10 nodes", under a blue line that nothing spoke of."""
    exact = Report("curve", (*curve().rows, Row("faithfulness", 0.77, 0.7, 0.8, "features", 4, 8)))
    heard = []
    for report in (curve(), exact):
        tab = opened(page(small_circuit(), report))
        heard.append(tab.locator("#numbers").text_content())
        assert "“word”: what it fires on most" in tab.locator("#legend").text_content()
    assert "Faithfulness of 1 node 0.01" in heard[0] and "Faithfulness of 10 nodes 0.10" in heard[0]
    assert "Faithfulness of 4 nodes 0.77 [0.70, 0.80]" in heard[1] and "10 nodes" not in heard[1]
    for said in heard:
        assert "4 nodes, as in the graph" in said and "95 % interval over 8 prompts" in said and "at random" in said


def test_a_curve_over_edges_speaks_of_edges_and_not_of_the_graphs_nodes(opened):
    of = {"features": "edges", "random": "random edges"}
    rows = [replace(row, of=of[row.of], unit="edge") for row in curve().rows if row.nodes]
    tab = opened(page(small_circuit(), Report("curve", tuple(rows))))
    assert tab.get_by_role("img", name="Faithfulness by number of edges").locator("line.here").count() == 0
    said = tab.locator("#numbers").text_content()
    assert "Faithfulness of 100 edges 1.00" in said and "node" not in said


def test_what_was_predicted_stands_against_what_the_model_did(opened):
    points = [["resid.1/11@1", 1.0, 0.9], ["resid.1/13@0", -0.5, -0.4], ["mlp.0/12@2", None, 0.1]]
    tried = {"r": 0.99, "slope": 0.9, "nodes": 3, "points": points}
    tab = opened(page(many().with_details(predicted_effects=tried)))
    assert tab.locator(".scatter circle").count() == 2
    assert "its 3 strongest nodes: r 0.99, slope 0.90" in tab.locator("#predicted").text_content()
    tab.locator(".scatter circle").first.click()
    assert tab.locator("#card .address").inner_text() == "resid.1/11@1"
    bare = opened(page(many().with_details(predicted_effects={"r": 0.5, "slope": 1.0, "nodes": 3})))
    assert bare.locator(".scatter").count() == 0 and "r 0.50" in bare.locator("#predicted").text_content()


def test_a_node_says_all_that_is_known_of_it_with_its_error(opened):
    circuit = many(score_error=np.full(30, 0.125))
    tab = opened(page(circuit, curve()))
    node(tab, "resid.1/11@1").hover()
    card = tab.locator("#card").text_content()
    for part in ("resid.1/11@1", HOSTILE, "± 0.125", "opposes the behaviour", "word11", "Promotes", " are", "+1.25"):
        assert part in card
    assert tab.locator("#card mark").text_content() == "keys"
    tab.mouse.move(2, 2)
    assert "Follow the thread" in tab.locator("#card").text_content()


@pytest.mark.parametrize(("wide", "high"), [(1400, 900), (1100, 420), (700, 600)])
def test_the_card_of_a_held_node_lies_inside_the_window(opened, wide, high):
    long = {"resid.1/11": [f" token{i}" for i in range(40)]}
    circuit = small_circuit(30).with_details(
        top_tokens=long, promotes=long, examples={"resid.1/11": ["word " * 60] * 5}
    )
    tab = opened(page(circuit, curve()), "#resid.1/11@1", viewport={"width": wide, "height": high})
    box = tab.locator("#card").bounding_box()
    assert box["x"] >= 0 and box["y"] >= 0 and box["height"] > 100
    assert box["x"] + box["width"] <= wide and box["y"] + box["height"] <= high
    assert "Promotes" in tab.locator("#card").text_content() and "token7" in tab.locator("#card").text_content()


# What a person does.


def test_what_is_found_is_lit_and_enter_walks_it(opened):
    tab = opened(page(many()))
    tab.keyboard.press("/")
    tab.keyboard.type("word1")
    assert tab.locator("#found").inner_text() == "5 found" and tab.locator(".ring.found > *").count() == 5
    walked = []
    for _ in range(6):
        tab.keyboard.press("Enter")
        walked.append(tab.locator("#card .address").inner_text())
    assert len(set(walked)) == 5 and walked[5] == walked[0] and tab.locator("#found").inner_text() == "1 of 5"
    tab.keyboard.press("Escape")
    assert tab.locator("#query").input_value() == "" and tab.locator(".ring.found > *").count() == 0


def test_the_sliders_say_how_much_is_drawn_and_a_pinned_node_stays(opened):
    tab = opened(page(many()))
    assert looks(tab)["nodes"] == 30
    weakest = Circuit.top(many(), 30).nodes[-1].address
    node(tab, weakest).click(modifiers=["Control"])
    tab.locator("#size").fill("500")
    assert tab.locator("#size-is").inner_text() == "5" and tab.locator(NODES).count() == 6
    assert tab.locator(".ring.pinned > *").count() == 1 and node(tab, weakest).is_visible()
    tab.locator("#edges").fill("3")
    assert tab.locator("#edges-are").inner_text() == "3"


def test_a_rectangle_selects_and_a_selection_becomes_a_supernode(opened):
    tab = opened(page(many(12)))
    box = tab.locator(".stage").bounding_box()
    tab.keyboard.down("Shift")
    tab.mouse.move(box["x"] + 120, box["y"] + 70)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 300, box["y"] + 200)
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 5)
    tab.mouse.up()
    tab.keyboard.up("Shift")
    chosen = tab.locator(".ring.selected > *").count()
    assert 2 <= chosen < 12 and f"{chosen} nodes selected" in tab.locator(".selection").inner_text()
    tab.keyboard.press("g")
    tab.keyboard.type("keys")
    tab.keyboard.press("Enter")
    assert "keys" in tab.locator("#groups").inner_text() and tab.locator(".hull").count() == 1
    tab.keyboard.press("f")
    assert tab.locator(NODES).count() == 12 - chosen + 1
    tab.locator(f"{NODES}[aria-label^='keys, supernode of {chosen}']").click()
    assert f"{chosen} members" in tab.locator("#card").inner_text()
    tab.get_by_role("button", name="Rename supernode", exact=True).click()
    tab.keyboard.type("the keys")
    tab.keyboard.press("Enter")
    assert "the keys" in tab.locator("#groups").inner_text()
    tab.locator("#groups").get_by_role("button", name="Ungroup the keys").click()
    assert tab.locator("#groups").count() == 0 and tab.locator(NODES).count() == 12


def test_the_circuit_is_saved_with_the_names_and_groups_that_were_given(opened, tmp_path):
    circuit = many(8).with_supernodes([Supernode("first", ("resid.1/11@1", "mlp.0/12@2"), 0.75, True)])
    tab = opened(page(circuit), "#resid.1/13@0")
    tab.locator("#card .rename").click()
    tab.keyboard.type("plural nouns")
    tab.keyboard.press("Enter")
    assert "plural nouns" in tab.locator("#card").inner_text() and "your words" in tab.locator("#card").inner_text()
    for address in ("resid.1/13@0", "resid.1/15@2"):
        node(tab, address).click(modifiers=["Shift"])
    tab.locator(".selection input").fill("second")
    tab.locator(".selection").get_by_role("button", name="Group").click()
    again = Circuit.load(save(tab, "JSON: the circuit"))
    assert again.labels.name("resid.1/13") == "plural nouns" and again.labels["resid.1/13"][0].kind == "person"
    assert [group.name for group in again.supernodes] == ["first", "second"]
    assert again.supernodes[0] == circuit.supernodes[0] and again.keys() == circuit.keys()
    record = save(tab, "JSON: the subgraph")
    assert with_subgraph(circuit, record).supernodes == tuple(
        Supernode(group.name, group.members) for group in again.supernodes
    )
    told = json.loads(record.read_text())
    assert told["modelId"] == "tiny" and [name for _, name in told["clerps"]] == ["plural nouns"]


def named_and_grouped(tab: Any) -> None:
    tab.locator("#card .rename").click()
    tab.keyboard.type("plural nouns")
    tab.keyboard.press("Enter")
    for address in ("resid.1/13@0", "resid.1/15@2"):
        node(tab, address).click(modifiers=["Shift"])
    tab.locator(".selection input").fill("second")
    tab.locator(".selection").get_by_role("button", name="Group").click()


def test_names_and_groups_are_there_again_after_a_reload(opened):
    tab = opened(page(many(8)), "#resid.1/13@0")
    assert "are kept in this browser" in tab.locator(".kept").inner_text()
    named_and_grouped(tab)
    tab.reload()
    tab.locator("#card .label", has_text="plural nouns").wait_for()
    assert "second" in tab.locator("#groups").inner_text()
    assert Circuit.load(save(tab, "JSON: the circuit")).labels.name("resid.1/13") == "plural nouns"
    tab.evaluate("for (const key of Object.keys(localStorage)) localStorage.setItem(key, '[{')")
    tab.reload()
    tab.locator("#card .label", has_text="unit 13").wait_for()  # what is damaged is none
    assert "are kept in this browser" in tab.locator(".kept").inner_text()


NO_STORE = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"


def test_where_nothing_is_kept_the_page_says_so_and_warns(opened, chromium, tmp_path):
    (tmp_path / "page.html").write_text(page(many(8)))
    tab = chromium.new_context(offline=True).new_page()
    tab.add_init_script(NO_STORE)
    tab.goto(f"{(tmp_path / 'page.html').as_uri()}#resid.1/13@0")
    assert "are lost when it is closed" in tab.locator(".kept").inner_text()
    warned = list[str]()
    tab.on("dialog", lambda dialog: (warned.append(dialog.type), dialog.accept()))
    named_and_grouped(tab)
    tab.reload()
    assert warned == ["beforeunload"]
    tab.context.close()


def test_names_of_supernodes_touch_no_other_and_lie_inside_the_drawing(opened):
    nodes = [node.address for node in many(60)]
    groups = [
        Supernode(f"resid.1: what is said of the keys {i}", tuple(nodes[4 * i : 4 * i + 4]), None, None)
        for i in range(15)
    ]
    tab = opened(page(replace(many(60), supernodes=tuple(groups))))
    sheet = tab.locator("#graph").bounding_box()
    boxes = [name.bounding_box() for name in tab.locator(".groupnames text").all()]
    assert len(boxes) >= 4
    for i, one in enumerate(boxes):
        assert sheet["x"] <= one["x"] and one["x"] + one["width"] <= sheet["x"] + sheet["width"]
        for other in boxes[:i]:
            beside = one["x"] >= other["x"] + other["width"] or other["x"] >= one["x"] + one["width"]
            assert beside or abs(one["y"] - other["y"]) >= 0.8 * one["height"]


def test_the_largest_nodes_have_a_name_beside_them(opened):
    said = opened(page(many(60))).locator("#graph text.name").all_text_contents()
    strongest = sorted(many(60), key=lambda one: -abs(one.score))[:10]
    units = [one.address.partition("@")[0] for one in strongest]
    names = [f"“word{unit.partition('/')[2]}”" if unit.startswith("resid") else unit for unit in units]
    assert names[0] in said and sum(name in said for name in names) >= 8


def test_what_is_saved_as_svg_is_a_drawing_of_its_own(opened):
    tab = opened(page(many()))
    root = ElementTree.fromstring(save(tab, "SVG").read_text())
    space = "{http://www.w3.org/2000/svg}"
    texts = ["".join(text.itertext()) for text in root.iter(f"{space}text")]
    assert {"logit difference", "resid.1", "keys", "were"} <= set(texts) and any(
        text.startswith("“word") for text in texts
    )
    placed = [path for path in root.iter(f"{space}path") if "transform" in path.attrib]
    assert len(placed) == 3 * 30 + 1  # ground, face and rim of each node; the metric
    assert len(list(root.iter(f"{space}path"))) > 3 * 30 + 20
    colours = {e.get(name) for e in root.iter() for name in ("fill", "stroke")} - {None, "none"}
    assert all(re.fullmatch(r"#([0-9a-f]{3}){1,2}", colour) for colour in colours)
    assert not [e for e in root.iter() if {"class", "style", "href"} & set(e.attrib)]


def test_what_is_saved_as_png_is_the_same_drawing(opened):
    tab = opened(page(many()))
    head = save(tab, "PNG").read_bytes()
    svg = ElementTree.fromstring(save(tab, "SVG").read_text())
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    wide, high = (int.from_bytes(head[i : i + 4], "big") for i in (16, 20))
    assert (wide, high) == (int(2 * float(svg.get("width"))), int(2 * float(svg.get("height"))))


def test_the_drawing_is_moved_and_a_reload_shows_the_same(opened):
    tab = opened(page(many()))
    still = looks(tab)["at"]
    box = tab.locator(".stage").bounding_box()
    tab.mouse.move(box["x"] + 500, box["y"] + 120)
    for _ in range(3):
        tab.mouse.wheel(0, -200)
        tab.wait_for_timeout(40)
    enlarged = looks(tab)["at"]
    tab.mouse.move(box["x"] + 300, box["y"] + 30)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 340, box["y"] + 60)
    tab.mouse.move(box["x"] + 360, box["y"] + 70)
    tab.mouse.up()
    assert len({still, enlarged, looks(tab)["at"]}) == 3
    tab.locator("#edges").fill("9")
    tab.locator("#query").fill("word2")
    node(tab, "resid.1/21@2").focus()
    for key in ("p", "x", "Enter"):
        tab.keyboard.press(key)
    tab.wait_for_timeout(500)
    before = looks(tab)
    assert before["pinned"] == before["selected"] == 1 and before["edges"] == "9"
    tab.reload()
    tab.wait_for_selector("#card .address")
    tab.wait_for_timeout(300)
    after = looks(tab)
    places = [[float(n) for n in re.findall(r"-?[\d.]+", shown.pop("at"))] for shown in (before, after)]
    assert after == before and places[1] == pytest.approx(places[0], abs=0.2)


def test_keys_zoom_fit_and_move(opened):
    tab = opened(page(many()))
    still = looks(tab)["at"]
    tab.locator(".stage").focus()
    tab.keyboard.press("+")
    larger = looks(tab)["at"]
    tab.keyboard.press("ArrowLeft")
    aside = looks(tab)["at"]
    tab.keyboard.press("-")
    tab.keyboard.press("0")
    assert len({still, larger, aside}) == 3 and looks(tab)["at"] == still


def test_two_circuits_are_told_apart_and_can_be_seen_alone(opened):
    first = many(9)
    second = first.keep(np.arange(3, 9))
    tab = opened(page_of_two(first, second, ("one", "other")))
    assert tab.locator(f"{NODES}.side-both").count() == 6 and tab.locator(f"{NODES}.side-a").count() == 3
    assert (
        "only one" in tab.locator("#legend").inner_text()
        and "3 only in the first" in tab.locator("header").inner_text()
    )
    node(tab, "resid.1/11@1").click()
    assert "does not have it" in tab.locator("#card").inner_text()
    tab.get_by_role("button", name="both", exact=True).click()
    assert tab.locator(NODES).count() == 6


# Whoever it is.


def test_everything_can_be_done_by_keyboard_alone(opened):
    tab = opened(page(many(12), curve()))
    seen = []
    for _ in range(14):
        tab.keyboard.press("Tab")
        seen.append(tab.evaluate(FOCUS))
    assert seen[:4] == ["size", "edges", "query", "SUMMARY"] and seen[4].startswith("stage")
    assert seen[5].startswith("node") and not seen[6].startswith("node")  # one stop for all nodes
    tab.locator(f"{NODES}[tabindex='0']").focus()
    first = tab.evaluate("document.activeElement.getAttribute('aria-label')")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowUp")
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')") != first
    assert tab.locator(f"{NODES}[tabindex='0']").count() == 1
    tab.keyboard.press("Enter")
    assert "@" in tab.locator("#card .address").inner_text()
    tab.keyboard.press("p")
    tab.keyboard.press("Shift+ArrowLeft")
    tab.keyboard.press("Shift+ArrowDown")
    assert tab.locator(".ring.pinned > *").count() == 1 and tab.locator(".ring.selected > *").count() >= 2
    tab.keyboard.press("g")
    tab.keyboard.type("by hand")
    tab.keyboard.press("Enter")
    assert "by hand" in tab.locator("#groups").inner_text()
    tab.locator("#export summary").focus()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    with tab.expect_download() as told:
        tab.keyboard.press("Enter")
    assert told.value.suggested_filename == "circuit.svg"


def test_a_screen_reader_hears_what_there_is(opened):
    tab = opened(page(many(4), curve(), verdicts=Verdicts()))
    told = tab.locator("body").aria_snapshot()
    for part in (
        'heading "agreement <b> in tiny" [level=1]',
        'toolbar "What is shown"',
        'slider "Nodes',
        'searchbox "Find a node"',
        'figure "The circuit"',
        'group "Circuit graph: rows are layers',
        'button "Zoom in"',
        'group "The verdicts"',
        'region "What is looked at"',
        'img "Faithfulness by number of nodes"',
        'heading "3 units to judge" [level=2]',
    ):
        assert part in told, part
    assert re.search(r'button "feature|button "unit|button ".*effect [+−]', told) and "position 1, effect −1.14" in told
    assert tab.locator("#card").get_attribute("aria-live") == "polite"
    for control in tab.locator("button, input, summary").all():
        assert control.evaluate("e => e.ariaLabel || e.textContent || e.labels?.[0]?.innerText || e.placeholder"), (
            control
        )


def test_on_a_phone_nothing_is_cut_and_the_chart_comes_before_the_list(opened):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    tab = opened(page(many(), curve(), verdicts=Verdicts()), **phone)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    top = [tab.locator(f"#{name}").bounding_box()["y"] for name in ("stage", "measured", "units")]
    assert top == sorted(top)
    node(tab, "resid.1/11@1").tap()
    box = tab.locator("#card").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 844


def test_by_night_the_colours_are_those_of_the_night(opened):
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light, dark = (opened(page(many(4)), color_scheme=scheme).evaluate(paper) for scheme in ("light", "dark"))
    assert light == "rgb(251, 250, 248)" and dark == "rgb(22, 23, 26)"


# Judging.


def test_what_is_known_is_shown_and_a_verdict_asked(opened):
    told = unit_circuit(
        top_tokens={"resid.0/3": [" she", HOSTILE], "resid.0/5": []},
        promotes={"resid.0/3": [" her"]},
        examples={"resid.0/3": [f"and «she» said {HOSTILE}"]},
    )
    tab = opened(page(told, verdicts=JUDGED))
    cards = tab.locator("article")
    assert [card.get_attribute("data-address") for card in cards.all()] == ["resid.0/3", "resid.0/5", "resid.0/8"]
    assert "her" in cards.nth(0).inner_text() and cards.nth(0).locator("mark").inner_text() == "she"
    assert "Fires on nothing that was read." in cards.nth(1).inner_text()
    assert "No text was read for it" in cards.nth(2).inner_text()
    assert cards.nth(1).get_attribute("data-verdict") == "drop" and cards.locator(".keep").count() == 3
    assert {"kept", "dropped"} <= set(tab.locator("#legend").inner_text().split())
    assert tab.locator("#count").inner_text() == "1 dropped, 0 kept, 2 open"


def test_units_are_judged_by_keys_and_the_file_is_what_the_command_reads(opened, tmp_path):
    tab = opened(page(unit_circuit(), verdicts=JUDGED))
    assert tab.locator("#card .address").inner_text() == "resid.0/3"  # the first that is open
    tab.locator("#judge").fill("Ada")
    tab.locator("#judge").blur()
    tab.keyboard.press("k")
    assert tab.locator("#card .address").inner_text() == "resid.0/8"
    tab.locator("article").nth(2).focus()
    tab.keyboard.press("d")
    tab.locator("article").nth(2).get_by_label("Reason for resid.0/8").fill("fires on names")
    assert tab.locator("#count").inner_text() == "2 dropped, 1 kept, 0 open"
    with tab.expect_download() as told:
        tab.locator("#save").click()
    judged = Verdicts.load(told.value.path())
    assert judged["resid.0/3"].verdict == "keep" and judged["resid.0/3"].judge == "Ada"
    assert (judged["resid.0/8"].verdict, judged["resid.0/8"].reason) == ("drop", "fires on names")
    assert judged["resid.0/5"] == JUDGED["resid.0/5"]
