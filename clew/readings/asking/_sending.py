"""Requests over HTTP: again where a server is busy or away, a bounded number of times, and without the key in any error."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, TypeVar

from clew.files import parse_json
from clew.readings.asking.answer import Refused

T = TypeVar("T")
BUSY = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""What a server says that may answer later."""
PATIENCE = 600.0
"""Seconds that are waited at most where a server names a time."""
SHOWN = 400
"""Characters of an error."""
HINTS = {
    401: "; give a key in the environment as {key_from}",
    403: "; give a key in the environment as {key_from}",
    404: "; is the address right, up to /v1, and is the model one that is served there?",
}


class Later(Exception):
    """Not now; `wait` says how many seconds at least."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


@dataclass(frozen=True)
class Sending:
    """How requests are sent to one address."""

    url: str
    key_from: str
    attempts: int
    timeout: float
    first: float
    longest: float

    def read(self, path: str, body: Mapping[str, Any], reader: Callable[[Any], T]) -> T:
        """What the reader makes of the answer. Raises: Refused; ConnectionError after the last attempt."""
        why = ""
        for attempt in range(self.attempts):
            try:
                return self._once(path, body, reader)
            except Later as later:
                why, wait = str(later), max(later.wait, self._pause(attempt))
            if wait > PATIENCE:
                why += f" (in {wait:.0f} seconds)"
                break
            if attempt + 1 < self.attempts:
                time.sleep(wait)
        said = self._safe(f"{self.url} gave no answer in {attempt + 1} attempts; at last: {why}")
        raise ConnectionError(f"{said}; what was answered is kept, and the same once more goes on from here")

    def _once(self, path: str, body: Mapping[str, Any], reader: Callable[[Any], T]) -> T:
        http = _http()
        try:
            response = self._client.post(f"{self.url.rstrip('/')}/{path}", json=body, headers=self._headers())
        except http.TransportError as error:
            raise Later(f"{type(error).__name__}: {error}") from None
        said = f"HTTP {response.status_code}: {' '.join(response.text.split())}"
        if response.status_code in BUSY:
            raise Later(said, _named(response.headers.get("retry-after", "")))
        if not response.is_success:
            hint = HINTS.get(response.status_code, "").format(key_from=self.key_from)
            raise Refused(self._safe(f"{self.url} refused: {said}") + hint)
        try:
            return reader(parse_json(response.text, "what came"))
        except Refused:
            raise
        except ValueError as error:
            raise Later(f"what came is no answer ({error})") from None

    def _pause(self, attempt: int) -> float:
        """Twice as long each time, with chance, so that those who were refused together do not come back together."""
        return min(self.longest, self.first * 2**attempt) * random.uniform(0.5, 1.0)

    @cached_property
    def _client(self) -> Any:
        return _http().Client(timeout=self.timeout)

    def _headers(self) -> dict[str, str]:
        if not (key := self._key()):
            return {}
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError(
                f"what {self.key_from} holds is no key: it has a blank, a line end or another odd character"
            )
        return {"Authorization": f"Bearer {key}"}

    def _key(self) -> str:
        return os.environ.get(self.key_from, "")

    def _safe(self, said: str) -> str:
        """Without the key, and cut short."""
        key = self._key()
        return (said.replace(key, "...") if key else said)[:SHOWN]


def _http() -> Any:
    try:
        import httpx2
    except ImportError as error:
        raise ImportError("asking an endpoint takes the package httpx2: pip install 'clew[ask]'") from error
    return httpx2


def _named(header: str) -> float:
    """The seconds that a server asks to wait for: a number of them, or a date."""
    with suppress(ValueError):
        return max(0.0, float(header))
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    return 0.0
