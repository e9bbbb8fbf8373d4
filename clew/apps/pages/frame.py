"""The frame of every page: one HTML file that needs nothing else, and whose policy lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def framed(name: str, title: str, parts: Mapping[str, str], *, styles: Sequence[str] | None = None) -> str:
    """`name`.html in the frame that all pages share, with its style; it has no script.

    Args:
        title: words; escaped here.
        parts: HTML for the holes of `name`.html, such as {{units}}; what is other people's text is escaped before.
        styles: the style sheets that follow the frame's; `name`.css by default.
    """
    body = _filled(f"{name}.html", {"title": html.escape(title), "thread": _text("thread.svg"), **parts})
    return document(title, body, style="".join(_text(f"{sheet}.css") for sheet in ("frame", *(styles or [name]))))


def document(title: str, body: str, *, style: str, script: str = "", data: Any = None) -> str:
    """A whole page: HTML of ours, a style, and a script with the data that it reads from the block `data`, as JSON.

    Args: title: words; escaped here. body: what of it is other people's text is escaped before.
    """
    allowed = ""
    if script:
        # A "</script>" or "<!--" in a label must not end the block; JSON lets < be written as an escape.
        written = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
        body += f'\n<script type="application/json" id="data">{written}</script>\n<script>{script}</script>'
        allowed = f"script-src {_hash(script)}; "
    policy = f"default-src 'none'; {allowed}style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    return _filled("frame.html", {"title": html.escape(title), "policy": policy, "style": style, "body": body})


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """A template with its holes filled in one pass, so that what is put in is not read again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda hole: parts[hole[1]], _text(template))


def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The content-security-policy source that allows exactly this inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
