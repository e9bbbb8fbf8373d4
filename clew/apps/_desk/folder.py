"""The folder that is open: names of what lies in it, and nothing beside it. Whatever comes from outside is a name here."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import RLock
from typing import Any

from clew.apps._desk.refusals import Changed, NotAllowed, NotHere, TooLarge
from clew.files import write_text

LONGEST = 500
"""Characters of a name."""
LONGEST_PART = 200
"""Bytes of each part of it; systems take 255, of which what is written beside a file needs some."""
DEEPEST = 6
"""Folders within folders that are looked into."""
MOST = 5000
"""Files that are listed."""
LARGEST = 256 << 20
"""Bytes of a file that is read whole."""
PARTS = {"atlas.json": ("circuits", "work")}
"""Folders that belong to a file beside them, through which what they hold is opened; they are not looked into."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(\..*)?", re.IGNORECASE)
"""Names that are devices on Windows."""


@dataclass(frozen=True)
class Folder:
    """A folder on disk.

    >>> Folder(Path.cwd()).path("../secret")
    Traceback (most recent call last):
    clew.apps._desk.refusals.NotAllowed: '../secret' leads out of the folder; give a path inside it, as in sub/circuit.json
    """

    root: Path
    writing: Any = field(default_factory=RLock, repr=False, compare=False)
    """Held by whoever looks at a file and then writes it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", self.root.expanduser().resolve())
        if not self.root.is_dir():
            raise NotADirectoryError(f"there is no folder {self.root} to open")

    def path(self, name: str) -> Path:
        """Where something of this name is, or would be. Raises: NotAllowed for whatever is not inside the folder."""
        check_name(name)
        found = self.root.joinpath(*name.split("/"))
        try:
            real = found.resolve()
        except (OSError, RuntimeError) as error:  # links in a circle
            raise NotAllowed(f"{name!r} leads nowhere") from error
        if not real.is_relative_to(self.root):
            raise NotAllowed(f"{name!r} is a link that leads out of the folder; copy what it points to into the folder")
        return found

    def file(self, name: str, largest: int = LARGEST) -> Path:
        """A file that is there. Raises: NotHere, TooLarge, and as `path`."""
        found = self.path(name)
        if not found.is_file():
            raise NotHere(f"there is no file {name!r} in the folder; GET /api/items lists what is there")
        if (size := found.stat().st_size) > largest:
            raise TooLarge(f"{name} is of {size >> 20:,} MiB; up to {largest >> 20} MiB are opened here")
        return found

    def beside(self, path: Path, ending: str) -> Path | None:
        """A file next to one that is inside, which has another name there; None where there is none. Raises: as `path`."""
        found = self.path(self.name(path.with_name(ending)))
        return found if found.is_file() else None

    def there(self, name: str) -> Path:
        """A file or a folder that is there. Raises: NotHere, and as `path`."""
        found = self.path(name)
        if not (found.is_file() or found.is_dir()):
            raise NotHere(f"there is no file or folder {name!r} in the folder; GET /api/items lists what is there")
        if (
            found.is_dir()
            and (link := next((one for one in found.rglob("*") if not self.holds(one)), None)) is not None
        ):
            raise NotAllowed(f"{self.name(link)} is a link that leads out of the folder; put what it points to inside")
        return found

    def holds(self, path: Path) -> bool:
        """Whether what lies at a path in here is no link that leads out."""
        return not path.is_symlink() or path.resolve().is_relative_to(self.root)

    def name(self, path: Path) -> str:
        """What a path inside is called."""
        return path.relative_to(self.root).as_posix()

    def told(self, said: str) -> str:
        """A sentence in which paths are as they are called in the folder."""
        return said.replace(f"{self.root}/", "").replace(str(self.root), "the folder")

    def free(self, name: str) -> Path:
        """A path of this name, or with a number in it, that nothing has yet. Raises: as `path`."""
        found, n = self.path(name), 2
        while found.exists():
            stem, dot, ending = name.rpartition("/")[2].partition(".")
            found = self.path(name).with_name(f"{stem}-{n}{dot}{ending}")
            n += 1
        return found

    def write(self, name: str, text: str, tag: str | None = None) -> str:
        """Write a text file whole; its new tag. Raises: Changed unless the file still has the tag that is given."""
        found = self.path(name)
        with self.writing:
            if tag is not None:
                self.check_tag(name, tag)
            write_text(found, text)
            return tag_of(found)

    def check_tag(self, name: str, tag: str) -> None:
        """Raises: Changed for a file that is another by now."""
        if tag_of(self.file(name)) != tag:
            raise Changed(f"{name} was written by somebody else since it was read; load it again, then change it")

    def files(self) -> Iterator[Path]:
        """Files, and folders before what they hold, in the order of their names; hidden ones and links out are left out."""
        return iter(list(islice(self._within(self.root, 0), MOST)))

    def _within(self, folder: Path, depth: int) -> Iterator[Path]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # not ours to read
            return
        parts = {part for entry in entries for part in PARTS.get(entry.name, ())}
        for entry in entries:
            if entry.name not in parts and _is_plain(entry) and self.holds(Path(entry.path)):
                yield Path(entry.path)
                if entry.is_dir() and not entry.is_symlink() and depth < DEEPEST:
                    yield from self._within(Path(entry.path), depth + 1)


def check_name(name: str) -> None:
    """Raises: NotAllowed for what is no name of something in a folder, on whichever system."""
    parts = name.split("/")
    odd = any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in name)
    if not name or odd or len(name) > LONGEST or any(len(part.encode()) > LONGEST_PART for part in parts):
        raise NotAllowed(f"{name!r:.80} is no path; give one inside the folder, as in results/circuit.json")
    if ".." in parts or name[0] in "/~" or "\\" in name or ":" in name:
        raise NotAllowed(f"{name!r:.80} leads out of the folder; give a path inside it, as in sub/circuit.json")
    for part in parts:
        if not part or part[0] == "." or part[-1] in ". " or RESERVED.fullmatch(part):
            raise NotAllowed(
                f"{name!r:.80} has the part {part!r:.40}, which is hidden or no name; give a path such as sub/circuit.json"
            )


def tag_of(path: Path) -> str:
    """A hash of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:20]


def _is_plain(entry: os.DirEntry[str]) -> bool:
    """A file or a folder that anyone may name: not hidden, no pipe and no device."""
    try:
        check_name(entry.name)
        kind = entry.stat().st_mode
    except (OSError, NotAllowed):
        return False
    return stat.S_ISREG(kind) or stat.S_ISDIR(kind)
