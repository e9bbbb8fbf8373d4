"""A studio over a folder with traps in it, and requests that go over a socket as they are written."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from clew.apps._desk.asked import ViewAsked
from clew.apps._desk.desk import USUAL, Desk
from clew.apps.studio.app import app_of
from clew.changes import Scale
from clew.data.behaviours.behaviour import Behaviour
from clew.labels import Labels
from clew.report import Report, Row
from clew.sites import Site
from clew.stack import Stack
from tests.apps.atlases import atlas
from tests.apps.cli.toys import small_circuit
from tests.models.tiny import module_of, word_tokenizer

TOKEN = "a-token-that-nobody-guesses"
SECRET = "kept-outside-the-folder"
BODY = 1 << 16
"""Bytes of a request, at most, in the studio that is attacked."""
SCRIPT = "<script>document.title = 'broken in'</script><img src=x onerror=\"document.title = 'broken in'\">"
ODD = 'a";x=<b>é.json'
"""A name that a header cannot hold as it is."""
VIEW = "models/good"
DEEP = 20_000
ASKED: dict[str, Any] = {
    "name": "a",
    "hash": "0",
    "part": "all",
    "metric": "logit_difference",
    "pairs": 1,
    "note": "",
    "seed": None,
}
"""What a record says of prompts, but for where they are from."""


def _loaded(**options: Any) -> dict[str, Any]:
    return {"model": "planted/ioi", "prompts": {**ASKED, "made": [["load", options]]}}


RECORDS: dict[str, dict[str, Any]] = {
    "far": {
        "whole.json": _loaded(name="/etc/passwd"),
        "above.json": _loaded(name="../../outside/pairs.json"),
        "link.json": _loaded(name="relative.json"),
        "linked.json": _loaded(name="linked/pairs.json"),
        "home.json": _loaded(name="~/pairs.json"),
        "hub.json": _loaded(name="hf://datasets/evil/evil/pairs.json"),
        "odd.json": _loaded(name="a\0b"),
        "long.json": _loaded(name="a" * 5000),
        "half.json": _loaded(name="planted/ioi", test="/etc/passwd"),
        "source.json": {"model": "planted/ioi", "prompts": {**ASKED, "source": "/etc/passwd"}},
        "bare.json": {"model": "planted/ioi", "prompts": {"made": [["load", {"name": "/etc/passwd"}]]}},
        "inner.json": {"model": "planted/ioi", "nodes_of": _loaded(name="/etc/passwd")},
        "parts.json": {"parts": [_loaded(name="planted/ioi"), _loaded(name="/etc/passwd")]},
        "sibling.json": _loaded(name="halves/a_train.json"),
        "model.json": {"model": "/etc"},
        "model_above.json": {"model": "../../outside"},
        "model_link.json": {"model": "models/linked/../../linked"},
        "model_hub.json": {"model": "evil/evil"},
        "model_list.json": {"model": ["models/good"]},
    },
    "malformed": {
        "steps.json": {"model": "planted/ioi", "prompts": {**ASKED, "made": 5}},
        "step.json": {"model": "planted/ioi", "prompts": {**ASKED, "made": ["load"]}},
        "options.json": {"model": "planted/ioi", "prompts": {**ASKED, "made": [["load", 5]]}},
        "prompts.json": {"model": "planted/ioi", "prompts": 5},
        "listed.json": {"parts": 5},
    },
}
"""Records of how a circuit was made, by the name of its file: of what lies elsewhere, and of what is no record."""


# A request and its answer.


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def said(self) -> str:
        """The sentence of a refusal."""
        try:
            held = json.loads(self.body)
        except ValueError:
            return ""
        return held.get("error", "") if isinstance(held, dict) else ""


@dataclass(frozen=True)
class Request:
    """As it goes over the wire. A header of None is not sent; `raw` is all of it, in place of the rest."""

    method: str
    target: str
    body: bytes = b""
    headers: tuple[tuple[str, str | None], ...] = ()
    version: str = "1.1"

    def __str__(self) -> str:
        more = "".join(f"; {name}: {value}" if value is not None else f"; no {name}" for name, value in self.headers)
        body = f"; {self.body[:60].decode(errors='replace')}{'…' * (len(self.body) > 60)}" if self.body else ""
        return f"{self.method} {self.target[:100]}{'…' * (len(self.target) > 100)}{more}{body}"

    def written(self, port: int) -> bytes:
        usual: dict[str, str | None] = {"Host": f"127.0.0.1:{port}", "Connection": "close", "X-Clew": "1"}
        if self.body:
            usual |= {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        given = {name for name, _ in self.headers}
        pairs = [(name, value) for name, value in usual.items() if name not in given] + list(self.headers)
        lines = [f"{name}: {value}".replace("PORT", str(port)) for name, value in pairs if value is not None]
        target = self.target.replace("PORT", str(port))
        return (
            "\r\n".join([f"{self.method} {target} HTTP/{self.version}", *lines, "", ""]).encode("latin-1") + self.body
        )


@dataclass(frozen=True)
class Studio:
    """One that listens, over a folder with what an enemy has put there."""

    port: int
    desk: Desk
    outside: Path

    @property
    def root(self) -> Path:
        return self.desk.folder.root

    def ask(self, request: Request) -> Answer:
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as line:
            with suppress(BrokenPipeError, ConnectionResetError):  # it has said no before it heard all
                line.sendall(request.written(self.port))
            return _answer(line)

    def view(self) -> str:
        """The handle of a tiny model's view."""
        return self.desk.views.open(ViewAsked(VIEW)).id

    def ran(self) -> bool:
        """Whether code from a file was run."""
        return (self.outside / "ran").exists()


