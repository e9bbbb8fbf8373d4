"""The studio attacked: the table of `attacks.py`, and what takes several steps."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import pytest

from clew.apps._desk.asked import Verb
from clew.apps._desk.folder import tag_of
from clew.apps.studio.openapi import text
from tests.apps.cli.toys import small_circuit
from tests.apps.studio import attacks
from tests.apps.studio.attacks import Case
from tests.apps.studio.traps import TOKEN, Answer, Request, Studio, get, of, post, prepare, studio

ROUTES = {(method.upper(), path) for path, found in json.loads(text())["paths"].items() for method in found}
NAMES = {"labels": {"resid.0/1": "a name"}}


def held(place: Path) -> dict[str, bytes]:
    """What lies in a folder."""
    return {str(path): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    prepare(place / "folder", place / "outside")
    return place


@pytest.fixture(scope="module")
def outside(place: Path) -> dict[str, bytes]:
    """What lay outside before anything was asked."""
    return held(place / "outside")


@pytest.fixture(scope="module")
def plain(place: Path, outside: object) -> Iterator[Studio]:
    with studio(place) as at:
        yield at


@pytest.fixture(scope="module")
def closed(place: Path) -> Iterator[Studio]:
    with studio(place, token=TOKEN) as at:
        yield at


@pytest.mark.parametrize("case", attacks.cases(), ids=lambda case: case.room)
def test_an_attack_gets_what_the_table_says(case: Case, plain: Studio, closed: Studio):
    answer = attacks.sent(case, closed if case.token else plain)
    assert answer.status == case.status, f"{case}: {answer.text[:300]}"
    assert case.says in answer.text
    assert not attacks.betrayed(answer, plain) and not plain.ran()
    assert case.bare or not attacks.lacking(answer)


def test_nothing_outside_was_written(plain: Studio, outside: dict[str, bytes]):
    assert held(plain.outside) == outside
    assert plain.ask(get("/")).status == 200, "the page opens after all of it"


def test_the_table_of_results_holds_every_case():
    lines = attacks.RESULTS.read_text(encoding="utf-8").splitlines()
    said = [line.rpartition("` | ")[0].removeprefix("| `") for line in lines if line.startswith("| `")]
    assert said == [attacks.cell(case) for case in attacks.cases()]
    assert len(said) >= 60


@pytest.mark.parametrize("route", sorted(ROUTES), ids=" ".join)
def test_every_route_is_attacked(route: tuple[str, str]):
    method, path = route
    target = re.compile(re.sub(r"\{\w+\}", "[^/?]+", path) + r"(\?.*)?", re.DOTALL)
    refused = [case for case in attacks.cases() if case.status >= 400]
    assert any(case.sent.method == method and target.fullmatch(case.sent.target) for case in refused)


@pytest.mark.parametrize("verb", get_args(Verb))
def test_every_kind_of_run_is_attacked(verb: str):
    said = json.dumps({"verb": verb})[1:-1].encode()
    assert any(said in case.sent.body and case.status >= 400 for case in attacks.cases())


def test_a_behaviour_whose_other_half_lies_outside_is_not_listed(plain: Studio):
    paths = {item["path"] for item in json.loads(plain.ask(get("/api/items")).body)}
    assert "halves/a_train.json" not in paths


def test_a_malformed_file_is_listed_with_its_problem(plain: Studio):
    problems = {item["path"]: item["problem"] for item in json.loads(plain.ask(get("/api/items")).body)}
    for name in ("half.json", "deep.json", "nan.json", "report.json", "labels.json", "edits.safetensors", "latin.json"):
        assert name in problems[name], problems[name]
    assert not {"link.json", "passwd.json", "zero.json", "pipe.json", "linked", "index", "weights"} & problems.keys()


def test_a_downloaded_file_has_a_harmless_name(plain: Studio):
    sent = next(case.sent for case in attacks.cases() if "export" in case.sent.target and case.status == 200)
    said = plain.ask(sent).headers
    assert re.fullmatch(r'attachment; filename="[\w.-]+"', said["content-disposition"])
    assert said["content-type"] == "application/octet-stream"


def test_a_token_in_the_address_becomes_a_cookie_that_no_script_reads(closed: Studio):
    said = closed.ask(get(f"/?token={TOKEN}")).headers
    assert said["location"] == "/" and {"HttpOnly", "SameSite=Strict"} <= set(said["set-cookie"].split("; "))


def test_a_link_that_is_swapped_in_later_is_not_followed(plain: Studio):
    path = plain.root / "swapped.json"
    small_circuit().save(path)
    tag = json.loads(plain.ask(of("swapped.json")).body)["tag"]
    path.unlink()
    path.symlink_to(plain.outside / "secret.json")
    before = (plain.outside / "secret.json").read_bytes()
    for sent in (of("swapped.json"), post("/api/circuit?path=swapped.json", {"tag": tag, **NAMES}, "PUT")):
        answer = plain.ask(sent)
        assert answer.status == 403 and "leads out of the folder" in answer.said
    assert "swapped.json" not in plain.ask(get("/api/items")).text
    assert (plain.outside / "secret.json").read_bytes() == before


def test_runs_are_not_kept_behind_a_link(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "outside").mkdir()
    small_circuit().save(tmp_path / "folder" / "circuit.json")
    (tmp_path / "folder" / ".clew").symlink_to(tmp_path / "outside")
    with studio(tmp_path) as at:
        run = json.loads(at.ask(post("/api/runs", {"verb": "group", "args": {"circuit": "circuit.json"}})).body)
        until(at, run["id"])
    assert not held(tmp_path / "outside")


def until(at: Studio, id: str, seconds: float = 30.0) -> dict[str, object]:
    """A run that is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run = json.loads(at.ask(get(f"/api/runs/{id}")).body)
        if run["state"] not in ("waiting", "running"):
            return run
        time.sleep(0.05)
    raise AssertionError(f"{id} goes on and on: {run}")


