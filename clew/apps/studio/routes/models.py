"""Models that are open: what their units do, what they make of a prompt, what a change does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from clew.apps._desk import attention as _attention
from clew.apps._desk import change as _change
from clew.apps._desk import fires as _fires
from clew.apps._desk import prompt as _prompt
from clew.apps._desk.answers import (
    AttentionShown,
    ChangeLine,
    Firings,
    Item,
    LabelShown,
    PromptShown,
    UnitShown,
    ViewShown,
)
from clew.apps._desk.asked import AttentionAsked, ChangeAsked, FiresAsked, LabelAsked, PromptAsked, SaveAsked, ViewAsked
from clew.apps.studio.routes._desk import REFUSALS, TheDesk, written

router = APIRouter(prefix="/api", responses=REFUSALS)
NDJSON = "application/x-ndjson"


@router.post("/views")
def open_view(desk: TheDesk, asked: ViewAsked) -> ViewShown:
    """Open a model in some units; the same question gives the same view again. The first time takes seconds."""
    return desk.views.open(asked).shown()


@router.get("/views")
def views(desk: TheDesk) -> list[ViewShown]:
    """What is open."""
    return [view.shown() for view in desk.views.every()]


@router.delete("/views/{id}")
def close_view(desk: TheDesk, id: str) -> list[ViewShown]:
    """Close a view; what is open then."""
    desk.views.close(id)
    return views(desk)


@router.get("/unit", response_model=UnitShown)
def unit(desk: TheDesk, view: str, address: str, index: str | None = None) -> Any:
    """What is known of a unit; from the index that is named, or the first of the folder that is of its dictionary."""
    return written(desk.units.unit(desk.views.get(view), address, index))


@router.put("/unit/label")
def label(desk: TheDesk, asked: LabelAsked) -> LabelShown:
    """Write down what a person says of a unit, in a circuit or in an index."""
    return desk.units.label(asked)


@router.post("/fires", response_model=Firings)
def fires(desk: TheDesk, asked: FiresAsked) -> Any:
    """Where a unit fires in a text."""
    return written(_fires.fires(desk.views.get(asked.view), asked))


@router.post("/prompt", response_model=PromptShown)
def prompt(desk: TheDesk, asked: PromptAsked) -> Any:
    """What comes after a prompt, which units fire where, and what the logit lens reads."""
    return written(_prompt.prompt(desk.views.get(asked.view), asked))


@router.post("/attention", response_model=AttentionShown)
def attention(desk: TheDesk, asked: AttentionAsked) -> Any:
    """The pattern of a head on a text."""
    return written(_attention.attention(desk.views.get(asked.view), asked))


@router.post(
    "/change", response_class=StreamingResponse, responses={200: {"model": ChangeLine, "content": {NDJSON: {}}}}
)
def change(desk: TheDesk, asked: ChangeAsked) -> StreamingResponse:
    """What edits do to a continuation, and to the metric of a behaviour: lines of JSON as they come."""
    lines = _change.change(desk.views.get(asked.view), desk.folder, asked, desk.limits.tokens)
    return StreamingResponse(_as_text(lines), media_type=NDJSON)


@router.post("/change/save")
def save_change(desk: TheDesk, asked: SaveAsked) -> Item:
    """Save edits together as a file of the folder."""
    return _change.save(desk.views.get(asked.view), desk.folder, desk.items, asked)


def _as_text(lines: Iterator[Any]) -> Iterator[str]:
    for line in lines:
        yield json.dumps(asdict(line), allow_nan=False) + "\n"
