"""Arguments that several tools take, and what an answer that no run gave says of itself."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any

from pydantic import Field

from clew.apps._desk.asked import EditAsked, ViewAsked
from clew.apps.agent._answers import Grounds
from clew.apps.agent._shown import NO_SPLIT
from clew.evidence import digest

View = Annotated[
    ViewAsked,
    Field(
        description="As {model: smollm2-135m, through: [smollm2-135m]}; through names packs or paths of dictionaries, layers "
        "those at some layers, neurons sites."
    ),
]
Wait = Annotated[float, Field(description="Seconds to wait for the result; then `run` with the id gives it.")]
Place = Annotated[str, Field(description="A path in the folder, as `items` lists them.")]
Options = Annotated[dict[str, Any] | None, Field(description="Of what `by` names, by their names.")]
Name = Annotated[str | None, Field(description="What the result's file is called, without its ending.")]
Address = Annotated[str, Field(description="A unit, such as resid.3/17.")]
Examples = Annotated[int | None, Field(ge=1, description="Prompt pairs at most; the same for find and verify.")]
AllPairs = Annotated[bool, Field(description="Also the pairs that the model gets wrong.")]
Edits = Annotated[
    list[EditAsked],
    Field(min_length=1, description="Made one after the other, as [{kind: zero, address: resid.3/17}]."),
]
Apply = Annotated[bool, Field(description="Write the file. Without it this is a dry run.")]


def repeated(tool: str, **given: Any) -> str:
    """The command line that calls a tool again, in the folder."""
    plain = {name: _plain(value) for name, value in given.items() if value is not None}
    return shlex.join(["clew", "serve", ".", "--call", tool, json.dumps(plain, ensure_ascii=False)])


def _plain(value: Any) -> Any:
    """A value as it is typed: what stands at its default is left out."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {name: one for name, one in asdict(value).items() if one not in (None, [], False)}
    return value


def looked(tool: Callable[..., Any], said: str, of: str = "", **given: Any) -> Grounds:
    """What an answer rests on that looked and measured nothing. Args: of: the text that was looked at."""
    return Grounds(digest(of) if of else "", said, NO_SPLIT, repeated(tool.__name__, **given))


def args(**given: Any) -> dict[str, Any]:
    """Arguments of a run: what was left out is not given."""
    return {name: value for name, value in given.items() if value not in (None, [], {}, False, "")}
