"""A client of the SDK, by tools alone: it finds, verifies, names and edits; what it gets wrong it is told."""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from clew.apps.agent.server import REPLACES, WRITES, server_of
from clew.circuits.circuit import Circuit
from clew.stack import Stack

VIEW = {"model": "tiny", "through": ["d.safetensors"]}
ASKED = {"view": VIEW, "behaviour": "task.jsonl", "all_pairs": True}


def text_of(made: Any) -> str:
    return made.content[0].text


class Caller:
    """A client whose every answer is checked: against the schema of its tool, and that each number has its floor."""

    def __init__(self, client: Client, tools: dict[str, Any]) -> None:
        self.client, self.tools = client, tools

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        made = await self.client.call_tool(tool, arguments)
        assert not made.is_error, text_of(made)
        value = made.structured_content
        jsonschema.validate(value, self.tools[tool].output_schema)
        check(value)
        return value

    async def refused(self, tool: str, **arguments: Any) -> str:
        """The sentence with which a call is refused."""
        made = await self.client.call_tool(tool, arguments)
        assert made.is_error, made.structured_content
        return text_of(made)

    async def done(self, value: dict[str, Any]) -> dict[str, Any]:
        """What came of a run."""
        while not value["done"]:
            value = await self("run", id=value["run"]["id"], wait=30)
        assert value["run"]["state"] == "done", value["run"]["error"]
        return value


def check(value: dict[str, Any]) -> None:
    """Evidence, split and command; and for each number a floor, or why it has none."""
    grounds = value["grounds"]
    assert grounds["evidence_is"] and grounds["split"] and grounds["command"].startswith("clew ")
    for number in value["numbers"]:
        assert number["floor_is"], number
        assert (number["floor"] is None) == (
            not number["floor_is"].startswith(("random", "shuffled", "the mean of"))
        ), number


def talked(server: Any, session: Callable[[Caller], Any], mode: str = "auto") -> None:
    async def talk() -> None:
        async with Client(server, mode=mode) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            await session(Caller(client, tools))

    anyio.run(talk)


@pytest.mark.slow
def test_an_agent_finds_verifies_names_and_edits_by_tools_alone(desk, root):
    async def session(call: Caller) -> None:
        there = await call("capabilities")
        assert "integrated_gradients" in {one["name"] for one in there["about"]["methods"]}
        assert {"tiny", "task.jsonl", "d.safetensors"} <= {one["path"] for one in (await call("items"))["items"]}

        found = await call.done(await call("find", **ASKED, top=8, name="c"))
        assert found["grounds"]["split"].startswith("train") and len(found["grounds"]["evidence"]) == 16
        strongest = next(n["address"] for n in found["result"]["nodes"] if "error" not in n["address"])

        judged = await call.done(
            await call("verify", **ASKED, circuit="c.json", options={"draws": 2, "depth_matched": False})
        )
        assert judged["grounds"]["split"].startswith("test")
        assert judged["grounds"]["evidence"] != found["grounds"]["evidence"]
        faithful = next(n for n in judged["numbers"] if n["name"].startswith("faithfulness,"))
        assert faithful["floor"] is not None and faithful["floor_is"].startswith("random")
        assert "clew verify" in judged["grounds"]["command"]

        index = await call.done(await call("index", view=VIEW, texts=["text.txt"], name="fires"))
        unit = strongest.partition("@")[0]
        await call.done(await call("explain", index=index["run"]["result"], units=[unit]))
        assert (await call("unit", view=VIEW, address=unit))["unit"]["address"] == unit
        await call("fires", view=VIEW, address=unit, text="the nurse said")
        await call("prompt", view=VIEW, text="the nurse said that")
        await call("attention", view=VIEW, text="the nurse said", layer=0, head=0)

        own = {"path": "c.json", "address": unit, "text": "people"}
        assert not (await call("label", **own))["applied"] and not Circuit.load(root / "c.json").labels
        await call("label", **own, apply=True)
        assert Circuit.load(root / "c.json").labels.name(unit) == "people"

        off = {"view": VIEW, "edits": [{"kind": "zero", "address": unit}], "prompt": "the nurse said that"}
        tried = await call("change", **off, behaviour="task.jsonl", tokens=3)
        after = next(n for n in tried["numbers"] if n["name"].endswith(" after") and n["floor"] is not None)
        assert "random units" in after["floor_is"] and tried["grounds"]["split"].startswith("test")
        dry = await call("edit", **off, name="off")
        assert not dry["applied"] and not (root / "off.safetensors").exists()
        kept = await call("edit", **off, name="off", apply=True)
        assert len(Stack.load(root / kept["saved"])) == 1
        planned = await call("compute_edit", view=VIEW, by="mean_difference", behaviour="task.jsonl", all_pairs=True)
        assert not planned["applied"] and "clew edit" in planned["grounds"]["command"]

        again = await call.done(await call("replicate", path="c.json"))
        assert again["result"]["kind"] == "replication" and again["result"]["lines"] == ["8 same"]
        assert json.loads((root / again["run"]["result"]).read_text())["agrees"]

    talked(server_of(desk), session)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_both_revisions_of_the_protocol_see_the_same_tools_in_the_same_order(desk, mode):
    async def session(call: Caller) -> None:
        names = list(call.tools)
        assert names == sorted(names) and names == [t.name for t in (await call.client.list_tools()).tools]
        assert {name for name, one in call.tools.items() if not one.annotations.read_only_hint} == WRITES
        assert {name for name, one in call.tools.items() if one.annotations.destructive_hint} == REPLACES
        for one in call.tools.values():
            assert one.description and one.output_schema["type"] == one.input_schema["type"] == "object"
        await call("items")

    talked(server_of(desk), session, mode)


