import pytest

from clew.apps._desk import circuits
from clew.circuits.circuit import Circuit
from clew.report import Report, Row
from tests.apps.atlases import atlas
from tests.models.tiny import model_of, relu_dictionary
from tests.readings.index.planted import indexed


def test_items_are_listed_by_what_they_are_and_a_malformed_one_says_why(client):
    found = {item["path"]: item for item in client.get("/api/items").json()}
    kinds = {path: item["kind"] for path, item in found.items()}
    assert kinds == {
        "bad.json": "circuit",
        "c.json": "circuit",
        "d.safetensors": "dictionary",
        "task.jsonl": "behaviour",
        "text.txt": "text",
    }
    assert found["bad.json"]["problem"].startswith("bad.json is not JSON")
    assert found["c.json"]["about"] == "3 nodes, 0 edges, 1 unit named"
    assert found["d.safetensors"]["sites"] == ["resid.1"]


def test_an_index_says_of_how_many_more_sites_it_is(client, root):
    sites = [relu_dictionary(model_of(), site) for site in ("embed", "resid.0", "resid.1", "mlp.0", "mlp.1")]
    indexed(root / "five", *sites)
    indexed(root / "two", *sites[:2])
    about = {item["path"]: item["about"] for item in client.get("/api/items").json()}
    assert about["five"].endswith(" and 1 more") and about["five"].count(", ") == 3
    assert "more" not in about["two"]


def test_one_of_a_thing_is_told_as_one(client, root):
    (root / "task.jsonl").write_text((root / "task.jsonl").read_text().splitlines()[0])
    Report("one", (Row("faithfulness", 0.5, 0.4, 0.6),), ()).save(root / "r.json")
    about = {item["path"]: item["about"] for item in client.get("/api/items").json()}
    assert about["task.jsonl"] == "1 pair of prompts"
    assert about["r.json"].startswith("1 number;")


def test_what_can_be_chosen_says_where_it_fits(client, root):
    (root / "more").mkdir()
    for name in ("a", "b"):
        (root / "more" / f"{name}.safetensors").write_bytes((root / "d.safetensors").read_bytes())
    about = client.get("/api/about").json()
    methods = {one["name"]: one for one in about["methods"]}
    assert methods["eap"]["units"] == ["components"] and methods["discrete_codes"]["units"] == ["heads"]
    usual = next(one for one in methods.values() if one["default"])
    assert usual["why"] is None and len(usual["units"]) == 4
    whys = {name: methods[name]["why"] for name in ("edges", "bigram_subnetwork", "query_key")}
    assert list(whys.values()) == ["starts from a circuit", "starts from a text", "must be told layer and head"]
    assert {one["name"] for one in about["measures"] if one["default"]} == {"faithfulness", "fit", "steering_effect"}
    packed = next(one["sites"] for one in about["models"] if one["name"] == "smollm2-135m")
    assert {"resid.0", "resid.29"} <= set(packed)
    found = {item["path"]: item for item in client.get("/api/items").json()}
    assert found["more"]["sites"] == ["resid.1"]


def test_names_and_groups_are_saved_once_and_not_over_a_file_that_changed(client, root):
    tag = client.get("/api/circuit", params={"path": "c.json"}).json()["tag"]
    asked = {
        "tag": tag,
        "labels": {"resid.0/2": "rivers"},
        "supernodes": [{"name": "both", "members": ["resid.0/0", "resid.0/2"]}],
    }
    saved = client.put("/api/circuit", params={"path": "c.json"}, json=asked)
    circuit = Circuit.load(root / "c.json")
    assert circuit.labels.name("resid.0/2") == "rivers" and circuit.labels.name("resid.0/1") == "plural"
    assert [node.name for node in circuit.supernodes] == ["both"]
    again = client.put("/api/circuit", params={"path": "c.json"}, json=asked)
    assert again.status_code == 409 and "somebody else" in again.json()["error"]
    off = {"tag": saved.json()["tag"], "labels": {"resid.0/2": ""}}
    assert client.put("/api/circuit", params={"path": "c.json"}, json=off).status_code == 200
    assert "resid.0/2" not in Circuit.load(root / "c.json").labels


@pytest.mark.parametrize(
    "path",
    ["../secret.json", "/etc/passwd", "sub/../../secret.json", "..\\secret.json", "C:\\secret.json", "C:/secret.json",
     "\\\\host\\share", "//host/share", "~/secret.json", ".clew/runs/x.json", "a\0b.json", "link.json", "%2e%2e/secret.json",
     "nul", "c.json.", "c.json:stream", ""],
)  # fmt: skip
def test_nothing_outside_the_folder_is_read(client, root, path):
    (root.parent / "secret.json").write_text('{"format": "clew circuit"}')
    (root / "link.json").symlink_to(root.parent / "secret.json")
    found = client.get("/api/circuit", params={"path": path})
    assert found.status_code in (403, 404) and "secret" not in found.json()["error"].replace(repr(path), "")


