"""One process at a time at what several share on disk: a run's folder, a file of results, a model that is being fetched.

The lock is the operating system's own (flock), so a process that is killed lets go of it. It stands on a small file that
says who holds it and is gone afterwards.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where nothing is held
    fcntl = None

log = logging.getLogger("clew")

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What file systems say that have none; there, too, nothing is held."""


@contextmanager
def alone(path: Path, doing: str, *, lock: str = "", wait: bool = False) -> Generator[None]:
    """Have a file or folder for oneself, for as long as the block lasts. Threads exclude each other, too.

    Args: path: what is held. doing: what others are told that one does. wait: until it is free. lock: the name of a file
        in the folder that is held, which is made if it is not there; without a name it lies beside what is held.
    Raises: ValueError naming the process that has it, unless `wait`; OSError where nothing can be written.

    >>> with alone(Path("results.json"), "adding results"):
    ...     sorted(path.name for path in Path().glob(".*"))
    ['.results.json.lock']
    """
    stands = path / lock if lock else path.with_name(f".{path.name}.lock")
    stands.parent.mkdir(parents=True, exist_ok=True)
    with _held(stands, path, doing, wait):
        try:
            yield
        finally:
            with suppress(OSError):
                stands.unlink()


def _held(lock: Path, path: Path, doing: str, wait: bool) -> FileIO:
    """The lock, open and ours. Who held it may have taken the file away by the time we get it: then once more."""
    while True:
        file = FileIO(lock, "a+")
        _take(file, path, wait)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                file.truncate(0)
                file.write(f"{os.getpid()} on {socket.gethostname()} ({doing})".encode())
                return file
        file.close()


def _take(file: FileIO, path: Path, wait: bool) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read(200).decode(errors="replace") or "that has just begun"
        if not wait:
            raise ValueError(
                f"{path} is in use by process {holder}; wait until that is done, or choose another place"
            ) from error
        log.info("waiting for process %s to be done with %s", holder, path)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