def test_what_is_wrong_is_a_sentence_that_says_what_to_do(desk):
    async def session(call: Caller) -> None:
        assert "there is no such argument (given: 1); it takes view, behaviour" in await call.refused(
            "find", **ASKED, sise=1
        )
        assert "behaviour: Field required" in await call.refused("find", view=VIEW)
        assert "`clew serve --models NAME` allows" in await call.refused(
            "find", **(ASKED | {"view": {"model": "huge"}})
        )
        assert "has no option 'sise'" in await call.refused("find", **ASKED, options={"sise": 1})
        assert "leads out of the folder" in await call.refused("show", path="../secret.json")
        assert "the tool items lists" in await call.refused("show", path="none.json")
        assert "the tool runs lists them" in await call.refused("run", id="none")
        assert "give how many seconds" in await call.refused("find", **ASKED, wait=1000)
        assert "needs a value" in await call.refused(
            "change", view=VIEW, edits=[{"kind": "scale", "address": "resid.1/0"}], prompt="the nurse"
        )

    talked(server_of(desk), session)


def test_a_run_is_cancelled_and_not_twice(desk):
    async def session(call: Caller) -> None:
        begun = await call("find", **ASKED, options={"steps": 4000}, wait=0)
        assert not begun["done"] and begun["next"]
        over = await call("cancel", id=begun["run"]["id"])
        assert over["run"]["state"] == "cancelled"
        assert "is cancelled already" in await call.refused("cancel", id=begun["run"]["id"])
        assert begun["run"]["id"] in {run["id"] for run in (await call("runs"))["runs"]}

    talked(server_of(desk), session)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_whoever_asks_for_progress_is_told_how_far_the_run_is(desk, mode):
    told: list[tuple[float, float | None, str | None]] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async def session(call: Caller) -> None:
        asked = {**ASKED, "options": {"steps": 20}, "wait": 60}
        answer = await call.client.call_tool("find", asked, progress_callback=heard)
        assert answer.structured_content["done"]
        await call("find", **asked)

    talked(server_of(desk), session, mode)
    far = [progress for progress, _, _ in told]
    assert far == sorted(set(far)) and len(far) > 1, "each time further"
    assert {total for _, total, _ in told} == {1000}
    assert all("integrated gradients on task.jsonl in tiny: " in str(message) for _, _, message in told)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_call_that_is_cancelled_ends_its_wait_and_not_the_run(desk, mode, monkeypatch):
    ended: list[float] = []
    whole = desk.runs.wait

    def wait(version: int, seconds: float) -> int:
        ended.append(time.monotonic())
        return whole(version, seconds)

    monkeypatch.setattr(desk.runs, "wait", wait)

    async def session(call: Caller) -> None:
        with anyio.move_on_after(1.0):
            await call.client.call_tool("find", {**ASKED, "options": {"steps": 10**6}, "wait": 60})
        cancelled = time.monotonic()
        await anyio.sleep(3.0)
        assert ended[-1] - cancelled < 2.0, "nobody waits any more"
        (run,) = (await call("runs"))["runs"]
        assert run["state"] == "running"
        await call("cancel", id=run["id"])

    talked(server_of(desk), session, mode)


def test_what_an_agent_pays_for_the_list_of_tools_is_bounded(desk):
    """And yet each argument is typed and described, and what a schema leaves to another tool's is there."""

    async def session(call: Caller) -> None:
        listed = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in call.tools.values()]
        assert len(json.dumps(listed)) < 45_000
        for one in listed:
            for name, argument in one["inputSchema"]["properties"].items():
                assert argument.keys() & {"type", "$ref"}, (one["name"], name)
        told = {one["name"]: json.dumps(one["outputSchema"]) for one in listed}
        homes = {home for text in told.values() for home in re.findall(r"as `(\w+)` tells it", text)}
        assert homes == {"run", "show"}
        assert '"floor_is"' in told["show"] and '"nodes"' in told["show"] and '"state"' in told["run"]

    talked(server_of(desk), session)


@pytest.mark.slow
def test_over_stdio_nothing_but_the_protocol_is_said_and_the_end_of_input_ends_it(root):
    line = StdioServerParameters(command=sys.executable, args=["-m", "clew.apps.cli", "serve", str(root), "--mcp"])

    async def session(call: Caller) -> None:
        assert (await call("prompt", view=VIEW, text="the nurse said that"))["prompt"]["next"]

    talked(stdio_client(line), session)

    async def ended() -> int:
        process = await anyio.open_process([line.command, *line.args], cwd=Path.cwd())
        with anyio.fail_after(120):
            assert process.stdin is not None
            await process.stdin.aclose()
            return await process.wait()

    assert anyio.run(ended) == 0


def test_a_port_answers_this_machine_alone(desk):
    from starlette.testclient import TestClient

    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    accepts = {"Accept": "application/json, text/event-stream"}
    with TestClient(server_of(desk).streamable_http_app(), base_url="http://127.0.0.1:8765") as client:
        assert client.post("/mcp", json=asked, headers=accepts | {"Host": "evil.example"}).status_code == 421
        assert client.post("/mcp", json=asked, headers=accepts | {"Origin": "http://evil.example"}).status_code == 403
