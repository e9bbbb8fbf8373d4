"""The desk that a request is about, and answers that are large enough to be written at once."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from clew.apps._desk.answers import Refusal
from clew.apps._desk.desk import Desk

REFUSALS: Any = {status: {"model": Refusal} for status in (400, 403, 404, 409, 413, 429, 503)}
"""What every route may answer instead."""
FILE: Any = {200: {"content": {"application/octet-stream": {}}}}
"""A file that is downloaded."""


def _desk(request: Request) -> Desk:
    return request.app.state.desk


TheDesk = Annotated[Desk, Depends(_desk)]


def written(value: Any) -> Response:
    """A frozen value as JSON, without being looked at again: circuits are of thousands of numbers."""
    text = json.dumps(asdict(value), allow_nan=False, separators=(",", ":"))
    return Response(text, media_type="application/json")


def download(content: bytes, name: str) -> Response:
    """A file for the browser to save."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    headers = {"Content-Disposition": f'attachment; filename="{plain}"'}
    return Response(content, media_type="application/octet-stream", headers=headers)
