import base64
import gzip
import hashlib
import json
import re
from pathlib import Path

from clew.apps import _front
from clew.apps.pages.circuit import page, page_of_two
from tests.apps.test_bundle import HOSTILE, JUDGED, curve, small_circuit
from tests.circuits.test_verdicts import circuit as unit_circuit

SOURCES = Path(__file__).parents[3] / "web" / "src"


def data_in(text: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_no_text_of_the_data_can_end_its_block():
    text = page(small_circuit(), curve())
    assert text.count("</script>") == 2  # the data's own and the script's own
    assert "<img" not in text and "<!-- {{" not in text


def test_the_title_is_escaped():
    assert "<title>agreement &lt;b&gt; in tiny</title>" in page(small_circuit())


def test_what_looks_like_a_hole_of_the_template_stays_text():
    assert data_in(page(small_circuit()))["circuit"]["details"]["metric"] == HOSTILE


def test_nothing_is_fetched():
    built = _front.built("page.js") + _front.built("page.css")
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|import\(|@import|\burl\(", built)
    assert set(re.findall(r"https?://[\w.]+", built)) <= {"http://www.w3.org"}  # namespaces
    around = page(small_circuit(), curve()).replace(_front.built("page.js"), "").replace(json.dumps(HOSTILE), "")
    assert not re.search(r"https?:|//[a-z]+\.|<link|\bsrc=(?!x )", around)


def test_the_policy_allows_the_inline_script_and_style_and_nothing_else():
    text = page(small_circuit())
    policy = re.search(r'Content-Security-Policy" content="(.*?)">', text)[1]
    assert policy.startswith("default-src 'none'; ")
    for tag, opening in (("script", "<script>"), ("style", "<style>")):
        inline = text.split(opening)[1].split(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_scripts_never_write_markup():
    script = "".join(path.read_text() for path in SOURCES.rglob("*.ts*"))
    assert len(script) > 50_000
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script, re.IGNORECASE
    )


def test_the_script_stays_small():
    assert 20_000 < len(gzip.compress(_front.built("page.js").encode())) < 50_000


def test_two_circuits_make_one_page():
    data = data_in(page_of_two(small_circuit(), small_circuit(2), ("one", "two")))
    assert data["title"] == "one and two" and [node["side"] for node in data["sides"]["nodes"]] == [
        "both",
        "both",
        "a",
        "a",
    ]


# Judging.


def test_the_page_holds_the_verdicts_as_they_are_saved():
    text = page(unit_circuit(), verdicts=JUDGED)
    assert data_in(text)["verdicts"] == JUDGED.to_json()
    assert text.count("<script") == 2 and "<img" not in text
    shown = page(unit_circuit())
    assert data_in(shown)["verdicts"] is None
