import base64
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import clew.apps.pages
from clew.apps._bundle import EDGES, NODES
from clew.apps._facts import LISTED, facts
from clew.apps._made import made
from clew.apps.pages.circuit import page
from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit
from clew.circuits.verdicts import Verdicts
from clew.labels import Labels
from clew.report import Report, Row
from clew.sites import Site
from tests.circuits.test_verdicts import circuit as unit_circuit

FOLDER = Path(clew.apps.pages.__file__).parent
HOSTILE = "</script><img src=x onerror=\"document.title='taken'\"><!-- {{script}}"


def small_circuit(nodes: int = 4, **changes) -> Circuit:
    """Nodes of two sites at three positions, the first an error, each tied to the next and the last to the metric."""
    sites = (Site("mlp", 0), Site("resid", 1))
    order = np.arange(nodes)
    columns = {
        "site": order % 2,
        "unit": np.where(order == 0, ERROR, order + 10),
        "position": order % 3,
        "score": (-1.0) ** order * (1 + order / 7),
        "patch_mean": np.where(order == 0, np.nan, 0.5),
        "source": order,
        "target": np.append(order[1:], OUTPUT),
        "weight": order + 0.25,
    }
    details = {"tokens": ["The", " keys", HOSTILE], "top_tokens": {"resid.1/11": [HOSTILE, " keys"]}, "metric": HOSTILE}
    labels = Labels.of({"resid.1/11": HOSTILE, "resid.1/99999": "of a node that is not here"})
    made = {"model": {"name": "tiny"}, "behaviour": "agreement <b>", "by": "attribution_patching", "seconds": 3.2}
    return Circuit(
        sites, dict.fromkeys(sites, 16), **columns | changes, labels=labels, details=details, provenance=made
    )


def curve() -> Report:
    rows = [
        Row("faithfulness", n / 100, n / 200, n / 90, of, n, 8) for n in (1, 10, 100) for of in ("features", "random")
    ]
    return Report("curve", (*rows, Row("metric", float("nan"), 0.0, 1.0)), (HOSTILE,))


