"""The front end as it was built from web/: scripts and style sheets, as text."""

from __future__ import annotations

from pathlib import Path


def built(name: str) -> str:
    """`page.js`, `page.css`, `studio.js` or `studio.css`."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
