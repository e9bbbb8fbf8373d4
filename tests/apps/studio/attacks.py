"""What somebody hostile may send to the studio, or put into its folder, and what must come back: one table.

`python -m tests.apps.studio.attacks` writes docs/results/studio_security.md: the same table with what came back.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clew.apps._desk.folder import tag_of
from tests.apps.studio.traps import (
    BODY,
    ODD,
    RECORDS,
    SCRIPT,
    SECRET,
    TOKEN,
    VIEW,
    Answer,
    Request,
    Studio,
    get,
    named,
    of,
    post,
    studio,
)

RESULTS = Path(__file__).parents[3] / "docs" / "results" / "studio_security.md"
OPENED = {"model": VIEW}
TYPED = {"clean": "the king", "answers": [" is"], "patch": "the kings", "patch_answers": [" are"]}
OUT = (
    "../outside/secret.json", "%2e%2e/outside/secret.json", "..%2foutside%2fsecret.json", "..%5coutside%5csecret.json",
    "sub/..%2f..%2foutside/secret.json", "/etc/passwd", "%2fetc%2fpasswd", "~/secret.json", "file:///etc/passwd",
    "C:%5CWindows%5Cwin.ini", "%5C%5Cserver%5Cshare%5Ca", "CON", "off.safetensors::$DATA", "off.safetensors%00.png",
    "off.safetensors%0d%0aX-Evil:1", ".clew/runs/bad.json", "", "a" * 10_000,
)  # fmt: skip
"""Names in an address that are none of something in the folder."""
NAMES = (
    "../outside/secret.json", "..\\outside\\secret.json", "sub/../../outside/secret.json", "/etc/passwd", "//etc/passwd",
    "~/secret.json", "file:///etc/passwd", "C:\\Windows\\win.ini", "C:/Windows/win.ini", "\\\\server\\share\\a.json", "nul",
    "sub/com1.json", "circuit.json.", "circuit.json::$DATA", "circuit.json\0.png", "circuit\n.json", ".clew/runs/bad.json", "..", "a" * 600,
)  # fmt: skip
"""The same in a body, where nothing is encoded."""
HEAD = """# What hostile requests and files get

A studio over a folder with traps in it: links out of it, pickles, models with code of their own or with weights that lie
elsewhere, damaged files, HTML in names. Every line was sent over a socket on loopback, as it stands here (but for what is not
ASCII), beside a right Host (`PORT` is its port) and `X-Clew: 1`, unless the line says otherwise. `VIEW` stands for the handle
of an open view.

