"""clew serve: the door for agents, the Model Context Protocol over stdio or a port of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from clew.apps.cli._terminal import Flag, Several, aside, say


def serve(
    folder: Path = Path(),
    /,
    *,
    mcp: Flag = False,
    port: int | None = None,
    models: Annotated[tuple[str, ...], Several] = (),
    call: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="", show_default=False)] = (),
) -> None:
    """Serve a folder to agents: tools that find, verify, name and edit, each answer with its evidence and its floors.

    With --mcp over stdin and stdout, as agents start it: {"command": "clew", "args": ["serve", "FOLDER", "--mcp"]}; with
    --port over http://127.0.0.1:PORT/mcp. Nothing outside the folder is read or written.

    Parameters
    ----------
    folder
        What is served; results are written here.
    mcp
        Speak the Model Context Protocol.
    port
        On this port of this machine, in place of stdin and stdout.
    models
        Models that may be opened beside the bundled ones and those in the folder: paths or hub ids.
    call
        Call one tool and print what it answers: its name and its arguments as JSON.
    """
    if mcp == bool(call):
        raise ValueError(
            "say what to do: --mcp serves agents, --call TOOL '{...}' calls one tool and prints its answer"
        )
    if call and len(call) != 2:
        raise ValueError("--call takes a tool's name and its arguments as JSON, as in --call items '{}'")
    try:
        from clew.apps.agent import server
    except ImportError as error:
        raise ImportError(f"clew serve needs the extra agents ({error}); pip install 'clew[agents]'") from error
    from clew.apps._desk.desk import Desk
    from clew.files import parse_json, typed

    desk = Desk.at(folder, models=models)
    if call:
        given = typed(parse_json(call[1], "the arguments"), "the arguments", dict)
        value = server.call(desk, call[0], given)
        say(json.dumps(value, indent=2, ensure_ascii=False), value, False)
        return
    if port is not None:
        aside(f"tools for agents at http://127.0.0.1:{port}/mcp")
    server.serve(desk, port)
