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
from clew.apps.pages.circuit import EDGES, LISTED, NODES, _facts, page
from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit
from clew.report import Report, Row
from clew.sites import Site

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
    labels = {"resid.1/11": HOSTILE, "resid.1/99999": "of a node that is not here"}
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
    assert back.labels == {"resid.1/11": HOSTILE}
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


def test_the_script_never_writes_markup():
    script = (FOLDER / "circuit.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)


def test_a_large_circuit_is_cut_to_its_strongest_and_says_so():
    data = data_in(page(small_circuit(NODES + 500)))
    assert len(data["circuit"]["nodes"]["score"]) == NODES
    assert f"holds the strongest {NODES:,} nodes" in data["words"]
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
    assert 20_000 < sum(path.stat().st_size for path in FOLDER.glob("circuit.*")) < 60_000


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium to open the page with")
@pytest.mark.parametrize("where", ["aligned", "summed", "empty"])
def test_a_browser_draws_every_node_and_runs_nothing_from_the_labels(tmp_path, where):
    position = {"position": np.full(4, ANYWHERE)} if where == "summed" else {}
    circuit = small_circuit(**position).top(0 if where == "empty" else 4)
    (tmp_path / "page.html").write_text(page(circuit, curve()))
    quiet = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    flags = [
        f"--{flag}" for flag in f"{quiet} disable-component-update disable-sync enable-logging=stderr dump-dom".split()
    ]
    command = ["chromium", *flags, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "page.html").as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert len(re.findall(r'<g class="node ', run.stdout)) == len(circuit)
    assert "<title>agreement &lt;b&gt; in tiny</title>" in run.stdout
    assert "<img" not in run.stdout.split('id="data"')[0]
    assert "CONSOLE" not in run.stderr


def test_a_long_list_of_the_provenance_is_cut_short():
    ((name, shown),) = _facts({"prompts_used": [str(i) for i in range(LISTED + 5)]})
    assert name == "prompts_used" and shown.startswith("0, 1, 2") and shown.endswith(f"{LISTED - 1}, and 5 more")
    assert _facts({"prompts_used": ["a", "b"]}) == [("prompts_used", "a, b")]
