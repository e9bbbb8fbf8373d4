import json
from dataclasses import replace

import pytest

from clew.apps._desk.asked import RunAsked
from clew.apps._desk.plans.plan import plan_of
from clew.apps._desk.refusals import NotAllowed
from clew.apps._desk.runs import Teller
from tests.apps.cli.toys import small_circuit


def test_a_circuit_is_found_verified_indexed_and_explained(client, ended):
    model = {"model": "tiny", "through": ["d.safetensors"]}
    found = ended("find", **model, behaviour="task.jsonl", all_pairs=True, edges=True, top=10, options={"steps": 2})
    assert (found["state"], found["result"], found["error"]) == ("done", "task.json", None)
    assert found["command"].startswith(
        "clew find tiny task.jsonl --by integrated_gradients --top=10 --through d.safetensors"
    )
    circuit = client.get("/api/circuit", params={"path": "task.json"}).json()
    assert len(circuit["names"]) == 10 and circuit["circuit"]["edges"]["weight"]
    assert (
        ended("verify", **model, behaviour="task.jsonl", all_pairs=True, circuit="task.json")["result"]
        == "task.faithfulness.report.json"
    )
    assert (
        client.get("/api/report", params={"path": "task.faithfulness.report.json"}).json()["cells"]["head"][0]
        == "measure"
    )
    assert client.get("/api/circuit", params={"path": "task.json"}).json()["report"][
        "rows"
    ]  # what judges it stands beside it
    assert ended("index", **model, texts=["text.txt"])["result"] == "tiny-index"
    assert ended("explain", index="tiny-index", circuit="task.json")["result"] == "task.named.json"
    view = client.post("/api/views", json=model).json()["id"]
    unit = client.get("/api/unit", params={"view": view, "address": "resid.1/3"}).json()
    assert unit["density"] is not None and "density" not in unit["why"]


def test_what_cannot_be_done_is_refused_before_it_is_queued(client):
    def said(verb, **args):
        return client.post("/api/runs", json={"verb": verb, "args": args}).json()["error"]

    assert "needs args.behaviour" in said("find", model="tiny")
    assert "'behavior', which is none of" in said("find", model="tiny", behavior="task.jsonl")
    assert "there is no file 'no.json'" in said("group", circuit="no.json")
    assert "has no option 'stepz'" in said("find", model="tiny", behaviour="task.jsonl", options={"stepz": 1})
    assert "60 nodes at most, and top is 100" in said("find", model="tiny", behaviour="task.jsonl", edges=True, top=100)
    assert "not open to this studio" in said("find", model="gpt2", behaviour="task.jsonl")


def test_events_tell_each_run_as_it_is(client, ended):
    run = ended("group", circuit="c.json")
    assert run["state"] == "failed" and "has none" in run["error"]  # no edges
    lines = []
    with client.stream("GET", "/api/runs/events") as stream:
        for line in stream.iter_lines():
            lines.append(line)
            if line.startswith("data:"):
                client.app.app.state.desk.runs.closed = True
    data = next(line for line in lines if line.startswith("data:"))
    assert json.loads(data.removeprefix("data: ")) == run


def test_numbers_that_are_none_are_refused(client):
    content = '{"verb": "find", "args": {"model": "tiny", "behaviour": "task.jsonl", "options": {"steps": NaN}}}'
    found = client.post("/api/runs", content=content, headers={"Content-Type": "application/json"})
    assert found.status_code == 400 and client.get("/api/runs").json() == []


def test_what_a_record_names_is_looked_for_in_the_folder_and_then_beside_the_file(client, ended, root):
    """Never outside, where there is a file of that name too."""
    model = {"model": "tiny", "through": ["d.safetensors"]}
    ended("find", **model, behaviour="task.jsonl", all_pairs=True, options={"steps": 2})
    circuit = root / "kept" / "c.json"
    circuit.parent.mkdir()
    held = (root / "task.json").read_text().replace(str(root / "task.jsonl"), "task.jsonl")
    circuit.write_text(held)
    assert ended("replicate", path="kept/c.json")["state"] == "done"
    (root / "task.jsonl").rename(root / "kept" / "task.jsonl")
    again = ended("replicate", path="kept/c.json")
    assert json.loads((root / again["result"]).read_text())["agrees"], again
    circuit.write_text(held.replace("task.jsonl", "../../task.jsonl"))
    (root.parent / "task.jsonl").write_text((root / "kept" / "task.jsonl").read_text())
    refused = client.post("/api/runs", json={"verb": "replicate", "args": {"path": "kept/c.json"}})
    assert refused.status_code == 403 and "is outside the folder" in refused.json()["error"]


def test_a_record_that_changes_once_the_run_is_queued_opens_nothing_outside(desk, root):
    """What a record names is looked at again where it is opened."""
    steps = [["load", {"name": "task.jsonl"}]]
    prompts = {"name": "a", "hash": "0", "part": "all", "metric": "logit_difference", "made": steps}
    record, path = {"method": "attribution_patching", "model": "tiny", "prompts": prompts}, root / "c.json"
    replace(small_circuit(), provenance=record).save(path)
    _, plan = plan_of(desk.folder, desk.views, RunAsked("replicate", {"path": "c.json"}), False)
    path.write_text(path.read_text().replace("task.jsonl", "/etc/hostname"))
    with pytest.raises(NotAllowed, match="'/etc/hostname', which is outside the folder"):
        plan.work(Teller(lambda done, said: None))
