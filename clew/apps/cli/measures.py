"""clew measures: the ways to judge a circuit, a dictionary or an edit."""

from __future__ import annotations

from clew.apps.cli._rooms import listed
from clew.apps.cli._terminal import Json


def measures(*, json: Json = False) -> None:
    """List what `clew verify --by` takes, by what is judged; `clew verify --by NAME --help` shows the options of one."""
    from clew.finder import rooms

    listed(rooms("measures"), json)
