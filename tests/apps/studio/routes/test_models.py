import json

import pytest

from clew.explain import top_tokens
from tests.models.tiny import model_of


def test_the_same_question_opens_the_same_view(client, view):
    again = client.post("/api/views", json={"model": "tiny", "through": ["d.safetensors"]}).json()
    assert again["id"] == view and again["units"] == "features" and again["sites"][0]["site"] == "resid.1"
    assert [one["id"] for one in client.get("/api/views").json()] == [view]
    assert client.delete(f"/api/views/{view}").json() == []


@pytest.mark.parametrize("model", ["gpt2", "../elsewhere", "/etc", "org/model", "planted/nothing"])
def test_models_from_elsewhere_are_refused(client, model):
    found = client.post("/api/views", json={"model": model})
    assert found.status_code == 403 and "--model" in found.json()["error"]


def test_what_comes_next_is_what_the_model_says(client, view):
    found = client.post("/api/prompt", json={"view": view, "text": "the nurse said", "top": 3}).json()
    logits = model_of().run("the nurse said", logits=1).logits[0, -1]
    top = logits.softmax(-1).max()
    assert found["tokens"] == ["the", "nurse", "said"] and found["next"][0]["p"] == pytest.approx(float(top), abs=1e-5)
    assert found["lens"][-1]["positions"][-1] == found["next"]  # above the last block nothing is left to come
    assert [len(at["units"]) for at in found["fires"]] == [3, 3, 3]


def test_a_unit_fires_where_the_prompt_says_so(client, view):
    fires = client.post("/api/prompt", json={"view": view, "text": "the nurse said", "top": 1}).json()["fires"][1][
        "units"
    ][0]
    found = client.post("/api/fires", json={"view": view, "address": fires["address"], "text": "the nurse said"}).json()
    assert found["values"][1] == pytest.approx(fires["value"], abs=1e-4) and found["fires"][1]


def test_a_pattern_is_causal_and_sums_to_one(client, view):
    found = client.post("/api/attention", json={"view": view, "text": "the nurse said", "layer": 1, "head": 0}).json()
    assert [sum(row) for row in found["pattern"]] == pytest.approx([1, 1, 1], abs=1e-3) and found["pattern"][0][1:] == [
        0,
        0,
    ]


def test_what_is_not_known_of_a_unit_says_why(client, view):
    found = client.get("/api/unit", params={"view": view, "address": "resid.1/3"}).json()
    assert found["words"] == "feature 3 of resid.1" and len(found["raises"]) == 10 and found["density"] is None
    assert "clew index" in found["why"]["density"]


def test_a_change_is_told_line_by_line(client, view):
    edits = [{"kind": "set", "address": "resid.1/3", "value": 5}]
    asked = {"view": view, "prompt": "the nurse said", "tokens": 3, "edits": edits, "behaviour": "task.jsonl"}
    lines = [json.loads(line) for line in client.post("/api/change", json=asked).text.splitlines()]
    kinds = [line["type"] for line in lines]
    assert kinds[0] == "next" and kinds[-1] in ("done", "error") and "receipt" in kinds
    assert lines[0]["before"] != lines[0]["after"]


def test_the_next_edit_on_a_prompt_runs_the_edited_model_alone_and_says_the_same(client, view, desk, monkeypatch):
    model, runs = desk.views.get(view).model, []
    plain = type(model).run
    monkeypatch.setattr(type(model), "run", lambda self, *given, **how: runs.append(self) or plain(self, *given, **how))

    def asked(value: float, prompt: str) -> dict:
        edits = [{"kind": "set", "address": "resid.1/3", "value": value}]
        said = client.post("/api/change", json={"view": view, "prompt": prompt, "edits": edits, "tokens": 0})
        return json.loads(said.text.splitlines()[0])

    first, second = asked(5, "the nurse"), asked(50, "the nurse")
    assert first["before"] == second["before"] and first["after"] != second["after"]
    assert [run is model for run in runs] == [True, False, False]
    other = asked(5, "the king")
    assert other["before"] != first["before"] and [run is model for run in runs[3:]] == [True, False]


def test_an_edit_that_changes_nothing_is_refused_and_one_without_a_value_too(client, view):
    def said(**edit):
        return client.post("/api/change", json={"view": view, "prompt": "the", "edits": [edit]}).json()["error"]

    assert "needs a value" in said(kind="scale", address="resid.1/3")
    assert "there is no unit 99" in said(kind="zero", address="resid.1/99")
    assert "give its address" in said(kind="zero")


def test_what_a_unit_moves_is_found_once_and_not_taken_for_nothing_while_many_wait(client, desk, view, monkeypatch):
    asked = {"view": view, "address": "resid.1/3"}
    gate, times, moved = desk.views.get(view).gate, [], top_tokens.moved
    monkeypatch.setattr(top_tokens, "moved", lambda *given: times.append(given) or moved(*given))
    monkeypatch.setattr(gate, "most", -1)
    busy = client.get("/api/unit", params=asked)
    assert busy.status_code == 429 and "ask again in a moment" in busy.json()["error"]
    monkeypatch.setattr(gate, "most", 8)
    first = client.get("/api/unit", params=asked).json()
    assert client.get("/api/unit", params=asked).json() == first and len(first["raises"]) == 10 and len(times) == 1