def _answer(line: socket.socket) -> Answer:
    held = b""
    with suppress(ConnectionResetError):
        while block := line.recv(1 << 16):
            held += block
    head, _, body = held.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(_chunks(body))
    return Answer(int(first.split()[1]) if first else 0, headers, body)


def _chunks(body: bytes) -> Iterator[bytes]:
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        yield body[:length]
        body = body[length + 2 :]


def get(target: str, **headers: str | None) -> Request:
    return Request("GET", target, headers=named(headers))


def of(path: str, route: str = "/api/circuit") -> Request:
    """A read of what is called so; the name goes as it is, encoded or not."""
    return get(f"{route}?path={path}")


def post(target: str, body: Any, method: str = "POST", **headers: str | None) -> Request:
    return Request(method, target, body if isinstance(body, bytes) else json.dumps(body).encode(), named(headers))


def named(headers: dict[str, str | None]) -> tuple[tuple[str, str | None], ...]:
    return tuple((name.replace("_", "-"), value) for name, value in headers.items())


# The studio, and its folder.


@contextmanager
def studio(place: Path, *, token: str | None = None, **limits: Any) -> Iterator[Studio]:
    """A studio at work over a folder with traps. Args: token: with one, as if it listened to the whole network."""
    root, outside = place / "folder", place / "outside"
    if not root.exists():
        prepare(root, outside)
    desk = Desk.at(root, limits=replace(USUAL, body=BODY, **limits))
    with served(desk, token) as port:
        yield Studio(port, desk, outside)


