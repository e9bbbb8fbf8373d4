"""What is written beside a path takes its place at once, and at the end nothing is left of it.

What killed processes left is swept by `clew.scale.unfinished`, which also gives the names.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from clew.scale.unfinished import unfinished


@contextmanager
def beside(path: Path) -> Generator[Path]:
    """A free name in the folder of `path`, which is made if it is not there; at the end nothing is left under it.

    Raises: OSError naming `path` when something cannot be written, also where safetensors says so.
    """
    place = unfinished(path)
    untouched = "what stood there before is untouched"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield place
    except OSError as error:
        raise OSError(error.errno, f"{path} was not written ({error.strerror or error}); {untouched}") from error
    except SafetensorError as error:
        raise OSError(f"{path} was not written ({error}); {untouched}") from error
    finally:
        with suppress(OSError):  # nothing is said of it: nobody looks for that name
            (shutil.rmtree if place.is_dir() else Path.unlink)(place)


def exchange(place: Path, path: Path) -> None:
    """Rename a folder to `path`; what stands there goes to `place` in the same moment, where the system can do that."""
    if not path.exists():
        place.rename(path)
    elif not _exchanged(place, path):
        with beside(path) as old:
            path.rename(old)
            place.rename(path)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the two have changed places: Linux alone has a call for it (RENAME_EXCHANGE, 2; -100 is the working folder)."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if platform.system() == "Linux" else None
    return rename is not None and rename(-100, os.fsencode(one), -100, os.fsencode(other), 2) == 0