def test_two_circuits_are_one_with_a_side_for_each_node(client, root):
    whole = Circuit.load(root / "c.json")
    whole.top(2).save(root / "two.json")
    found = client.get("/api/circuit/diff", params={"a": "c.json", "b": "two.json"}).json()
    assert sorted(node["side"] for node in found["sides"]["nodes"]) == ["a", "both", "both"]
    assert len(found["names"]) == 3 and "2 nodes shared" in found["sides"]["said"][0]


@pytest.mark.parametrize("format", ["json", "graphml", "attribution_graph", "subgraph"])
def test_circuits_are_exported(client, format):
    found = client.get("/api/circuit/export", params={"path": "c.json", "format": format})
    assert found.status_code == 200 and "attachment" in found.headers["content-disposition"]


@pytest.mark.parametrize(
    ("route", "asked", "made"),
    [
        ("circuit", {"path": "two.json"}, "shown"),
        ("circuit/diff", {"a": "c.json", "b": "two.json"}, "compared"),
        ("circuit/export", {"path": "two.json"}, "exported"),
    ],
)
def test_what_is_asked_again_is_made_anew_where_a_file_has_changed_and_only_there(
    client, root, monkeypatch, route, asked, made
):
    whole, times, make = Circuit.load(root / "c.json"), [], getattr(circuits, made)
    whole.top(2).save(root / "two.json")
    monkeypatch.setattr(circuits, made, lambda *given: times.append(given) or make(*given))

    def ask() -> bytes:
        return client.get(f"/api/{route}", params=asked).content

    first = ask()
    assert ask() == first and len(times) == 1
    whole.top(1).save(root / "two.json")
    assert ask() != first and len(times) == 2


def test_typed_pairs_become_a_behaviour(client, ended):
    pair = {
        "clean": "the nurse said that",
        "answers": [" she"],
        "patch": "the king said that",
        "patch_answers": [" he"],
    }
    item = client.post("/api/behaviours", json={"pairs": [pair]}).json()
    assert (item["path"], item["kind"], item["problem"]) == ("the-nurse-said-that.json", "behaviour", None)
    found = ended("find", model="tiny", behaviour=item["path"], all_pairs=True, top=5)
    assert (found["state"], found["error"]) == ("done", None)
    listed = {one["path"]: one for one in client.get("/api/items").json()}[found["result"]]
    assert (listed["model"], listed["behaviour"]) == ("tiny", "the-nurse-said-that")
    nothing = client.post("/api/behaviours", json={"pairs": [{"clean": "the", "answers": []}]})
    assert nothing.status_code == 400 and "pair 1" in nothing.json()["error"]


def test_edits_are_downloaded_as_they_are_or_for_another_tool(client, view):
    edit = {"kind": "add", "address": "resid.1/3", "value": 2.0}
    saved = client.post("/api/change/save", json={"view": view, "edits": [edit], "name": "mine"}).json()
    assert saved["kind"] == "edits"
    assert client.get("/api/edits", params={"path": "mine.safetensors"}).json()["name"] == "mine"
    asked = {"path": "mine.safetensors", "format": "gguf"}
    assert "view=" in client.get("/api/edits/export", params=asked).json()["error"]
    assert client.get("/api/edits/export", params={**asked, "view": view}).content[:4] == b"GGUF"


def test_an_atlas_is_one_thing_and_its_circuits_are_opened_through_it(client, root):
    atlas(6).save(root / "found")
    for part in ("circuits", "work"):
        (root / "found" / part).mkdir()
        (root / "found" / part / "0.json").write_bytes((root / "c.json").read_bytes())
    found = {item["path"]: item for item in client.get("/api/items").json()}
    assert [path for path in found if path.startswith("found/")] == ["found/atlas.json"]
    assert found["found/atlas.json"]["kind"] == "atlas" and found["found/atlas.json"]["model"] == "tiny"
    assert found["found/atlas.json"]["about"].startswith("6 behaviours found in garden and harbour, 5 with a circuit")
    shown = client.get("/api/atlas", params={"path": "found/atlas.json"}).json()
    assert len(shown["entries"]) == 6 and shown["units"]["resid.3/7"] == "what grows"
    assert client.get("/api/circuit", params={"path": "found/circuits/0.json"}).status_code == 200
    atlas(4).save(root / "found")
    assert len(client.get("/api/atlas", params={"path": "found/atlas.json"}).json()["entries"]) == 4


def test_folders_of_those_names_without_an_atlas_are_looked_into(client, root):
    (root / "circuits").mkdir()
    (root / "circuits" / "0.json").write_bytes((root / "c.json").read_bytes())
    assert "circuits/0.json" in {item["path"] for item in client.get("/api/items").json()}
