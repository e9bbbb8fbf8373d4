"""The server: the tools over a desk, spoken over stdio or a port of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import getmembers, ismethod
from pathlib import Path
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool

from clew.apps._desk.desk import Desk
from clew.apps.agent._changing import Changing
from clew.apps.agent._looking import PROTOCOL, Looking
from clew.apps.agent._tool import tool
from clew.apps.agent._working import Working
from clew.version import VERSION

WRITES = {
    "find",
    "verify",
    "index",
    "explain",
    "group",
    "replicate",
    "resume",
    "edit",
    "compute_edit",
    "label",
    "cancel",
}
"""Tools that write into the folder."""
REPLACES = {"label", "cancel"}
"""Of those the ones that change what is there; the others give their file a name that nothing has yet."""
INSTRUCTIONS = (
    "clew finds, verifies, names and edits what causes a behaviour in a language model. Call capabilities first. Long "
    "work answers with a run: ask `run` with its id, or `cancel` it; to cancel the call ends the wait and not the run. Every "
    "answer carries the evidence it rests on, the split, for each number its interval and its floor or why it has none, and "
    "the command that repeats it. "
)


def server_of(served: Desk | Path) -> MCPServer[Any]:
    """The tools over a folder, or a desk that is open over one, in the order of their names."""
    desk = served if isinstance(served, Desk) else Desk.at(served)
    return MCPServer(
        "clew",
        title="clew",
        version=VERSION,
        instructions=INSTRUCTIONS + " ".join(PROTOCOL),
        tools=[*_tools(desk)],
        log_level="WARNING",
    )


def _tools(desk: Desk) -> Iterator[Tool]:
    groups = (Changing(desk), Looking(desk), Working(desk))
    methods = [method for group in groups for method in getmembers(group, ismethod) if not method[0].startswith("_")]
    for name, method in sorted(methods):
        yield tool(method, str(desk.folder.root), changes=name in WRITES, undoable=name not in REPLACES)


def call(desk: Desk, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What one tool answers, as a client would read it. Raises: ValueError with the sentence of a refusal."""
    try:
        answer: Any = anyio.run(server_of(desk).call_tool, name, arguments)
    except ToolError as error:
        raise ValueError(str(error)) from error
    return answer.structured_content


def serve(desk: Desk, port: int | None = None) -> None:
    """Answer until the input ends; over a port of this machine, until it is interrupted."""
    server = server_of(desk)
    try:
        if port is None:
            server.run("stdio")
        else:
            server.run("streamable-http", host="127.0.0.1", port=port)
    finally:
        desk.close()
