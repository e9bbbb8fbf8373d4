import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import clew.apps.pages
from clew.apps.pages.circuit import page
from clew.circuits.circuit import ANYWHERE
from clew.circuits.verdicts import Verdicts
from clew.report import Report, Row
from tests.apps.test_bundle import HOSTILE, JUDGED, curve, small_circuit
from tests.circuits.test_verdicts import circuit as unit_circuit

FOLDER = Path(clew.apps.pages.__file__).parent


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
    text = page(small_circuit(), curve())
    assert not re.search(
        r"https?:|//[a-z]+\.|@import|\burl\(|<link|\bsrc=(?!x )", text.replace(json.dumps(HOSTILE), "")
    )


def test_the_policy_allows_the_inline_script_and_style_and_nothing_else():
    text = page(small_circuit())
    policy = re.search(r'Content-Security-Policy" content="(.*?)">', text)[1]
    assert policy.startswith("default-src 'none'; ")
    for tag, opening in (("script", "<script>"), ("style", "<style>")):
        inline = text.split(opening)[1].split(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_scripts_never_write_markup():
    script = "".join((FOLDER / f"{name}.js").read_text() for name in ("cards", "judging", "circuit"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)


def test_the_source_stays_small():
    parts = [path for name in ("circuit", "cards", "judging") for path in FOLDER.glob(f"{name}.*")]
    assert 20_000 < sum(path.stat().st_size for path in parts) < 70_000


# Judging.


def test_the_page_holds_the_verdicts_as_they_are_saved():
    text = page(unit_circuit(), verdicts=JUDGED)
    assert data_in(text)["verdicts"] == JUDGED.to_json() and 'id="save"' in text
    assert text.count("<script") == 2 and "<img" not in text
    shown = page(unit_circuit())
    assert data_in(shown)["verdicts"] is None and 'id="save"' not in shown


# In a browser.

browser = pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium to open the page with")


def dom(file: Path, *more: str) -> tuple[str, str]:
    """The page's document once its script has run, and what the browser complained of."""
    quiet = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    quiet += " disable-component-update disable-sync enable-logging=stderr virtual-time-budget=4000 dump-dom"
    flags = [f"--{flag}" for flag in quiet.split()]
    command = ["chromium", *flags, *more, f"--user-data-dir={file.parent / 'profile'}", file.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return run.stdout, run.stderr


@browser
@pytest.mark.slow
@pytest.mark.parametrize("where", ["aligned", "summed", "empty"])
def test_a_browser_draws_every_node_and_runs_nothing_from_the_labels(tmp_path, where):
    position = {"position": np.full(4, ANYWHERE)} if where == "summed" else {}
    circuit = small_circuit(**position).top(0 if where == "empty" else 4)
    (tmp_path / "page.html").write_text(page(circuit, curve()))
    out, heard = dom(tmp_path / "page.html")
    assert len(re.findall(r'<g class="node ', out)) == len(re.findall("<article", out)) == len(circuit)
    assert "<title>agreement &lt;b&gt; in tiny</title>" in out
    assert "<img" not in out.split('id="data"')[0]
    assert "CONSOLE" not in heard


@browser
@pytest.mark.slow
def test_the_chart_says_which_sizes_were_measured_and_what_its_lines_are(tmp_path):
    """A graph of 4 nodes once stood beside a number "at 10 nodes", under a blue line that nothing spoke of."""
    exact = Report("curve", (*curve().rows, Row("faithfulness", 0.77, 0.7, 0.8, "features", 4, 8)))
    heard = []
    for report in (curve(), exact):
        (tmp_path / "page.html").write_text(page(small_circuit(), report))
        shown = dom(tmp_path / "page.html")[0].split('id="data"')[0]
        heard.append(re.sub("<.*?>", "", shown.split('id="numbers"')[1].split("</section>")[0]))
        assert "“word”: what it fires on most" in shown
    assert "Faithfulness of 1 node 0.01" in heard[0] and "Faithfulness of 10 nodes 0.10" in heard[0]
    assert "Faithfulness of 4 nodes 0.77 [0.70, 0.80]" in heard[1] and "10 nodes" not in heard[1]
    for said in heard:
        assert "4 nodes, as in the graph" in said and "95 % interval over 8 prompts" in said and "at random" in said


@browser
@pytest.mark.slow
def test_on_a_narrow_screen_nothing_is_cut_and_the_chart_comes_before_the_list(tmp_path):
    (tmp_path / "page.html").write_text(page(small_circuit(30), curve(), verdicts=Verdicts()))
    (tmp_path / "outer.html").write_text(
        """<iframe src="page.html" style="width: 500px; height: 900px"></iframe><p></p><script>
        const frame = document.querySelector("iframe");
        frame.onload = () => setTimeout(() => {
          const page = frame.contentDocument, top = (id) => page.getElementById(id).getBoundingClientRect().top;
          const found = [page.documentElement.scrollWidth, top("stage"), top("measured"), top("units")];
          document.querySelector("p").textContent = JSON.stringify(found);
        }, 300);</script>"""
    )
    out, _ = dom(tmp_path / "outer.html", "--allow-file-access-from-files")
    wide, graph, chart, listed = json.loads(re.search("<p>(.*?)</p>", out)[1])
    assert wide <= 500 and graph < chart < listed


@browser
@pytest.mark.slow
def test_a_browser_shows_what_is_known_and_asks_for_a_verdict(tmp_path):
    told = unit_circuit(
        top_tokens={"resid.0/3": [" she", HOSTILE], "resid.0/5": []},
        promotes={"resid.0/3": [" her"]},
        examples={"resid.0/3": [f"and «she» said {HOSTILE}"]},
    )
    (tmp_path / "page.html").write_text(page(told, verdicts=JUDGED))
    out, heard = dom(tmp_path / "page.html")
    cards = out.split("<article")[1:]
    assert [re.search('data-address="(.*?)"', card)[1] for card in cards] == ["resid.0/3", "resid.0/5", "resid.0/8"]
    assert ">her<" in cards[0].replace(" her", "her") and re.search(r"and <mark.*?>she</mark> said ", cards[0])
    assert "Fires on nothing that was read." in cards[1] and "No text was read for it" in cards[2]
    assert all('class="keep"' in card and 'class="drop"' in card for card in cards)
    assert 'aria-pressed="true"' in cards[1] and 'data-verdict="drop"' in cards[1]
    legend = re.sub("<.*?>", " ", out.split('id="legend"')[1].split("</figcaption>")[0])
    assert " kept " in legend and " dropped " in legend
    assert "1 dropped, 0 kept, 2 open" in out and "<img" not in out.split('id="data"')[0] and "CONSOLE" not in heard


@browser
@pytest.mark.slow
@pytest.mark.parametrize(("wide", "high"), [(1400, 900), (1100, 420), (700, 600)])
def test_the_card_of_a_held_node_lies_inside_the_window(tmp_path, wide, high):
    many = {"resid.1/11": [f" token{i}" for i in range(40)]}
    circuit = small_circuit(30).with_details(
        top_tokens=many, promotes=many, examples={"resid.1/11": ["word " * 60] * 5}
    )
    (tmp_path / "page.html").write_text(page(circuit, curve()))
    (tmp_path / "outer.html").write_text(
        f"""<iframe src="page.html#resid.1/11@1" style="width: {wide}px; height: {high}px"></iframe><p></p><script>
        const frame = document.querySelector("iframe");
        frame.onload = () => setTimeout(() => {{
          const card = frame.contentDocument.getElementById("card"), box = card.getBoundingClientRect();
          const found = [box.left, box.top, box.right, box.bottom, card.textContent];
          document.querySelector("p").textContent = JSON.stringify(found);
        }}, 300);</script>"""
    )
    out, _ = dom(tmp_path / "outer.html", "--allow-file-access-from-files")
    left, top, right, bottom, said = json.loads(
        re.search("<p>(.*?)</p>", out)[1].replace("&lt;", "<").replace("&gt;", ">")
    )
    assert left >= 0 and top >= 0 and right <= wide and bottom <= high and bottom - top > 100
    assert "Promotes" in said and "token7" in said
