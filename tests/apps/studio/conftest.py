"""A studio over a folder in which every model is tiny."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import clew
from clew.apps._desk.desk import Desk
from clew.apps.studio.app import app_of
from tests.apps.cli.toys import small_circuit
from tests.models.tiny import model_of, relu_dictionary

PAIRS = [("nurse", "king", " she", " he"), ("queen", "man", " she", " he"), ("woman", "king", " she", " he")]
ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a behaviour, a dictionary, a circuit, a text and a malformed file."""
    monkeypatch.setattr(clew, "open", lambda name, **_: model_of(), raising=False)
    relu_dictionary(model_of(), "resid.1").save(tmp_path / "d.safetensors")
    rows = [
        {"clean_prefix": f"the {a} {w} that", "patch_prefix": f"the {b} {w} that", "clean_answer": y, "patch_answer": n}
        for a, b, y, n in PAIRS
        for w in ("said", "was")
    ]
    (tmp_path / "task.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "text.txt").write_text("the nurse said that she was not very good .\n\nthe old man and the king .\n")
    (tmp_path / "bad.json").write_text('{"format": "clew circuit", ')
    small_circuit().save(tmp_path / "c.json")
    return tmp_path


@pytest.fixture
def desk(root: Path) -> Iterator[Desk]:
    found = Desk.at(root, models=("tiny",))
    yield found
    found.close()


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    with TestClient(app_of(desk), base_url=ADDRESS, headers={"X-Clew": "1"}) as found:
        yield found


@pytest.fixture
def view(client: TestClient) -> str:
    """The id of the tiny model seen through the dictionary."""
    return client.post("/api/views", json={"model": "tiny", "through": ["d.safetensors"]}).json()["id"]


@pytest.fixture
def ended(client: TestClient) -> Callable[..., dict[str, Any]]:
    """A run, once it is over."""

    def run(verb: str, **args: Any) -> dict[str, Any]:
        found = client.post("/api/runs", json={"verb": verb, "args": args}).json()
        for _ in range(600):
            found = client.get(f"/api/runs/{found['id']}").json()
            if found["state"] not in ("waiting", "running"):
                return found
            time.sleep(0.05)
        raise AssertionError(found)

    return run
