"""Who may ask, and how much: the guard before every route.

On this machine alone no token is needed; but a browser on it also runs other people's pages. So the Host must be this machine
(a name that was made to point here, as in DNS rebinding, is none), an Origin must be our own, nothing comes across sites, and
what changes something carries a header that no form can send. Elsewhere a token is asked for as well.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""How this machine calls itself."""
COOKIE = "clew_token"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do: run our own script, ask this server, show pictures that it has drawn itself."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=(), payment=()",
}
READS = ("GET", "HEAD")
Receive = Any
Send = Any


@dataclass(frozen=True)
class Refused(Exception):
    """A request that goes no further."""

    status: int
    error: str


@dataclass(frozen=True)
class Guard:
    """An ASGI application around another one.

    Args:
        app: what is guarded.
        host: what the server is bound to; where that is not this machine alone, there must be a token.
        port: the port; 0 for any.
        token: what who asks must know; None for nothing.
        body: bytes of a request at most.
    """

    app: Any
    host: str
    port: int
    token: str | None
    body: int
    _names: frozenset[str] = field(default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise ValueError(f"{self.host} is not this machine alone, so who asks must have a token; give --token auto")
        if self.token is not None and len(self.token) < 16:
            raise ValueError("the token is too short to be a secret; give 16 characters or more, or --token auto")
        names = LOOPBACK if is_loopback(self.host) else (*LOOPBACK, self.host, socket.gethostname())
        object.__setattr__(self, "_names", frozenset(name.lower() for name in names))

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.app(scope, receive, send)
            return
        begun, over = False, list[Refused]()

        async def answer(message: Any) -> None:
            nonlocal begun
            if over and not begun:
                return  # what the application makes of half a request
            if message["type"] == "http.response.start":
                begun = True
                message = {**message, "headers": _headed(message.get("headers", ()), scope["path"])}
            await send(message)

        try:
            headers = self._headers(scope)
            self._check(scope, headers)
            if (moved := self._token_in_address(scope)) is not None:
                await _reply(answer, 303, b"", moved)
                return
            await self.app(scope, self._bounded(headers, receive, over), answer)
            if over and not begun:
                raise over[0]
        except Refused as refused:
            over.clear()
            if not begun:
                await _reply(answer, refused.status, json.dumps({"error": refused.error}).encode())

    def _headers(self, scope: Any) -> dict[str, str]:
        """By name. Raises: Refused for one that decides something and comes twice."""
        found: dict[str, str] = {}
        for raw, value in scope["headers"]:
            name = raw.decode("latin-1").lower()
            if name in found and name in (
                "host",
                "origin",
                "content-length",
                "authorization",
                "sec-fetch-site",
                "x-clew",
            ):
                raise Refused(400, f"the header {name} is given twice; give it once")
            found[name] = value.decode("latin-1")
        return found

    def _check(self, scope: Any, headers: Mapping[str, str]) -> None:
        """Raises: Refused for who may not ask."""
        host = headers.get("host", "")
        name, port = _split(host)
        if not self._is_ours(name) or (self.port and port not in (None, self.port)):
            raise Refused(
                403, f"the Host {host!r:.80} is not this studio; open the address that `clew studio` has printed"
            )
        origin = headers.get("origin")
        if origin is not None and origin != f"{scope.get('scheme', 'http')}://{host}":
            raise Refused(403, f"the Origin {origin!r:.80} is another site than this studio; its pages alone may ask")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not _is_visit(scope, headers):
            raise Refused(
                403, "the request comes from another site (Sec-Fetch-Site); the studio's own pages alone may ask"
            )
        if not self._knows(scope, headers):
            raise Refused(403, "a token is needed: open /?token=TOKEN once, or send Authorization: Bearer TOKEN")
        if scope["method"] not in READS and headers.get("x-clew") != "1":
            raise Refused(403, "what changes something needs the header X-Clew: 1")

    def _is_ours(self, name: str) -> bool:
        """Whether a name of the Host header is this server: one of its names, or, where it listens to all, any number."""
        if name in self._names:
            return True
        return not is_loopback(self.host) and _address(name) is not None

    def _knows(self, scope: Any, headers: Mapping[str, str]) -> bool:
        """Whether who asks has the token: as bearer, in the cookie, or, for the page alone, in its address."""
        if self.token is None:
            return True
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        given = [bearer.strip()] if kind.lower() == "bearer" else []
        given += [_cookie(headers.get("cookie", ""))]
        given += [_in_address(scope)] if scope["path"] == "/" and scope["method"] == "GET" else []
        return any(hmac.compare_digest(one.encode(), self.token.encode()) for one in given)

    def _token_in_address(self, scope: Any) -> dict[str, str] | None:
        """Headers that keep a token from the address in a cookie, and send who came with it on without it."""
        if self.token is None or scope["path"] != "/" or not _in_address(scope):
            return None
        return {"location": "/", "set-cookie": f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"}

    def _bounded(self, headers: Mapping[str, str], receive: Receive, over: list[Refused]) -> Receive:
        """`receive` up to the bytes that a request may have; whoever goes beyond is noted in `over`."""
        said = headers.get("content-length", "0")
        if not (said.isascii() and said.isdigit()) or int(said) > self.body:
            raise Refused(413, f"the request has {said:.20} bytes; up to {self.body:,} are read")
        left = self.body

        async def bounded() -> Any:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                over.append(Refused(413, f"the request has more than {self.body:,} bytes, which are read at most"))
                raise over[0]
            return message

        return bounded


def is_loopback(host: str) -> bool:
    """Whether a host is this machine alone."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _split(host: str) -> tuple[str, int | None]:
    """Name and port of a Host header; an empty name for what is none."""
    name, port = host.lower(), ""
    if name.startswith("["):
        name, closed, port = name[1:].partition("]")
        if not closed or (port and port[0] != ":"):
            return "", None
        port = port[1:]
    elif ":" in name:
        name, _, port = name.partition(":")
    if port and not (port.isascii() and port.isdigit() and len(port) < 6):
        return "", None
    return name, int(port) if port else None


def _is_visit(scope: Any, headers: Mapping[str, str]) -> bool:
    """Whether somebody follows a link to the page itself, which gives nothing away and cannot be framed."""
    asked = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest"))
    return scope["path"] == "/" and scope["method"] == "GET" and asked == ("navigate", "document")


def _cookie(header: str) -> str:
    try:
        held = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return "" if held is None else held.value


def _in_address(scope: Any) -> str:
    return parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]


def _headed(headers: Any, path: str) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with those that every answer has."""
    own = {name.lower() for name, _ in headers}
    more = HEADERS | ({"cache-control": "no-store"} if path.startswith("/api") or path == "/" else {})
    return [*headers, *((n.encode(), v.encode()) for n, v in more.items() if n.encode() not in own)]


async def _reply(send: Send, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
    said = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
    lines = [(name.encode(), value.encode()) for name, value in said.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": content})
