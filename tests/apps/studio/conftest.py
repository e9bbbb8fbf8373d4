"""A studio over a folder in which every model is tiny; and one in a real browser, over a model that knows capitals."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import uvicorn
from starlette.testclient import TestClient

import clew
from clew.apps._desk.desk import Desk
from clew.apps.studio.app import app_of
from clew.changes import Add
from clew.explain.top_tokens import top_tokens
from clew.sites import Site
from clew.stack import Stack
from tests.apps.cli.toys import small_circuit
from tests.models.tiny import model_of, relu_dictionary
from tests.stage import dictionary, knowing

PAIRS = [("nurse", "king", " she", " he"), ("queen", "man", " she", " he"), ("woman", "king", " she", " he")]
ADDRESS = "http://127.0.0.1:8765"
MODEL, NUMBER = "small", "number.jsonl"
KEYS, KEY = ("The keys to the cabinet", " are"), ("The key to the cabinet", " is")


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


# In a browser.


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which nothing was found yet: the model, and pairs of prompts it can be asked."""
    folder = tmp_path_factory.mktemp("bare")
    made = knowing()
    made.body.module.save_pretrained(folder / MODEL)
    made.tokenizer.save_pretrained(folder / MODEL)
    rows = [
        {"clean_prefix": one, "patch_prefix": other, "clean_answer": answer, "patch_answer": instead}
        for (one, answer), (other, instead) in [(KEYS, KEY), (KEY, KEYS)] * 4
    ]
    (folder / NUMBER).write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture(scope="session")
def full(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a dictionary, a circuit, a report on it, edits, and a file that is cut off."""
    folder = tmp_path_factory.mktemp("full") / "full"
    shutil.copytree(bare, folder)
    model = clew.open(str(folder / MODEL))
    dictionary("resid.2", 76).save(folder / "sae.safetensors")
    view = model.through(*clew.Dictionary.load(folder / "sae.safetensors"))
    task = clew.Behaviour.load(str(folder / NUMBER), model=view)
    circuit = top_tokens(view, clew.find(view, task, held_out=False).top(6), task.prompts())
    circuit.save(folder / "number.json")
    clew.verify(view, task, circuit, by="faithfulness", held_out=False).save(folder / "number.report.json")
    Stack((Add(Site.parse("resid.2"), vector=torch.ones(76).double()),), "a shift").save(folder / "shift.safetensors")
    (folder / "cut.json").write_text((folder / "number.json").read_text()[:400])
    return folder


@pytest.fixture
def empty(bare: Path, tmp_path: Path) -> Path:
    """A copy of the bare folder that a test may write to."""
    return shutil.copytree(bare, tmp_path / "empty")


@pytest.fixture
def folder(full: Path, tmp_path: Path) -> Path:
    """A copy of the full folder that a test may write to."""
    return shutil.copytree(full, tmp_path / "folder")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A studio over the folder, in a thread; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(
        app_of(Desk.at(folder), port=port), port=port, log_level="error", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


class Visit:
    """A page of the studio, and what went wrong in it."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address, self.wrong = page, address, list[str]()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)

    def at(self, hash: str = "") -> Any:
        """Go there, and wait until it is drawn."""
        self.page.goto(f"{self.address}/#{hash}")
        self.page.locator("main h1").wait_for()
        return self.page


@pytest.fixture
def visit(chromium: Any) -> Iterator[Any]:
    """Open a studio over a folder in a page of its own. Nothing may go wrong in it but what a test expects."""
    pages, servers = list[Visit](), list[Any]()

    def opened(folder: Path, **options: Any) -> Visit:
        server = serving(folder)
        address = server.__enter__()
        servers.append(server)
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        pages.append(Visit(context.new_page(), address))
        return pages[-1]

    yield opened
    wrong = [error for page in pages for error in page.wrong]
    for page in pages:
        page.page.context.close()
    for server in servers:
        server.__exit__(None, None, None)
    assert not wrong