def at_once(at: Studio, *sent: Request) -> list[Answer]:
    """The answers to requests that come together."""
    with ThreadPoolExecutor(len(sent)) as threads:
        return list(threads.map(at.ask, sent))


def test_of_two_writers_at_once_one_is_told(plain: Studio):
    path = plain.root / "both.json"
    small_circuit().save(path)
    asked = {"tag": tag_of(path)}
    writers = [
        post("/api/circuit?path=both.json", {**asked, "labels": {"resid.0/1": f"by {i}"}}, "PUT") for i in range(4)
    ]
    assert sorted(answer.status for answer in at_once(plain, *writers)) == [200, 409, 409, 409]
    assert re.search(r'"by \d"', plain.ask(of("both.json")).text)


def test_of_two_who_save_under_one_name_one_is_told(plain: Studio):
    edits = {"view": plain.view(), "edits": [{"kind": "zero", "address": "neuron.0/1"}], "name": "same"}
    answers = at_once(plain, *[post("/api/change/save", edits)] * 4)
    assert sorted(answer.status for answer in answers) == [200, 400, 400, 400]


def test_another_tool_s_file_stays_as_it_is(plain: Studio):
    graph = {"metadata": {"slug": "g", "scan": "m", "prompt_tokens": ["a"], "prompt": "a"}, "nodes": [], "links": []}
    for name, value in {"g.json": graph, "mine.json": {"my": "notes"}}.items():
        path = plain.root / name
        path.write_text(json.dumps(value))
        answer = plain.ask(post(f"/api/circuit?path={name}", {"tag": tag_of(path), **NAMES}, "PUT"))
        assert answer.status == 400 and json.loads(path.read_text()) == value


def test_who_comes_when_many_wait_is_sent_away_and_nobody_hangs(place: Path):
    with studio(place, waiting=2) as at:
        id = at.view()
        asked = post("/api/prompt", {"view": id, "text": "the king"})
        edits = [{"kind": "zero", "address": "neuron.0/1"}]
        other = post("/api/change", {"view": id, "edits": edits, "prompt": "the king", "tokens": 2})
        with ThreadPoolExecutor(6) as threads:
            with at.desk.views.get(id).gate.turn():
                answers = [threads.submit(at.ask, one) for one in (asked, other) * 3]
                wait_for(lambda: sum(answer.done() for answer in answers) == 4)
                assert at.ask(get("/api/items")).status == 200, "reading goes on meanwhile"
            statuses = sorted(answer.result().status for answer in answers)
        assert statuses == [200, 200, 429, 429, 429, 429]
        said = next(answer.result().said for answer in answers if answer.result().status == 429)
        assert "ask again in a moment" in said
        assert at.ask(asked).status == 200


def wait_for(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    assert holds()


def test_more_runs_than_may_wait_are_refused(place: Path):
    with studio(place, runs=0) as at:
        answer = at.ask(post("/api/runs", {"verb": "group", "args": {"circuit": "circuit.json"}}))
    assert answer.status == 429 and "cancel one" in answer.said


@pytest.mark.parametrize(("limits", "why"), [({"minutes": 0.0}, "minutes"), ({"gigabytes": 0.001}, "memory")])
def test_a_run_beyond_its_budget_is_stopped(place: Path, limits: Any, why: str):
    args = {"model": "planted/ioi", "behaviour": "planted/ioi", "by": "attribution_patching", "examples": 4}
    with studio(place, **limits) as at:
        run = until(at, json.loads(at.ask(post("/api/runs", {"verb": "find", "args": args})).body)["id"])
    assert run["state"] == "stopped" and why in str(run["error"])


def test_a_reader_who_goes_away_leaves_the_model_to_others(place: Path):
    with studio(place) as at:
        id = at.view()
        edits = [{"kind": "zero", "address": "neuron.0/1"}]
        asked = post("/api/change", {"view": id, "edits": edits, "prompt": "the king", "tokens": 200})
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", at.port)) as line:
                line.sendall(asked.written(at.port))
                line.recv(64)
        wait_for(lambda: at.desk.views.get(id).gate.waiting == 0)
        assert at.ask(post("/api/prompt", {"view": id, "text": "the king"})).status == 200


def test_what_goes_wrong_while_a_change_streams_is_its_last_line(plain: Studio, monkeypatch: pytest.MonkeyPatch):
    from clew.apps._desk import change

    def fails(*_: object) -> None:
        raise RuntimeError("out of everything")

    monkeypatch.setattr(change._Stream, "put", fails)
    edits = [{"kind": "zero", "address": "neuron.0/1"}]
    answer = plain.ask(post("/api/change", {"view": plain.view(), "edits": edits, "prompt": "the king", "tokens": 1}))
    last = json.loads(answer.text.splitlines()[-1])
    assert last["type"] == "error" and last["error"]
    assert plain.desk.views.get(plain.view()).gate.waiting == 0
