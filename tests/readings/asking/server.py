"""A server of the OpenAI protocol in this process, which answers as it is told to, and badly where it is told so."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any


def chat(text: str, logprobs: Any = None, **more: Any) -> dict[str, Any]:
    """A whole answer of a chat."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    choice |= {"logprobs": logprobs} if logprobs is not None else {}
    return {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}, **more}


def logprobs(*tokens: tuple[str, float]) -> dict[str, Any]:
    """Tokens with log p, each with itself and a 0 as the likeliest."""
    top = [{"token": "1", "logprob": -0.1}, {"token": "0", "logprob": -2.4}]
    return {"content": [{"token": word, "logprob": p, "top_logprobs": top} for word, p in tokens]}


@dataclass
class Bad:
    """What comes instead of an answer."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0


@dataclass
class Server:
    """Where it is, what it was asked, and the most that it was asked at once."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most: int = 0
    now: int = 0


@contextmanager
def serving(answer: Callable[[dict[str, Any]], Any], *bad: Bad) -> Iterator[Server]:
    """What the function makes of a request comes back, but for the first ones, which get what is bad."""
    server, lock, faults = Server(), Lock(), list(bad)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                server.asked.append(body | {"path": self.path})
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
                server.now += 1
                server.most = max(server.most, server.now)
                fault = faults.pop(0) if faults else None
            said = fault or answer(body)
            with lock:
                server.now -= 1
            fault = said if isinstance(said, Bad) else Bad(body=json.dumps(said))
            time.sleep(fault.wait)
            try:
                self.send_response(fault.status)
                for name, value in {"content-type": "application/json", **fault.headers}.items():
                    self.send_header(name, value)
                sent = fault.body.encode()
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)
            except OSError:  # whoever asked has gone
                pass

        def log_message(self, *_: Any) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
