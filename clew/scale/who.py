"""Which process one is, and whether another one still runs."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path


def me() -> str:
    """This process as others can ask for it: its machine, its number, and when it was started, as far as that is told."""
    return f"{socket.gethostname()} {os.getpid()} {_started(os.getpid())}"


def lives(who: str) -> bool:
    """Whether a process, as it called itself, still runs; of another machine, that is not known and taken for true.

    >>> from clew.scale.who import lives, me
    >>> lives(me()), lives("elsewhere 1 2")
    (True, True)
    """
    host, process, started = [*who.split(" "), "", ""][:3]
    if host != socket.gethostname() or not process.isdigit():
        return host != socket.gethostname()
    return runs(int(process)) and started in ("", _started(int(process)))


def runs(process: int) -> bool:
    """Whether a process of this machine runs; of Windows, where that would be another question, taken for true."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        pass
    return True


def _started(process: int) -> str:
    """When a process was started, in ticks of the system; empty where it does not say. A dead one that nobody has buried yet
    has none."""
    with suppress(OSError, IndexError):
        told = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
        return "" if told[0] == "Z" else told[19]
    return ""
