"""The application: routes over a desk, the page, and refusals as sentences."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Thread
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from clew.apps._desk.about import about
from clew.apps._desk.desk import Desk
from clew.apps._desk.refusals import Changed, NotAllowed, NotHere, TooBusy, TooLarge
from clew.apps._front import built
from clew.apps.studio.page import SHELL
from clew.apps.studio.routes import folder, models, runs
from clew.apps.studio.safe import Guard
from clew.version import VERSION

log = logging.getLogger("clew")
STATUS: dict[type[Exception], int] = {
    NotHere: 404,
    NotAllowed: 403,
    Changed: 409,
    TooLarge: 413,
    TooBusy: 429,
    FileNotFoundError: 404,
    ValueError: 400,
    KeyError: 400,
    TypeError: 400,
    OSError: 503,
    ImportError: 503,
    MemoryError: 503,
}
"""How each kind of error is answered."""
BUILT = {"studio.js": "text/javascript; charset=utf-8", "studio.css": "text/css; charset=utf-8"}


def app_of(desk: Desk, *, host: str = "127.0.0.1", port: int = 0, token: str | None = None) -> Guard:
    """The studio over a desk, guarded. Args: as of `Guard`."""
    app = bare_app()
    app.state.desk = desk
    return Guard(app, host, port, token, desk.limits.body)


def bare_app() -> FastAPI:
    """The routes, without a desk and unguarded; what its OpenAPI file is made of."""
    app = FastAPI(
        title="clew studio",
        version=VERSION,
        docs_url=None,  # they would come from other people's servers
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=_lifespan,
        generate_unique_id_function=_named,
    )
    for part in (folder, models, runs):
        app.include_router(part.router)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in STATUS:
        app.add_exception_handler(kind, _refused)
    app.add_exception_handler(Exception, _broken)
    app.add_api_route("/", _page, include_in_schema=False)
    app.add_api_route("/{name}", _file, include_in_schema=False)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    desk: Desk | None = getattr(app.state, "desk", None)
    if desk is not None:
        Thread(target=_warmed, args=(desk,), daemon=True).start()
    yield
    if desk is not None:
        desk.close()


def _warmed(desk: Desk) -> None:
    """Have what the first page asks for: every method, measure and reader is imported for it, which takes seconds."""
    try:
        desk.items.every()
        about(desk)
    except Exception as error:  # whoever asks is told
        log.warning("the list of what there is could not be made ahead: %s", error)


def _named(route: Any) -> str:
    """An operation is called as its function."""
    return route.name


def _page() -> HTMLResponse:
    return HTMLResponse(SHELL)


def _file(name: str) -> Response:
    if name not in BUILT:
        return _said(404, f"there is no {name!r:.60} here; the studio is at /, and what it asks at /api")
    return Response(built(name), media_type=BUILT[name])


def _said(status: int, error: str) -> JSONResponse:
    return JSONResponse({"error": error}, status)


def _refused(request: Request, error: Exception) -> Response:
    """The error as a sentence, in which paths are as they are called in the folder."""
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    said = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if status == 400 and isinstance(error, TypeError):
        log.warning("%s %s", request.url.path, error, exc_info=error)
    return _said(status, request.app.state.desk.folder.told(said) or type(error).__name__)


def _invalid(request: Request, error: Exception) -> Response:
    """What of a request is not as it should be, in a sentence."""
    assert isinstance(error, RequestValidationError)
    first, more = error.errors()[0], len(error.errors()) - 1
    where = ".".join(str(part) for part in first["loc"]) or "the request"
    if first["type"] == "unexpected_keyword_argument":
        return _said(400, f"{where} is no field of this request; GET /api/openapi.json says which there are")
    given = f" (given: {first['input']!r:.60})" if first.get("type") not in ("missing", "json_invalid") else ""
    others = f"; and {more} more" if more else ""
    return _said(400, f"{where}: {first['msg']}{given}{others}")


def _http(request: Request, error: Exception) -> Response:
    """What no route answers."""
    assert isinstance(error, HTTPException)
    said = {
        404: f"there is no {request.url.path!r:.80} here",
        405: f"{request.method} is not for {request.url.path!r:.80}",
    }
    return _said(error.status_code, said.get(error.status_code) or str(error.detail))


def _broken(request: Request, error: Exception) -> Response:
    """An error of ours: told by its kind; the log holds the rest."""
    log.error("%s %s", request.method, request.url.path, exc_info=error)
    return _said(500, f"the studio could not answer ({type(error).__name__}); what it printed says more")
