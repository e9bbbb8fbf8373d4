"""Names for what is just being written, and the sweeping up of what killed processes have left under such names."""

from __future__ import annotations

import os
import re
import shutil
import socket
import uuid
from contextlib import suppress
from pathlib import Path

from clew.scale.who import runs

SUFFIX = ".unfinished"

_swept: set[Path] = set()


def unfinished(path: str | Path) -> Path:
    """A hidden name beside `path` that nothing has yet, for a file or folder that is renamed to `path` when it is whole.

    It names this process. The first time in a folder, what killed processes of this machine left there is removed.
    """
    path = Path(path)
    me = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    if path.parent not in _swept:
        _swept.add(path.parent)
        with suppress(OSError):
            sweep(path.parent)
    return path.with_name(f".{path.name[:32]}.{me}{SUFFIX}")


def sweep(folder: Path) -> None:
    """Remove what is named as unfinished by a process of this machine that no longer runs."""
    theirs = re.compile(rf"\..*\.{re.escape(socket.gethostname())}-(\d+)-[0-9a-f]{{8}}{re.escape(SUFFIX)}", re.DOTALL)
    for entry in list(os.scandir(folder)):
        found = theirs.fullmatch(entry.name)
        if not found or runs(int(found[1])):
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            Path(entry.path).unlink(missing_ok=True)