@contextmanager
def served(desk: Desk, token: str | None = None) -> Iterator[int]:
    """The port at which the desk is served."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    app = app_of(desk, host="0.0.0.0" if token else "127.0.0.1", port=port, token=token)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", access_log=False, server_header=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        desk.close()
        server.should_exit = True
        thread.join(10)


def prepare(root: Path, outside: Path) -> None:
    """What is good in the folder, what is not, and what lies beside it."""
    for folder in (root / "sub", outside / "secrets"):
        folder.mkdir(parents=True)
    circuit = small_circuit()
    circuit.save(root / "circuit.json")
    circuit.save(root / "sub" / "other.json")
    circuit.with_details(title=SECRET).save(outside / "secret.json")
    circuit.with_details(title=SECRET).save(outside / "secrets" / "secret.json")
    circuit.with_details(title=SCRIPT).save(root / ODD)
    replace(circuit, labels=Labels.of({"resid.0/1": SCRIPT})).save(root / "html.json")
    atlas(4, model=SCRIPT).save(root / "told")
    Stack((Scale(Site.parse("resid.0"), factor=0.0),), "off").save(root / "off.safetensors")
    _links(root, outside)
    _pickles(root, outside)
    _models(root, outside)
    _damaged(root)
    _records(root, outside)


def _records(root: Path, outside: Path) -> None:
    """Circuits whose records name what lies outside, and a behaviour whose other half is a link there."""
    (root / "records").mkdir()
    (root / "halves").mkdir()
    for name, record in {**RECORDS["far"], **RECORDS["malformed"]}.items():
        replace(small_circuit(), provenance={"method": "attribution_patching", **record}).save(root / "records" / name)
    pairs = [
        {"clean": f"{SECRET} {i}", "answers": [" is"], "patch": "the kings", "patch_answers": [" are"]}
        for i in range(4)
    ]
    Behaviour("a", pairs).save(outside / "pairs.json")
    Behaviour("a", pairs).save(root / "halves" / "a_train.json")
    (root / "halves" / "a_test.json").symlink_to(outside / "pairs.json")


def _links(root: Path, outside: Path) -> None:
    """Links out of the folder: a file, a folder, one beside a circuit, inside an index, where runs are kept."""
    secret = outside / "secret.json"
    for name, target in {
        "link.json": secret,
        "relative.json": Path("../outside/secret.json"),
        "linked": outside,
        "passwd.json": Path("/etc/passwd"),
        "zero.json": Path("/dev/zero"),
        "loop.json": Path("loop.json"),
        "good.json": Path("circuit.json"),
    }.items():
        (root / name).symlink_to(target)
    small_circuit().save(root / "beside" / "circuit.json")
    small_circuit().save(root / "reported" / "circuit.json")
    (root / "reported" / "report.json").symlink_to(outside / "report.json")
    (root / "beside" / "circuit.verdicts.json").symlink_to(outside / "verdicts.json")
    _report(outside / "report.json")
    (outside / "verdicts.json").write_text(json.dumps({"format": SECRET}))
    (root / "index").mkdir()
    (outside / "index.json").write_text(json.dumps({"format": "clew index", "version": 1, SECRET: 1}))
    (root / "index" / "index.json").symlink_to(outside / "index.json")
    (root / "weights").mkdir()
    (root / "weights" / "d.safetensors").symlink_to(outside / "secrets" / "d.safetensors")
    os.mkfifo(root / "pipe.json")


def _report(path: Path) -> None:
    Report(SECRET, (Row("faithfulness", 0.5, 0.4, 0.6, "features", 3, 9),)).save(path)


class Trap:
    """Who unpickles it runs code."""

    def __init__(self, outside: Path) -> None:
        self.place = outside / "ran"

    def __reduce__(self) -> Any:
        return Path.touch, (self.place,)


def _pickles(root: Path, outside: Path) -> None:
    """Pickles under the names of dictionaries, edits, vectors and labels."""
    held = pickle.dumps(Trap(outside))
    for name in ("trap.pt", "trap.pkl", "trap.pth", "trap.bin", "trap.safetensors", "trap.json", "trap.jsonl"):
        (root / name).write_bytes(held)
    with zipfile.ZipFile(root / "trap.npz", "w") as archive:
        array = np.array([Trap(outside)], dtype=object)
        with archive.open("W_enc.npy", "w") as file:
            np.lib.format.write_array(file, array, allow_pickle=True)
    (root / "traps").mkdir()
    (root / "traps" / "ae.pt").write_bytes(held)
    (root / "traps" / "cfg.json").write_text("{}")


def _models(root: Path, outside: Path) -> None:
    """Models: a good one; with code of its own; of pickles beside one honest file; whose weights lie outside."""
    good = root / "models" / "good"
    module_of().save_pretrained(good)
    word_tokenizer().save_pretrained(good)
    config = json.loads((good / "config.json").read_text())
    trap = f"import pathlib\npathlib.Path({str(outside / 'ran')!r}).touch()\nclass Evil: pass\n"
    coded = _copied(good, "coded")
    autos = dict.fromkeys(("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer"), "evil.Evil")
    (coded / "config.json").write_text(json.dumps({**config, "model_type": "evil", "auto_map": autos}))
    (coded / "evil.py").write_text(trap)
    tokens = _copied(good, "tokens")
    said = json.loads((tokens / "tokenizer_config.json").read_text())
    said |= {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}, "tokenizer_class": "Evil"}
    (tokens / "tokenizer_config.json").write_text(json.dumps(said))
    (tokens / "evil.py").write_text(trap)
    pickled = _copied(good, "pickled")
    (pickled / "model.safetensors").rename(pickled / "honest.safetensors")
    (pickled / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(outside)))
    far = _copied(good, "far")
    (far / "model.safetensors").rename(outside / "far.safetensors")
    shutil.copy(outside / "far.safetensors", far / "honest.safetensors")
    names = [name for name, _ in module_of().named_parameters()]
    where = dict.fromkeys(names, "../../../outside/far.safetensors")
    (far / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    linked = _copied(good, "linked")
    (linked / "model.safetensors").unlink()
    (linked / "model.safetensors").symlink_to(outside / "far.safetensors")


def _copied(good: Path, name: str) -> Path:
    return Path(shutil.copytree(good, good.with_name(name)))


def _damaged(root: Path) -> None:
    """Files that are not what they say."""
    whole = json.loads((root / "circuit.json").read_text())
    for name, text in {
        "half.json": json.dumps(whole)[:-40],
        "deep.json": "[" * DEEP + "]" * DEEP,
        "nan.json": json.dumps(whole).replace("0.1", "NaN", 1),
        "infinite.json": json.dumps(whole).replace("0.1", "1e999", 1),
        "typed.json": json.dumps({**whole, "nodes": "many"}),
        "extra.json": json.dumps({**whole, "nobody": 1}),
        "report.json": '{"format": "clew report", "version": 1, "title": 5}',
        "labels.json": '{"format": "clew labels", "version": 1, "units": {"no address": 3}}',
        "pairs.jsonl": '{"clean": "a"}\n{"clean": ',
        "graph.json": json.dumps({"metadata": {"slug": 1}, "nodes": [1], "links": {}}),
    }.items():
        (root / name).write_text(text)
    shorter = (root / "told" / "atlas.json").read_text().replace('"size": 44', '"size": "44"')
    (root / "damaged").mkdir()
    (root / "damaged" / "atlas.json").write_text(shorter)
    (root / "latin.json").write_bytes(b'{"format": "clew circuit", "title": "\xff\xfe"}')
    (root / "edits.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    (root / "model.gguf").write_bytes(b"GGUF" + b"\xff" * 64)
    (root / "index.d").mkdir()
    (root / "index.d" / "index.json").write_text('{"format": "clew index", "sites": 7}')
    runs = root / ".clew" / "runs"
    runs.mkdir(parents=True)
    asked = {"verb": "find", "args": {}, "name": None}
    shown = {"id": "bad", "verb": "find", "title": SCRIPT, "state": ["done"], "done": "x", "total": 1, "said": "",
             "seconds": "y", "left": None, "result": "../../outside/secret.json", "error": None, "command": "rm",
             "resumes": True, "started": "z"}  # fmt: skip
    (runs / "bad.json").write_text(
        json.dumps({"format": "clew run", "version": 1, "by": "x 1", "asked": asked, "shown": shown})
    )
