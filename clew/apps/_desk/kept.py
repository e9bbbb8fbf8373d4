"""What was made of files, kept until one of them changes: many look at the same circuit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Stamp = tuple[int, int] | None
"""When a file was written, and how large it is; None where there is none."""


@dataclass(frozen=True)
class Kept:
    """So many things, of which the one that was asked for longest ago goes first."""

    most: int = 64
    _held: dict[Hashable, tuple[list[Stamp], Any]] = field(default_factory=dict, repr=False)

    def of(self, key: Hashable, paths: Sequence[Path], make: Callable[[], Any]) -> Any:
        """What is kept under a key, made anew where one of the files is another."""
        stamps = [stamp(path) for path in paths]
        known = self._held.pop(key, None)
        if known is None or known[0] != stamps:
            known = (stamps, make())
        self._held[key] = known  # the latest last
        if len(self._held) > self.most:
            for old in list(self._held)[: len(self._held) - self.most]:
                self._held.pop(old, None)
        return known[1]


def stamp(path: Path) -> Stamp:
    """Of a file, or of the plan of a folder that is an index."""
    try:
        told = (path / "index.json" if path.is_dir() else path).stat()
    except OSError:
        return None
    return told.st_mtime_ns, told.st_size
