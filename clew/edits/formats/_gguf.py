"""The container of GGUF files, read with every count held against the size of the file.

Head: "GGUF", version, how many tensors, how many keys; keys with typed values; of each tensor its name, shape (innermost
first), type and offset; then, aligned, the numbers. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from clew.files import whole

PLAIN = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""The types of plain values; 8 is text and 9 a list."""
TEXT, LIST = 8, 9
NUMBERS = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
"""The types of tensors that are read."""
DEEPEST = 4
"""Lists in lists; more is no file of anyone's."""


def read_gguf(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The keys and the tensors of a file. Raises: ValueError naming one that is cut short, damaged or quantised."""
    with whole(path, "GGUF file; it is cut short or damaged"):
        data = _Bytes(path.read_bytes())
        if data.take(4) != b"GGUF" or data.plain(4) not in (2, 3):
            raise ValueError("it does not begin as one of version 2 or 3")
        tensors, keys = data.count(24), data.count(12)
        said = _named((data.text(), data.value(data.plain(4))) for _ in range(keys))
        infos = _named((data.text(), data.info()) for _ in range(tensors))
        unit = said.get("general.alignment", 32)
        if type(unit) is not int or not 0 < unit <= 1 << 16:
            raise ValueError(f"its alignment is {unit!r:.40}")
        data.align(unit)
        start, found = data.at, dict[str, np.ndarray]()
        for name, (shape, kind, offset) in infos.items():
            if data.at - start != offset:
                raise ValueError(
                    f"{name} begins at {offset} and not where the one before it ends, at {data.at - start}"
                )
            size = int(np.prod(shape, dtype=object)) * kind.itemsize
            found[name] = np.frombuffer(data.take(size), kind).reshape(shape[::-1])
            data.align(unit, at_end=True)
        if data.left:
            raise ValueError(f"it goes on for {data.left} bytes after its last tensor")
        return said, found


def _named(pairs: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"it names {name!r} twice")
        found[name] = value
    return found


class _Bytes:
    """What is left of a file, taken from its front; what is not there is an error."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = memoryview(data), 0

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise ValueError(f"{size} bytes are due at {self.at}, and {self.left} are left")
        self.at += size
        return bytes(self.data[self.at - size : self.at])

    def align(self, unit: int, *, at_end: bool = False) -> None:
        """Skip to a multiple; the last tensor may end without."""
        skip = -self.at % unit
        if any(self.take(min(skip, self.left) if at_end else skip)):
            raise ValueError(f"there is something between its parts, before {self.at}")

    def plain(self, kind: int) -> Any:
        code = f"<{PLAIN[kind]}"
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def count(self, least: int) -> int:
        """A number of things that take so many bytes each at least."""
        if (number := self.plain(10)) * least > self.left:
            raise ValueError(f"it says that {number} things follow at {self.at}, for which it is too short")
        return number

    def text(self) -> str:
        return self.take(self.plain(10)).decode("utf-8")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind == TEXT:
            return self.text()
        if kind != LIST:
            return self.plain(kind)
        if depth == DEEPEST:
            raise ValueError("its lists are nested too deep")
        inner = self.plain(4)
        return [self.value(inner, depth + 1) for _ in range(self.count(1))]

    def info(self) -> tuple[tuple[int, ...], np.dtype, int]:
        axes = self.plain(4)
        if axes > 4:
            raise ValueError(f"a tensor has {axes} axes")
        shape = tuple(self.plain(10) for _ in range(axes))
        kind, offset = self.plain(4), self.plain(10)
        if kind not in NUMBERS:
            raise ValueError(f"a tensor is of type {kind}, which holds no plain floats")
        return shape, NUMBERS[kind], offset
