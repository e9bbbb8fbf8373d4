"""clew behaviours: what can be asked of a model by name."""

from __future__ import annotations

from clew.apps.cli._terminal import Json, aside, say, table


def behaviours(*, json: Json = False) -> None:
    """List the behaviours that come by name; files of prompt pairs are behaviours too."""
    from clew.data.behaviours.behaviour import Behaviour

    available = Behaviour.available()
    say(table(list(available.items())), [{"name": n, "description": d} for n, d in available.items()], json)
    if not json:
        aside("a .json, .jsonl, .csv or .tsv file of pairs can stand wherever a behaviour is asked for")