No answer held a word of what lies outside the folder, a place on the machine or a traceback. Every answer, but that of the
server beneath to what is no HTTP, had the headers (content-security-policy with `frame-ancestors 'none'`, nosniff), and none
let another site read it. No code of a file was run; nothing outside was written. `tests/apps/studio/test_attacks.py` holds all
of this, and what takes several steps: a link swapped in later, two writers at once, full queues, budgets of time and memory,
a reader who goes away. `python -m tests.apps.studio.attacks` renews the table."""


# The table.


@dataclass(frozen=True)
class Case:
    """What is sent, and what must come back."""

    room: str
    sent: Request
    status: int
    says: str = ""
    """Stands in the answer."""
    token: bool = False
    """Sent to the studio that asks for a token."""
    bare: bool = False
    """Refused by the server beneath, before our headers are put on."""

    def __str__(self) -> str:
        return f"{self.room}: {self.sent}"


def cases() -> list[Case]:
    parts = (
        _hosts,
        _sites,
        _tokens,
        _paths,
        _static,
        _bodies,
        _loads,
        _files,
        _writes,
        _pairs,
        _exports,
        _again,
        _runs,
    )
    return [case for part in parts for case in part()]


def _hosts() -> Iterator[Case]:
    for host in (
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:PORT", "evil.example:PORT", "127.0.0.1:1",
        "0.0.0.0:PORT", "2130706433:PORT", "127.1:PORT", "127.0.0.1@evil.example", "[::1", "[::1]evil:PORT", "localhost.",
        "127.0.0.1:PORT:PORT", "127.0.0.1:99999999999", "", "\xff\xfe", "127.0.0.1:PORT/../",
    ):  # fmt: skip
        yield Case("Host", get("/api/items", Host=host), 403, "is not this studio")
    yield Case("Host", replace(get("/api/items", Host=None), version="1.0"), 403, "is not this studio")
    yield Case(
        "Host",
        Request("GET", "/api/items", headers=(("Host", "127.0.0.1:PORT"), ("Host", "evil.example"))),
        400,
        bare=True,
    )
    yield Case("Host", get("http://evil.example/api/items"), 404)
    yield Case("Host", get("/api/items/", X_Forwarded_Host="evil.example"), 307)
    for host in ("localhost:PORT", "LOCALHOST:PORT", "[::1]:PORT", "127.0.0.1"):
        yield Case("Host", get("/api/items", Host=host), 200)


def _sites() -> Iterator[Case]:
    for origin in (
        "http://evil.example",
        "null",
        "http://127.0.0.1:1",
        "https://127.0.0.1:PORT",
        "http://localhost:PORT",
        "",
    ):
        yield Case("another site", get("/api/items", Origin=origin), 403, "is another site")
    yield Case("another site", get("/api/items", Origin="http://127.0.0.1:PORT"), 200)
    twice = (("Origin", "http://127.0.0.1:PORT"), ("Origin", "http://evil.example"))
    yield Case("another site", Request("GET", "/api/items", headers=twice), 400)
    visit = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    for site in ("cross-site", "same-site", "anything"):
        yield Case("another site", get("/api/items", Sec_Fetch_Site=site), 403, "comes from another site")
    yield Case("another site", get("/studio.js", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="script"), 403)
    yield Case("another site", get("/", **{**visit, "Sec_Fetch_Dest": "iframe"}), 403)
    yield Case("another site", get("/api/circuit/export?path=circuit.json", **visit), 403)
    yield Case("another site", get("/", **visit), 200)
    yield Case("another site", post("/api/views", OPENED, X_Clew=None), 403, "X-Clew")
    yield Case("another site", post("/api/views", OPENED, X_Clew="0"), 403, "X-Clew")
    yield Case("another site", post("/api/views", OPENED, X_Clew=None, Content_Type="text/plain"), 403, "X-Clew")
    yield Case(
        "another site",
        post("/api/views", b"model=gpt2", X_Clew=None, Content_Type="application/x-www-form-urlencoded"),
        403,
    )
    yield Case("another site", post("/api/circuit?path=circuit.json", {"tag": ""}, "PUT", X_Clew=None), 403)
    yield Case("another site", Request("DELETE", "/api/runs/bad", headers=(("X-Clew", None),)), 403)
    asks = {
        "Origin": "http://evil.example",
        "Access_Control_Request_Method": "POST",
        "Access_Control_Request_Headers": "x-clew",
    }
    yield Case("another site", Request("OPTIONS", "/api/views", headers=named({**asks, "X_Clew": None})), 403)


def _tokens() -> Iterator[Case]:
    def asked(status: int, sent: Request, says: str = "") -> Case:
        return Case("token", sent, status, says, token=True)

    for header in (
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer \xe9",
    ):
        yield asked(403, get("/api/items", Authorization=header), "a token is needed")
    yield asked(200, get("/api/items", Authorization=f"Bearer {TOKEN}"))
    yield asked(403, get(f"/api/items?token={TOKEN}"), "a token is needed")
    yield asked(403, get("/?token=wrong"), "a token is needed")
    yield asked(403, get("/?token="), "a token is needed")
    yield asked(403, get("/studio.js"), "a token is needed")
    yield asked(303, get(f"/?token={TOKEN}"))
    yield asked(200, get("/api/items", Cookie=f"a=b; clew_token={TOKEN}"))
    yield asked(403, get("/api/items", Cookie="clew_token=wrong"), "a token is needed")
    yield asked(403, get("/api/items", Cookie='clew_token="; ;;=\x01'), "a token is needed")
    yield asked(403, post("/api/views", OPENED, Authorization=f"Bearer {TOKEN}", X_Clew=None), "X-Clew")
    yield asked(
        403, post("/api/views", OPENED, Cookie=f"clew_token={TOKEN}", Sec_Fetch_Site="cross-site"), "another site"
    )
    yield asked(403, get("/api/items", Authorization=f"Bearer {TOKEN}", Host="evil.example"), "is not this studio")


def _paths() -> Iterator[Case]:
    for name in (
        "../outside/secret.json", "%2e%2e/outside/secret.json", "..%2foutside%2fsecret.json", "..%5coutside%5csecret.json",
        "sub/../../outside/secret.json", "sub/..%2f..%2foutside/secret.json", "sub/../circuit.json", "./circuit.json",
        "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd", "~/secret.json", "~root/.bashrc", "file:///etc/passwd",
        "C:%5CWindows%5Cwin.ini", "C:/Windows/win.ini", "C:circuit.json", "%5C%5Cserver%5Cshare%5Ca.json", "//server/share/a.json",
        "%5C%5C%3F%5CC:%5Ca.json", "CON", "sub/NUL.json", "com1.json", "circuit.json.", "circuit.json%20", "circuit.json::$DATA",
        "circuit.json:hidden", "circuit.json%00", "%00circuit.json", "circuit.json%00.png", "circuit%0a.json", "circuit.json%0d%0a",
        "a%7fb.json", ".hidden.json", ".clew/runs/bad.json", "sub/.hidden/a.json", "sub//other.json", "sub/other.json/", "", ".",
        "..", "a" * 10_000, "sub/" * 130 + "a.json", "a" * 300 + ".json", "%e2%82%ac" * 90,
    ):  # fmt: skip
        yield Case("a path", of(name), 403, "give")
    for name in (
        "%252e%252e%252foutside%252fsecret.json", "%c0%ae%c0%ae/outside/secret.json", "%e0%80%ae%e0%80%ae/outside/secret.json",
        "%ff%fe", "%u002e%u002e/outside/secret.json", "%e2%80%a5/outside/secret.json", "%ef%bc%8e%ef%bc%8e/outside/secret.json",
        "circuit.json/a", "sub", "pipe.json", "nobody.json",
    ):  # fmt: skip
        yield Case("a path", of(name), 404, "there is no file")
    for name in (
        "link.json",
        "relative.json",
        "linked/secret.json",
        "linked/secrets/secret.json",
        "passwd.json",
        "zero.json",
    ):
        yield Case("a link", of(name), 403, "is a link that leads out of the folder")
    yield Case("a link", of("loop.json"), 403, "leads nowhere")
    yield Case("a link", of("good.json"), 200)
    yield Case("a link", of("beside/circuit.json"), 403, "circuit.verdicts.json")
    yield Case("a link", of("reported/circuit.json"), 200, '"report":null')
    yield Case("a link", get("/api/items"), 200)
    for route in ("/api/report", "/api/edits", "/api/labels", "/api/comparison", "/api/atlas", "/api/circuit/export"):
        yield Case("a path elsewhere", of("../outside/secret.json", route), 403)
        yield Case("a path elsewhere", of("link.json", route), 403)
    yield Case("a path elsewhere", get("/api/circuit/diff?a=circuit.json&b=../outside/secret.json"), 403)
    yield Case("a path elsewhere", get("/api/circuit/diff?a=link.json&b=circuit.json"), 403)
    yield Case("a path elsewhere", post("/api/circuit/groups", {"path": "../outside/secret.json"}), 403)
    yield Case("a path elsewhere", post("/api/circuit?path=link.json", {"tag": "x"}, "PUT"), 403)
    yield Case("a path elsewhere", get("/api/runs/..%2f..%2foutside%2fsecret"), 404)
    yield Case("a path elsewhere", get("/api/views/..%2f..%2foutside"), 404)
    for index in ("../outside", "linked", "index", "/etc"):
        yield Case(
            "a path elsewhere",
            post("/api/unit/label", {"address": "resid.0/1", "text": "x", "index": index}, "PUT"),
            403,
        )
    for args in (
        {"model": "planted/ioi", "behaviour": "../outside/secret.json"},
        {"model": "planted/ioi", "behaviour": "link.json"},
        {"model": "../outside", "behaviour": "planted/ioi"},
        {"model": "planted/ioi", "behaviour": "planted/ioi", "by": "edges", "circuit": "../outside/secret.json"},
        {"model": "planted/ioi", "through": ["../outside"], "behaviour": "planted/ioi"},
    ):
        yield Case("a path elsewhere", post("/api/runs", {"verb": "find", "args": args}), 403)
    texts = {"model": "planted/ioi", "texts": ["linked"]}
    yield Case("a path elsewhere", post("/api/runs", {"verb": "index", "args": texts}), 403)


def _static() -> Iterator[Case]:
    for target in (
        "/../clew/version.py", "/%2e%2e/%2e%2e/etc/passwd", "/..%2fpage.js", "/..%5cpage.js", "/page.js", "/sources.sha256", "/__init__.py",
        "//etc/passwd", "/studio.js/..", "/studio.js%00", "/studio.js%2f..%2fpage.js", "/studio.js%0d%0aX-Evil:%201", "/docs", "/redoc",
        "/openapi.json", "/metrics", "/.git/config", "/api/../api/items", "/%c0%ae%c0%ae/page.js", "/<script>alert(1)</script>",
        "/api/<script>alert(1)</script>",
    ):  # fmt: skip
        yield Case("the front end", get(target), 404)
    yield Case("the front end", get("/"), 200, "studio.js")
    yield Case("the front end", get("/studio.js"), 200)


def _bodies() -> Iterator[Case]:
    prompt = {"view": "VIEW", "text": "a b c"}

    def body(status: int, sent: Request, says: str = "") -> Case:
        return Case("a body", sent, status, says)

    yield body(413, post("/api/views", b"{}", Content_Length=str(BODY + 1)), "bytes")
    yield body(413, post("/api/views", b"{}", Content_Length="9" * 19), "bytes")
    yield body(413, post("/api/views", b"[" * (BODY + 1)), "bytes")
    chunk = b"%x\r\n%b\r\n" % (BODY + 1, b"x" * (BODY + 1)) + b"0\r\n\r\n"
    yield body(413, post("/api/views", chunk, Content_Length=None, Transfer_Encoding="chunked"), "bytes")
    yield body(400, post("/api/views", b"[" * 30_000 + b"]" * 30_000))
    yield body(400, post("/api/views", b'{"model": ' + b"[" * 900 + b"]" * 900 + b"}"))
    yield body(400, post("/api/runs", b'{"verb": "find", "args": {"model": ' + b"[" * 900 + b"]" * 900 + b"}}"))
    yield body(400, post("/api/runs", b'{"verb": "find", "args": {"model": NaN}}'))
    yield body(
        400,
        post(
            "/api/change",
            b'{"view": "VIEW", "edits": [{"kind": "scale", "address": "resid.0/1", "value": NaN}], "prompt": "a"}',
        ),
    )
    yield body(
        400,
        post(
            "/api/change",
            b'{"view": "VIEW", "edits": [{"kind": "scale", "address": "resid.0/1", "value": -Infinity}], "prompt": "a"}',
        ),
    )
    yield body(
        400,
        post(
            "/api/change",
            b'{"view": "VIEW", "edits": [{"kind": "scale", "address": "resid.0/1", "value": 1e999}], "prompt": "a"}',
        ),
    )
    yield body(400, post("/api/prompt", b'{"view": "VIEW", "text": "a", "top": ' + b"9" * 5000 + b"}"))
    yield body(400, post("/api/prompt", {**prompt, "top": 10**30}))
    yield body(400, post("/api/prompt", {**prompt, "top": -1}), "top is -1")
    yield body(400, post("/api/prompt", {**prompt, "top": 2.5}))
    yield body(400, post("/api/prompt", {**prompt, "top": "many"}))
    yield body(400, post("/api/prompt", {**prompt, "text": ["a"]}))
    yield body(400, post("/api/prompt", {**prompt, "text": ""}), "the text is empty")
    yield body(400, post("/api/prompt", {**prompt, "nobody": 1}), "nobody")
    yield body(413, post("/api/prompt", {**prompt, "text": "a " * 15_000}), "characters")
    yield body(413, post("/api/prompt", {**prompt, "text": "a " * 5_000}), "tokens")
    yield body(400, post("/api/prompt", b'{"view": "VIEW", "text": "\\ud800"}'))
    yield body(400, post("/api/fires", b'{"view": "VIEW", "text": "a", "address": "resid.\\ud800/1"}'))
    yield body(400, post("/api/fires", {"view": "VIEW", "text": "a", "address": f"resid.0/{10**30}"}))
    yield body(400, post("/api/fires", {"view": "VIEW", "text": "a", "address": "resid.0/-1"}))
    yield body(404, post("/api/prompt", b'{"view": "\\ud800", "text": "a"}'), "no view")
    yield body(400, post("/api/views", b'{"model": "\xff\xfe"}'))
    yield body(400, post("/api/views", b""))
    yield body(400, post("/api/views", b"null"))
    yield body(400, post("/api/views", b"[]"))
    yield body(400, post("/api/views", b'{"model": "a", "model"'))
    yield body(400, post("/api/views", OPENED, Content_Type="text/plain"))
    yield body(400, post("/api/views", b"--x\r\n\r\nfile\r\n--x--", Content_Type="multipart/form-data; boundary=x"))
    yield body(400, post("/api/views", b"\x1f\x8b\x08" + b"\0" * 20, Content_Encoding="gzip"))
    yield body(400, post("/api/views", {"model": "planted/ioi", "layers": [10**30], "through": []}))
    yield body(400, post("/api/attention", {"view": "VIEW", "text": "a", "layer": -1, "head": 10**9}), "no head")
    yield body(400, post("/api/change", {"view": "VIEW", "edits": [], "prompt": "a", "tokens": 10**9}), "tokens is")
    yield body(400, post("/api/runs", {"verb": "../../os", "args": {}}))
    steps = b'{"verb": "find", "args": {"model": "planted/ioi", "behaviour": "planted/ioi", "options": {"steps": NaN}}}'
    yield body(400, post("/api/runs", steps))
    yield body(
        400, post("/api/unit/label", b'{"address": "resid.0/1", "text": "\\ud800", "path": "circuit.json"}', "PUT")
    )
    yield body(
        400,
        post(
            "/api/runs",
            {"verb": "find", "args": {"model": "planted/ioi", "behaviour": "planted/ioi", "by": "../../os"}},
        ),
    )
    yield body(
        400,
        post(
            "/api/runs",
            {"verb": "find", "args": {"model": "planted/ioi", "behaviour": "planted/ioi", "options": {"__class__": 1}}},
        ),
    )
    yield body(405, Request("DELETE", "/api/items"))
    yield body(405, Request("PATCH", "/api/circuit?path=circuit.json"))
    yield body(405, Request("TRACE", "/api/items"))
    yield body(405, get("/api/prompt"))
    yield body(404, get("/api/nobody"))


def _loads() -> Iterator[Case]:
    for name in ("gpt2", "EleutherAI/pythia-70m", "../outside", "/etc", "~/model", "linked", "https://evil.example/model", "planted/../ioi",
                 "planted/nobody", "", "C:\\model"):  # fmt: skip
        yield Case("a model", post("/api/views", {"model": name}), 403, "is not open to this studio")
    yield Case("a model", post("/api/views", {"model": "models/linked"}), 403, "is a link that leads out")
    for name in ("coded", "tokens", "pickled", "far"):
        yield Case("a model", post("/api/views", {"model": f"models/{name}"}), 400)
    yield Case("a model", post("/api/views", {"model": "sub"}), 400, "unpickled")
    yield Case("a model", post("/api/views", {"model": "model.gguf"}), 400)
    yield Case("a model", post("/api/views", {"model": "models/good"}), 200)
    for name in ("trap.pt", "trap.pkl", "trap.pth", "trap.bin", "trap.safetensors", "trap.npz", "trap.json", "traps"):
        yield Case("a pickle", post("/api/views", {"model": "planted/ioi", "through": [name]}), 400)
    for name in ("trap.safetensors", "trap.pt", "trap.pkl", "trap.bin", "trap.npz"):
        yield Case("a pickle", of(name, "/api/edits"), 400)
        edit = {"view": "VIEW", "edits": [{"kind": "file", "path": name}], "prompt": "a"}
        yield Case("a pickle", post("/api/change", edit), 400)
    for name in ("trap.json", "trap.pkl"):
        yield Case("a pickle", of(name, "/api/labels"), 400)
        yield Case("a pickle", of(name, "/api/circuit"), 400)
    yield Case("dictionaries", post("/api/views", {"model": "planted/ioi", "through": ["../outside/secrets"]}), 403)
    yield Case(
        "dictionaries",
        post("/api/views", {"model": "planted/ioi", "through": ["weights"]}),
        403,
        "leads out of the folder",
    )
    yield Case("dictionaries", post("/api/views", {"model": "planted/ioi", "through": ["/etc"]}), 403)


def _files() -> Iterator[Case]:
    for name in (
        "half.json",
        "deep.json",
        "nan.json",
        "infinite.json",
        "typed.json",
        "extra.json",
        "latin.json",
        "graph.json",
    ):
        yield Case("a malformed file", of(name), 400, name)
    yield Case("a malformed file", of("report.json", "/api/report"), 400, "report.json")
    yield Case("a malformed file", of("labels.json", "/api/labels"), 400, "labels.json")
    yield Case("a malformed file", of("edits.safetensors", "/api/edits"), 400, "edits.safetensors")
    yield Case("a malformed file", of("circuit.json", "/api/report"), 400, "circuit.json")
    yield Case("a malformed file", of("html.json", "/api/comparison"), 400, "html.json")
    yield Case("a malformed file", of("html.json", "/api/atlas"), 400, "html.json")
    yield Case("a malformed file", of("damaged/atlas.json", "/api/atlas"), 400, "damaged/atlas.json")
    yield Case("a malformed file", get("/api/runs"), 200)
    yield Case("a malformed file", get("/api/about"), 200)
    yield Case("HTML", of("html.json"), 200, json.dumps(SCRIPT)[1:-1])
    yield Case("HTML", of("told/atlas.json", "/api/atlas"), 200, json.dumps(SCRIPT)[1:-1])
    yield Case("HTML", get(f"/api/circuit/export?path={quote(ODD)}"), 200)
    yield Case("HTML", of("%3Cscript%3Ealert(1)%3C/script%3E"), 404, "there is no file")
    yield Case("HTML", of("circuit.json", "/api/circuit/export?format=%0d%0aX-Evil:1&x="), 400)
    yield Case("HTML", get("/api/circuit/export?path=circuit.json&format=../../etc"), 400, "is no format")


def _writes() -> Iterator[Case]:
    for name in ("../outside/new", "/var/new", "sub/../../new", "linked/new", "new\n", "C:\\new", "con", ".new", "~/new", "",
                 "a\0b", "a" * 600):  # fmt: skip
        edit = {"view": "VIEW", "edits": [{"kind": "scale", "address": "neuron.0/1", "value": 0.5}], "name": name}
        yield Case("writing", post("/api/change/save", edit), 403)
        if name:  # without one it is made
            run = {"verb": "group", "args": {"circuit": "circuit.json"}, "name": name}
            yield Case("writing", post("/api/runs", run), 403)
    taken = {"view": "VIEW", "edits": [{"kind": "zero", "address": "neuron.0/1"}], "name": "off"}
    yield Case("writing", post("/api/change/save", taken), 400, "already")
    names = {"tag": "0" * 20, "labels": {"resid.0/1": "x"}}
    yield Case("writing", post("/api/circuit?path=circuit.json", names, "PUT"), 409, "written by somebody else")
    yield Case("writing", post("/api/circuit?path=graph.json", names, "PUT"), 409)
    yield Case("writing", post("/api/circuit?path=off.safetensors", names, "PUT"), 409)
    yield Case(
        "writing", post("/api/unit/label", {"address": "resid.0/1", "text": "x", "path": "graph.json"}, "PUT"), 400
    )
    yield Case(
        "writing", post("/api/unit/label", {"address": "resid.0/1", "text": "x", "path": "off.safetensors"}, "PUT"), 400
    )
    yield Case(
        "writing", post("/api/unit/label", {"address": "resid.0/9", "text": "x", "path": "circuit.json"}, "PUT"), 400
    )
    yield Case("writing", post("/api/unit/label", {"address": "resid.0/1", "text": "x", "index": "sub"}, "PUT"), 400)
    verdict = {"tag": "TAG beside/circuit.json", "verdicts": {"resid.0/1": {"verdict": "keep"}}}
    yield Case("writing", post("/api/circuit?path=beside/circuit.json", verdict, "PUT"), 403, "leads out of the folder")


def _pairs() -> Iterator[Case]:
    """Pairs of prompts that are typed, and where they are saved."""

    def pairs(status: int, body: Any, says: str = "", **headers: str | None) -> Case:
        return Case("pairs that are typed", post("/api/behaviours", body, **headers), status, says)

    for name in (*NAMES, "~/new", ".new", "con", "a/" * 300 + "new"):
        if name != "circuit.json.":  # with an ending it is a name
            yield pairs(403, {"pairs": [TYPED], "name": name}, "give")
    yield pairs(403, {"pairs": [TYPED], "name": "linked/new"}, "leads out of the folder")
    yield pairs(503, {"pairs": [TYPED], "name": "circuit.json/new"})
    yield pairs(400, {"pairs": [TYPED], "name": 5})
    yield pairs(400, {"pairs": [TYPED], "name": ["new"]})
    yield pairs(400, {"pairs": [TYPED], "path": "../outside/new"}, "path")
    for held in (None, 5, "many", {}, [1], [None], [[]], [{}], [{"clean": "a"}], [{"answers": [" b"]}]):
        yield pairs(400, {"pairs": held})
    for wrong in (
        {"clean": 5}, {"clean": ["a"]}, {"clean": " "}, {"answers": " is"}, {"answers": []}, {"answers": [5]}, {"answers": [None]},
        {"answers": [["a"]]}, {"patch": 5}, {"patch_answers": {}}, {"__class__": "a"}, {"split": 0}, {"patch": None},
    ):  # fmt: skip
        yield pairs(400, {"pairs": [TYPED, {**TYPED, **wrong}]})
    yield pairs(400, {"pairs": []}, "one pair of prompts or more")
    yield pairs(400, b'{"pairs": [{"clean": "\\ud800", "answers": [" b"]}]}')
    yield pairs(400, b'{"pairs": [{"clean": "a", "answers": ["\\udfff"]}]}')
    yield pairs(400, b'{"pairs": [{"clean": "a", "answers": [NaN]}]}')
    yield pairs(400, b'{"pairs": ' + b"[" * 30_000 + b"]" * 30_000 + b"}")
    yield pairs(400, b'{"pairs": [{"clean": "a", "answers": [" b"]}')
    yield pairs(400, b"\xff\xfe")
    yield pairs(413, {"pairs": [{**TYPED, "clean": "a " * BODY}]}, "bytes")
    yield pairs(413, {"pairs": [TYPED] * 1000}, "bytes")
    yield pairs(400, {"pairs": [TYPED]}, Content_Type="text/plain")
    yield pairs(403, {"pairs": [TYPED]}, "X-Clew", X_Clew=None)
    yield pairs(403, {"pairs": [TYPED]}, "X-Clew", X_Clew=None, Content_Type="text/plain")
    yield pairs(403, {"pairs": [TYPED]}, "another site", Origin="http://evil.example")
    yield pairs(403, {"pairs": [TYPED]}, "another site", Origin="null")
    yield pairs(403, {"pairs": [TYPED]}, "another site", Sec_Fetch_Site="cross-site")
    yield pairs(403, {"pairs": [TYPED]}, "is not this studio", Host="evil.example")
    yield pairs(200, {"pairs": [{**TYPED, "clean": SCRIPT}], "name": "html"}, "html-2.json")
    yield Case("pairs that are typed", get("/api/behaviours"), 405)


def _exports() -> Iterator[Case]:
    """Files of edits that are downloaded."""

    def export(status: int, path: str, says: str = "", **headers: str | None) -> Case:
        return Case("edits as a file", get(f"/api/edits/export?path={path}", **headers), status, says)

    for name in OUT:
        yield export(403, name, "give")
    for name in ("link.json", "linked/secret.json", "passwd.json", "zero.json", "weights/d.safetensors"):
        yield export(403, name, "leads out of the folder")
    for name in ("nobody.safetensors", "sub", "pipe.json", "%252e%252e%252foutside%252fsecret.json", "%c0%ae%c0%ae/a"):
        yield export(404, name, "there is no file")
    for name in (
        "circuit.json",
        "html.json",
        "edits.safetensors",
        "models/good/model.safetensors",
        "models/good/config.json",
    ):
        yield export(400, name, name)
    for name in ("trap.safetensors", "trap.pt", "trap.pkl", "trap.npz"):
        yield export(400, name, name)
        yield export(400, f"{name}&format=gguf&view=VIEW", name)
    for format in ("../../etc", "pt", "pickle", "%0d%0aX-Evil:1", "", "GGUF", "a" * 5000):
        yield export(400, f"off.safetensors&format={format}", "is no format")
    yield export(400, "off.safetensors&format=gguf", "view=")
    for view in ("..%2f..%2foutside", "models/good", "", "%00"):
        yield export(404, f"off.safetensors&format=gguf&view={view}", "no view")
    yield export(404, "off.safetensors&view=nobody", "no view")
    yield export(403, "off.safetensors", "another site", Origin="http://evil.example")
    yield export(403, "off.safetensors", "another site", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    yield export(403, "off.safetensors", "is not this studio", Host="evil.example")
    yield Case("edits as a file", get("/api/edits/export"), 400, "path")
    yield Case("edits as a file", post("/api/edits/export?path=off.safetensors", {}), 405)
    yield export(200, "off.safetensors")


def _again() -> Iterator[Case]:
    """Files that are run again, whose records name what lies elsewhere."""

    def again(status: int, args: Any, says: str = "", **more: Any) -> Case:
        headers = {name: more.pop(name) for name in ("Origin", "X_Clew", "Sec_Fetch_Site") if name in more}
        asked = post("/api/runs", {"verb": "replicate", "args": args, **more}, **headers)
        return Case("what is run again", asked, status, says)

    for name in NAMES:
        yield again(403, {"path": name}, "give")
    for name in ("link.json", "linked/secret.json", "passwd.json", "zero.json"):
        yield again(403, {"path": name}, "leads out of the folder")
    for name in ("nobody.json", "sub", "pipe.json", "weights"):
        yield again(404, {"path": name}, "there is no file")
    for name in (
        "half.json",
        "deep.json",
        "nan.json",
        "typed.json",
        "latin.json",
        "edits.safetensors",
        "trap.json",
        "trap.safetensors",
    ):
        yield again(400, {"path": name}, name)
    for name in RECORDS["far"]:
        said = {"model": "is not open to this studio", "sibling": "leads out of the folder"}
        says = said.get(name.partition("_")[0].removesuffix(".json"), "outside the folder")
        yield again(403, {"path": f"records/{name}"}, says)
    for name in RECORDS["malformed"]:
        yield again(400, {"path": f"records/{name}"}, f"records/{name}")
    for path in (None, 5, "", [], {}, ["circuit.json"], {"path": "circuit.json"}):
        yield again(400, {"path": path})
    yield again(400, {})
    yield again(400, {"path": "circuit.json", "evidence": "../outside/secret.json"}, "evidence")
    yield again(400, {"path": "circuit.json", "model": "/etc", "anyway": True})
    for name in ("../outside/new", "/var/new", "linked/new", ".new", "con", "C:\\new"):
        yield again(403, {"path": "circuit.json"}, "give" if name != "linked/new" else "leads out", name=name)
    yield again(403, {"path": "circuit.json"}, "another site", Origin="http://evil.example")
    yield again(403, {"path": "circuit.json"}, "another site", Sec_Fetch_Site="cross-site")
    yield again(403, {"path": "circuit.json"}, "X-Clew", X_Clew=None)


def _runs() -> Iterator[Case]:
    """What other runs are given, and routes of which nothing else is asked."""
    planted = {"model": "planted/ioi", "behaviour": "planted/ioi"}

    def run(status: int, verb: str, args: Any, says: str = "") -> Case:
        return Case("other runs and routes", post("/api/runs", {"verb": verb, "args": args}), status, says)

    for path in ("../outside/secret.json", "link.json", "/etc/passwd"):
        yield run(403, "verify", {**planted, "circuit": path})
        yield run(403, "verify", {**planted, "edits": [path]})
        yield run(403, "verify", {**planted, "dictionaries": [path]})
        yield run(403, "verify", {**planted, "texts": [path], "dictionaries": ["off.safetensors"]})
        yield run(403, "edges", {**planted, "circuit": path})
        yield run(403, "explain", {"index": path, "units": ["resid.0/1"]})
        yield run(403, "edit", {"model": "planted/ioi", "circuit": path, "by": "zero"})
        yield run(403, "edit", {"model": "planted/ioi", "behaviour": path, "by": "mean_difference"})
        yield run(403, "index", {"model": path, "texts": ["circuit.json"]})
    yield run(403, "explain", {"index": "index", "units": ["resid.0/1"]}, "leads out of the folder")
    yield run(403, "find", {"model": "planted/ioi", "behaviour": "halves/a_train.json"}, "leads out of the folder")
    for target in (
        "/api/about",
        "/api/runs",
        "/api/runs/events",
        "/api/views",
        "/api/unit?view=VIEW&address=resid.0/1",
    ):
        yield Case("other runs and routes", get(target, Origin="http://evil.example"), 403, "is another site")
    for address in ("resid.0/-1", "resid.0/" + "9" * 30, "../outside", "resid.%ff/1", "", "resid.0/1@0"):
        yield Case("other runs and routes", get(f"/api/unit?view=VIEW&address={address}"), 400)
    yield Case("other runs and routes", get("/api/unit?view=..%2f..%2foutside&address=resid.0/1"), 404, "no view")
    for index in ("../outside", "linked", "/etc"):
        yield Case("other runs and routes", get(f"/api/unit?view=VIEW&address=neuron.0/1&index={index}"), 403)
    for id in ("nobody", "..%2f..%2foutside%2fsecret", "%00"):
        yield Case("other runs and routes", Request("DELETE", f"/api/views/{id}"), 404)
        yield Case("other runs and routes", Request("POST", f"/api/runs/{id}/resume"), 404)
    yield Case("other runs and routes", Request("POST", "/api/runs/bad/resume", headers=(("X-Clew", None),)), 403)


# What came back.


def sent(case: Case, at: Studio) -> Answer:
    """The answer to a case, in which the handle of a view and the tag of a file are put in."""
    body, target = case.sent.body, case.sent.target
    if b"VIEW" in body or "VIEW" in target:
        body, target = body.replace(b"VIEW", at.view().encode()), target.replace("VIEW", at.view())
    if found := re.search(rb"TAG ([\w/.]+)", body):
        body = body.replace(found[0], tag_of(at.root / found[1].decode()).encode())
    return at.ask(replace(case.sent, target=target, body=body))


def betrayed(answer: Answer, at: Studio) -> list[str]:
    """What an answer says that it must not: what lies outside, places on the machine, how Python failed."""
    folder = json.dumps(str(at.root))[1:-1] if b'"folder"' in answer.body else ""  # `about` says which folder is open
    text = answer.text.replace(folder, "") if folder else answer.text
    words = (
        SECRET,
        "root:x:",
        "Traceback",
        'File "',
        "site-packages",
        str(at.root.parent),
        tempfile.gettempdir() + "/",
        str(Path.home()) + "/",
    )
    return [word for word in words if word in text]


def lacking(answer: Answer) -> list[str]:
    """Headers that an answer should have, and those that it should not."""
    wanted = {
        "content-security-policy": "frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }
    lost = [name for name, value in wanted.items() if value not in answer.headers.get(name, "")]
    return lost + [name for name in answer.headers if name.startswith("access-control") or name in ("server", "x-evil")]


def kept(case: Case, answer: Answer, at: Studio) -> bool:
    """Whether an answer is what it must be."""
    told = case.bare or not lacking(answer)
    return (
        answer.status == case.status and case.says in answer.text and told and not betrayed(answer, at) and not at.ran()
    )


def told(answer: Answer, at: Studio) -> str:
    """What came back, in a cell of a table."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if not answer.said:
        return kind or "nothing"
    text = answer.said.replace(str(at.port), "PORT").replace(at.view(), "VIEW")
    return f"`{printable(text[:140])}{'…' * (len(text) > 140)}`"


def main() -> None:
    """Send everything and write down what came back."""
    lines = [HEAD]
    with (
        tempfile.TemporaryDirectory() as place,
        studio(Path(place)) as plain,
        studio(Path(place), token=TOKEN) as closed,
    ):
        asked = [(case, sent(case, closed if case.token else plain)) for case in cases()]
        for room, found in groupby(asked, key=lambda pair: pair[0].room):
            lines += [f"\n## {room[0].upper()}{room[1:]}\n", "| sent | status | came back |", "| --- | --- | --- |"]
            for case, answer in found:
                if not kept(case, answer, plain):
                    print("--", case, answer.status, answer.text[:300], betrayed(answer, plain), lacking(answer))
                lines.append(f"| `{cell(case)}` | {answer.status} | {told(answer, closed if case.token else plain)} |")
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def cell(case: Case) -> str:
    """A request in a cell of a table."""
    return printable(str(case.sent))


def printable(text: str) -> str:
    """Text between backticks in a table: nothing in it ends those, the cell or the line."""
    return re.sub(r"[^ -{}~…–×]", lambda found: f"\\x{ord(found[0]):02x}", text).replace("`", "'")


if __name__ == "__main__":
    main()
