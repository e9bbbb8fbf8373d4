"""The OpenAPI file, of which the front end's types are made: `python -m clew.apps.studio.openapi` renews web/openapi.json."""

from __future__ import annotations

import json
from pathlib import Path

from clew.apps.studio.app import bare_app

FILE = Path(__file__).parents[3] / "web" / "openapi.json"
"""In a clone; the wheel does not hold it."""


def text() -> str:
    """What the file holds: the same for the same routes, whatever the version."""
    schema = bare_app().openapi()
    schema["info"]["version"] = "1"
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
