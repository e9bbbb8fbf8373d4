"""Functions as tools: arguments checked strictly, errors as sentences that name tools, hints of what is changed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial, wraps
from typing import Any, TypeVar

from anyio import to_thread
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations
from pydantic import ConfigDict, ValidationError

from clew.apps.agent._schemas import of_answer, of_arguments
from clew.apps.agent._waiting import WAITING, Waiting

T = TypeVar("T")
REFUSED = (ValueError, KeyError, OSError, ImportError, MemoryError)
"""What is told to whoever called; whatever else is raised is a fault of ours, and the log holds it."""
ASKED_BY = {
    "GET /api/items lists what is there": "the tool items lists what is there",
    "GET /api/runs lists them": "the tool runs lists them",
    "GET /api/about says what each verb takes": "the tool capabilities says what each verb takes",
    "to this studio": "here",
    "`clew studio --model NAME` allows, or any of the hub with --hub": "`clew serve --models NAME` allows",
    "POST /api/views opens one and answers with its id": "give view, as in {model: smollm2-135m}",
}
"""Next steps as the desk says them, and as a tool does."""


class Strict(Tool):
    """A tool that refuses what it does not know, in a sentence."""

    async def run(self, arguments: dict[str, Any], context: Any, convert_result: bool = False) -> Any:
        try:
            self.fn_metadata.validate_arguments(arguments)
        except ValidationError as error:
            raise ToolError(_wrong(error, list(self.parameters["properties"]))) from error
        waiting = Waiting(context if context.protocol_version is not None else None)
        WAITING.set(waiting)
        try:
            return await super().run(arguments, context, convert_result)
        finally:
            waiting.gone.set()


def tool(function: Callable[..., Any], root: str, *, changes: bool = False, undoable: bool = True) -> Tool:
    """A function as a tool under its own name.

    Args: root: the folder, which is not told. changes: whether it writes a file. undoable: whether what it writes over is
        nothing that was there.
    """
    hints = ToolAnnotations(
        read_only_hint=None if changes else True,
        destructive_hint=not undoable if changes else None,
        open_world_hint=False,
    )
    said = inspect.cleandoc(function.__doc__ or "")
    made = Strict.from_function(_refusing(function, root), description=said, annotations=hints)
    model = made.fn_metadata.arg_model
    strict = type(model.__name__, (model,), {"model_config": ConfigDict(extra="forbid", arbitrary_types_allowed=True)})
    made.fn_metadata.arg_model = strict
    made.parameters = of_arguments(strict.model_json_schema(by_alias=True))
    made.fn_metadata.output_schema = of_answer(made.fn_metadata.output_schema or {}, made.name)
    return made


def _refusing(function: Callable[..., T], root: str) -> Callable[..., Awaitable[T]]:
    """The function in a thread of its own, which a client that is gone does not wait for; what it refuses the model that
    called can read and act on."""

    @wraps(function)
    async def called(**given: Any) -> T:
        try:
            return await to_thread.run_sync(partial(function, **given), abandon_on_cancel=True)
        except REFUSED as error:
            raise ToolError(sentence(error, root)) from error

    return called


def sentence(error: BaseException, root: str) -> str:
    """An error for a model: paths as in the folder, next steps as tools."""
    said = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    said = said.replace(f"{root}/", "").replace(root, "the folder") or type(error).__name__
    for route, called in ASKED_BY.items():
        said = said.replace(route, called)
    return re.sub(r"\bargs\.(\w)", r"\1", said)


def _wrong(error: ValidationError, known: Sequence[str]) -> str:
    """What of the arguments is not as it should be."""
    first, more = error.errors()[0], error.error_count() - 1
    where = ".".join(str(part) for part in first["loc"]) or "the arguments"
    given = "" if first["type"] == "missing" else f" (given: {first['input']!r:.60})"
    said = "there is no such argument" if first["type"] == "extra_forbidden" else first["msg"]
    others = f"; and {more} more" if more else ""
    takes = f"; it takes {', '.join(known)}" if known else "; it takes none"
    return f"{where}: {said}{given}{others}{takes}"