def data_in(text: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_the_circuit_and_the_report_come_back_from_the_page():
    circuit, data = small_circuit(), data_in(page(small_circuit(), curve()))
    back = Circuit.from_json(data["circuit"])
    assert back.keys() == circuit.keys()
    for name in ("score", "patch_mean", "source", "target", "weight"):
        np.testing.assert_array_equal(getattr(back, name), getattr(circuit, name))
    assert back.labels == Labels.of({"resid.1/11": HOSTILE})
    assert data["report"] == curve().to_json()


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


def test_a_large_circuit_is_cut_to_its_strongest_and_says_so():
    data = data_in(page(small_circuit(NODES + 500)))
    assert len(data["circuit"]["nodes"]["score"]) == NODES
    assert f"Shown are the strongest {NODES:,} nodes" in data["words"]
    assert min(map(abs, data["circuit"]["nodes"]["score"])) > 1 + 499 / 7


def test_a_dense_circuit_keeps_its_strongest_edges():
    ends = {
        "source": np.zeros(EDGES + 5, np.int64),
        "target": np.ones(EDGES + 5, np.int64),
        "weight": np.arange(EDGES + 5.0),
    }
    assert min(data_in(page(small_circuit(**ends)))["circuit"]["edges"]["weight"]) == 5.0


def test_the_words_say_where_it_came_from():
    assert data_in(page(small_circuit()))["words"].startswith(
        "4 nodes and 4 edges over 2 sites, found by attribution patching in 3 seconds"
    )


def test_the_source_stays_small():
    parts = [path for name in ("circuit", "cards", "judging") for path in FOLDER.glob(f"{name}.*")]
    assert 20_000 < sum(path.stat().st_size for path in parts) < 70_000


# What a reader is told.

PAIR = {"clean": f"The keys {HOSTILE}", "patch": "The key", "answers": [" are"], "patch_answers": [" is"]}
RECORD = {
    "method": "integrated_gradients",
    "options": {"steps": 20, "baseline": None, "tokens": 2048, "skip": 1, "seed": 0},
    "baseline": "patch",
    "model": "tiny",
    "units": "features",
    "behaviour": "agreement/simple",
    "prompts": {"part": "train", "pairs": 31, "metric": "logit_difference", "note": "2 fell out.", "example": PAIR},
    "prompts_used": ["0f3a"],
    "weights": "01f1f800c54ce98c",
    "seconds": 150.7,
    "device": "cpu",
    "dtype": "float32",
    "versions": {"clew": "0.2.0"},
}


def recorded(**changes) -> Circuit:
    return replace(small_circuit(), provenance=RECORD | changes)


def test_the_prompts_stand_on_the_page_with_their_answers():
    clean, patch = data_in(page(recorded()))["prompts"]
    assert clean == {"name": "clean", "text": f"The keys {HOSTILE}", "answers": [" are"]}
    assert patch == {"name": "patch", "text": "The key", "answers": [" is"]}
    ids = recorded(prompts={"example": {"clean": [5, 6], "patch": None, "answers": [7]}})
    assert data_in(page(ids))["prompts"] == [{"name": "clean", "text": "token ids 5 6", "answers": ["7"]}]
    chat = recorded(prompts={"example": {"clean": [{"role": "user", "content": "Hello"}], "answers": []}})
    assert data_in(page(chat))["prompts"][0]["text"] == "user: Hello"
    assert data_in(page(small_circuit()))["prompts"] == []


def test_nodes_have_names_in_words():
    names = data_in(page(recorded()))["names"]
    assert names == ["error of mlp.0", "feature 11 of resid.1", "feature 12 of mlp.0", "feature 13 of resid.1"]


def test_how_it_was_made_is_said_in_sentences():
    said = data_in(page(recorded()))["made"]
    text = " ".join(said)
    assert all(sentence.endswith(".") for sentence in said)
    for part in (
        "The model is tiny.",
        "The nodes are features of 2 dictionaries at mlp.0 to resid.1, and what a dictionary leaves out there is an error.",
        "The behaviour is agreement/simple, measured by the logit difference. The circuit was found on 31 prompt pairs, and "
        "the other half of the pairs is kept to verify it on. Before that: 2 fell out.",
        "Scores are those of integrated gradients: the drop of the metric when a part takes its value on the pair's patch "
        "prompt (steps 20, skip 1).",
        "It took 151 seconds on cpu in float32 with clew 0.2.0.",
    ):
        assert part in text
    assert not {"01f1f800c54ce98c", "0f3a", "2048"} & set(re.findall(r"\w+", text))


def test_edges_and_what_the_nodes_were_found_by_are_sentences_too():
    wired = recorded(method="exact_patching", wired={"method": "edges", "options": {"examples": 8}}, nodes_of=RECORD)
    text = " ".join(made(wired))
    assert "come from a circuit that was found by integrated gradients" in text
    assert "how much of a node's effect comes through each node that it reads (examples 8)" in text


def test_the_method_of_another_package_is_named_with_all_its_options():
    assert "my method" in " ".join(made(recorded(method="my_method", options={"depth": 3}))) and "depth 3" in " ".join(
        made(recorded(method="my_method", options={"depth": 3}))
    )


# Judging.

JUDGED = Verdicts.of(unit_circuit()).drop("resid.0/5", HOSTILE, judge=HOSTILE, day="2026-01-31")


def test_the_page_holds_the_verdicts_as_they_are_saved():
    text = page(unit_circuit(), verdicts=JUDGED)
    assert data_in(text)["verdicts"] == JUDGED.to_json() and 'id="save"' in text
    assert text.count("<script") == 2 and "<img" not in text
    shown = page(unit_circuit())
    assert data_in(shown)["verdicts"] is None and 'id="save"' not in shown


def test_every_unit_can_be_judged_however_many_there_are():
    many = small_circuit(NODES + 500)
    assert len(data_in(page(many, verdicts=Verdicts()))["circuit"]["nodes"]["score"]) == NODES + 500


def test_verdicts_on_more_units_stay_in_the_file():
    more = replace(JUDGED, units={**JUDGED.units, "resid.0/9": None})
    assert "resid.0/9" in {
        unit["address"] for unit in data_in(page(unit_circuit(), verdicts=more))["verdicts"]["units"]
    }


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match="no units to judge"):
        page(unit_circuit().keep(unit_circuit().unit < 0), verdicts=Verdicts())
    with pytest.raises(ValueError, match="another dictionary"):
        page(unit_circuit("xyz"), verdicts=JUDGED)


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


def test_a_long_list_of_the_provenance_is_cut_short():
    ((name, shown),) = facts({"prompts_used": [str(i) for i in range(LISTED + 5)]})
    assert name == "prompts_used" and shown.startswith("0, 1, 2") and shown.endswith(f"{LISTED - 1}, and 5 more")
    assert facts({"prompts_used": ["a", "b"]}) == [("prompts_used", "a, b")]
