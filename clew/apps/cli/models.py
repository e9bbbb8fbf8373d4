"""clew models: what can be opened by name."""

from __future__ import annotations

from clew.apps.cli._terminal import Json, aside, say, table


def models(*, json: Json = False) -> None:
    """List the models that come by name from the package index; folders, GGUF files and hub ids open too."""
    from clew.models.bundled import BUNDLED

    rows = [(name, bundled.licence, bundled.description) for name, bundled in BUNDLED.items()]
    value = [{"name": name, "licence": licence, "description": words} for name, licence, words in rows]
    say(table(rows), value, json)
    if not json:
        aside("a folder, a GGUF file or a hub id can stand wherever a model is asked for")
