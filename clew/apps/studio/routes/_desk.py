"""The desk that a request is about, and answers that are large enough to be written at once."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from clew.apps._desk.answers import Refusal
from clew.apps._desk.desk import Desk

REFUSALS: Any = {status: {"model": Refusal} for status in (400, 403, 404, 409, 413, 429, 503)}
"""What every route may answer instead."""
FILE: Any = {200: {"content": {"application/octet-stream": {}}}}
"""A file that is downloaded."""


async def _desk(request: Request) -> Desk:
    return request.app.state.desk


TheDesk = Annotated[Desk, Depends(_desk)]


def written(value: Any) -> Response:
    """A frozen value, or a list of them, as JSON; not looked at again, for circuits are of thousands of numbers."""
    return sent(as_json(value))


def as_json(value: Any) -> bytes:
    """A frozen value, or a list of them, in ASCII: a file may hold halves of letters, which UTF-8 cannot."""
    return json.dumps(value, default=vars, allow_nan=False, separators=(",", ":")).encode()


def sent(content: bytes) -> Response:
    """JSON that is written already."""
    return Response(content, media_type="application/json")


def download(content: bytes, name: str) -> Response:
    """A file for the browser to save."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    headers = {"Content-Disposition": f'attachment; filename="{plain}"'}
    return Response(content, media_type="application/octet-stream", headers=headers)
