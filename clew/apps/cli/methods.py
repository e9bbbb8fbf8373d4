"""clew methods: the ways to find a circuit."""

from __future__ import annotations

from clew.apps.cli._rooms import listed
from clew.apps.cli._terminal import Json


def methods(*, json: Json = False) -> None:
    """List what `clew find --by` takes; `clew find --by NAME --help` shows the options of one."""
    listed(["methods"], json)
