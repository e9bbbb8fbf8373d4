"""An endpoint of the OpenAI protocol, asked over HTTP.

The key is read from the environment when a request is sent and is held nowhere; where a server repeats it in an error, it is
left out. Source: the requests are those for chats and completions of the OpenAI API, which vLLM, llama.cpp and others serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from clew.readings.asking._replies import chat, judged
from clew.readings.asking._sending import Sending
from clew.readings.asking.answer import Answer, Continuation, Question

KEY = "CLEW_ASKS_KEY"


@dataclass(frozen=True)
class Endpoint:
    """A model behind an address such as http://localhost:8000/v1."""

    url: str
    model: str
    key_from: str = KEY
    """The variable of the environment that holds the key; where it is not set, none is sent."""
    width: int = 8
    attempts: int = 6
    timeout: float = 120.0
    """Seconds of one attempt."""
    first: float = 1.0
    """Seconds before the second attempt at most, and twice as many before each further one, ..."""
    longest: float = 60.0
    """... but no more than so many, unless the server says so."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("that is no address of an endpoint; write it as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "the address of an endpoint is kept with its answers, so it is scheme, host and path alone; a key goes into "
                f"the environment as {self.key_from}"
            )
        if not self.model:
            raise ValueError(f"say which of the models at {self.url} is asked, as model=")
        if self.width < 1 or self.attempts < 1:
            raise ValueError(f"width={self.width}, attempts={self.attempts}: both must be at least 1")

    @property
    def name(self) -> str:
        """The model, and where it is."""
        return f"{self.model} at {self.url}"

    @property
    def identity(self) -> str:
        """The same: what is served under a name is taken to stay what it is."""
        return self.name

    def chat(self, question: Question) -> Answer:
        """Raises: Refused, with what the server said; ConnectionError after the last attempt."""
        body: dict[str, Any] = {
            "messages": [{"role": message.role, "content": message.content} for message in question.messages],
            "max_tokens": question.max_tokens,
            "seed": 0,
        }
        body |= {"logprobs": True, "top_logprobs": question.top} if question.top else {}
        return self._sending.read("chat/completions", self._whole(body), lambda value: chat(value, question))

    def judge(self, question: Continuation) -> Answer:
        """By a completion that repeats its prompt. Raises: as `chat`; Refused where it is not repeated with log p."""
        body = {"prompt": question.prompt + question.text, "max_tokens": 1, "echo": True, "logprobs": 1}
        return self._sending.read("completions", self._whole(body), lambda value: judged(value, question, self.name))

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"model": self.model, "temperature": 0, **body}

    @cached_property
    def _sending(self) -> Sending:
        return Sending(self.url, self.key_from, self.attempts, self.timeout, self.first, self.longest)
