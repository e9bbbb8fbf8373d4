"""Long work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from clew.apps._desk.answers import RunShown
from clew.apps._desk.asked import RunAsked
from clew.apps._desk.desk import Desk
from clew.apps.studio.routes._desk import REFUSALS, TheDesk, written

router = APIRouter(prefix="/api", responses=REFUSALS)
EVENTS = "text/event-stream"
EVERY, ALIVE = 0.2, 15.0
"""Seconds between two looks for changes, and between two signs of life."""


@router.post("/runs")
def start(desk: TheDesk, asked: RunAsked) -> RunShown:
    """Begin long work; 429 where many runs wait already."""
    return desk.runs.start(asked)


@router.get("/runs", response_model=list[RunShown])
def runs(desk: TheDesk) -> Any:
    """All runs of the folder, the latest first."""
    return written(desk.runs.every())


@router.get(
    "/runs/events", response_class=StreamingResponse, responses={200: {"model": RunShown, "content": {EVENTS: {}}}}
)
async def events(desk: TheDesk, request: Request) -> StreamingResponse:
    """Server-sent events: every run as it is now, then each one that changes; `gone` with its id where one is taken off."""
    return StreamingResponse(_events(desk, request), media_type=EVENTS, headers={"Cache-Control": "no-store"})


@router.get("/runs/{id}")
def run(desk: TheDesk, id: str) -> RunShown:
    """One run."""
    return desk.runs.get(id)


@router.delete("/runs/{id}")
def cancel(desk: TheDesk, id: str) -> RunShown:
    """End a run at its next step; one that is over is taken off the list."""
    return desk.runs.cancel(id)


@router.post("/runs/{id}/resume")
def resume(desk: TheDesk, id: str) -> RunShown:
    """Take up a run that was stopped: an index and explanations go on where they were, all else begins anew."""
    return desk.runs.resume(id)


async def _events(desk: Desk, request: Request) -> AsyncIterator[str]:
    known, version, quiet = dict[str, RunShown](), -1, 0.0
    yield "retry: 1000\n\n"
    while not desk.runs.closed and not await request.is_disconnected():
        if desk.runs.version != version:
            version, quiet = desk.runs.version, 0.0
            now = {one.id: one for one in desk.runs.every()}
            for one in now.values():
                if known.get(one.id) != one:
                    yield f"event: run\ndata: {json.dumps(asdict(one))}\n\n"
            for id in known.keys() - now.keys():
                yield f"event: gone\ndata: {json.dumps(id)}\n\n"
            known = now
        elif quiet >= ALIVE:
            quiet = 0.0
            yield ": alive\n\n"
        await asyncio.sleep(EVERY)
        quiet += EVERY
