"""clew models: what can be opened by name."""

from __future__ import annotations

from clew.apps.cli._terminal import Json, aside, say, table


def models(*, json: Json = False) -> None:
    """List the models that come by name from the package index, and the families of which any folder or hub id opens."""
    from clew.finder import names
    from clew.models.bundled import BUNDLED

    rows = [(name, bundled.licence, bundled.description) for name, bundled in BUNDLED.items()]
    families = names("models.architectures")
    value = [{"name": name, "licence": licence, "description": words} for name, licence, words in rows]
    said = f"{table(rows)}\n\nfamilies: {', '.join(families)}"
    say(said, {"models": value, "families": families}, json)
    if not json:
        aside("a folder, a GGUF file or a hub id can stand wherever a model is asked for")
