import json


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
