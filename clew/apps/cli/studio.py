"""clew studio: look into a folder of results in the browser, and run models from there."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from clew.apps.cli._terminal import Flag, Several, aside, say

AUTO = "auto"
"""The token that stands for one that is made."""
MISSING = "the studio needs {}: pip install 'clew[studio]'"


def studio(
    folder: Path = Path(),
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    model: Annotated[tuple[str, ...], Several] = (),
    hub: Flag = False,
    minutes: float = 120.0,
    gigabytes: float = 0.0,
    open: Flag = False,
) -> None:
    """Serve a folder of circuits, reports, edits and indexes to the browser on this machine; Ctrl-C ends it.

    Parameters
    ----------
    folder
        What is shown, and where results go; nothing outside it is read.
    host
        Where to listen. Another address than this machine's own needs a token, which goes over the network in the open:
        a tunnel is safer.
    port
        Where to listen; 0 for any that is free.
    token
        What who asks must know: 16 characters or more, or `auto` for one that is made.
    model
        Models that may be opened beside the bundled ones and those in the folder: folders elsewhere, or hub ids.
    hub
        Let any hub id be opened.
    minutes
        How long a run may take.
    gigabytes
        How much memory the studio may hold before a run is stopped; seven eighths of the machine's by default.
    open
        Open it in the browser.
    """
    try:
        import uvicorn

        from clew.apps.studio.app import app_of
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn", "starlette", "pydantic"):
            raise
        raise ImportError(MISSING.format(error.name)) from error
    from dataclasses import replace

    from clew.apps._desk.desk import USUAL, Desk

    if not folder.is_dir():
        raise ValueError(f"there is no folder {str(folder)!r} to show (here is {str(Path.cwd())!r})")
    secret = secrets.token_urlsafe(24) if token == AUTO else token
    desk = Desk.at(folder, models=model, hub=hub, limits=replace(USUAL, minutes=minutes, gigabytes=gigabytes))
    listening = _bound(host, port)
    at = listening.getsockname()[1]
    app = app_of(desk, host=host, port=at, token=secret)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{at}/" + (f"?token={secret}" if secret else "")
    how: Any = {"log_level": "warning", "access_log": False, "server_header": False, "timeout_graceful_shutdown": 1}
    server = uvicorn.Server(uvicorn.Config(app, **how))
    say(f"clew studio of {desk.folder.root} at {address}", {}, False)
    sys.stdout.flush()
    aside("Ctrl-C ends it")
    if open:
        threading.Timer(0.3, webbrowser.open, [address]).start()
    _end_streams(server, desk)
    with suppress(KeyboardInterrupt):  # which uvicorn sends on when it has ended
        server.run(sockets=[listening])
    desk.close(0.3)
    _leave()


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises: ValueError where another program does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tcp = socket.IPPROTO_TCP  # said, because small answers are then sent at once
    listening = socket.socket(family, socket.SOCK_STREAM, tcp)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        why = error.strerror or error
        raise ValueError(f"cannot listen at {host}, port {port} ({why}); --port 0 takes one that is free") from error
    return listening


def _end_streams(server: Any, desk: Any) -> None:
    """At an interrupt let streams of events end first, for which the server would wait."""
    ends = server.handle_exit

    def interrupted(*which: Any) -> None:
        desk.runs.closed = True
        ends(*which)

    server.handle_exit = interrupted


def _leave() -> None:
    """End now: a model may still be at work in another thread, and to take it apart takes seconds. Files are written whole
    or not at all, so nothing is lost."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
