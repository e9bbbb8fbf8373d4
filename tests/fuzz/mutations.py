"""What can happen to a file: to its bytes, to the names and values in it, and to its tensors.

A file is taken apart into a tree of objects, lists, values and tensors, one change is made somewhere in it, and it is put
together again as its kind is. Whatever else a file is, it is also bytes.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor


@dataclass(frozen=True)
class Change:
    """What was done to a file."""

    kind: str
    file: str
    where: tuple[Any, ...] = ()
    """The path in the tree; empty for bytes."""
    was: Any = ""
    """What stood there before."""
    what: str = ""


def changed(folder: Path, rng: random.Random) -> Change:
    """Change one file below a folder, in one place."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = rng.choice(files)
    name = str(path.relative_to(folder))
    parts = None if rng.random() < 0.3 else unpacked(path)
    if parts is None:
        kind = rng.choice(list(BYTES))
        path.write_bytes(BYTES[kind](path.read_bytes(), rng))
        return Change(kind, name)
    tree, pack = parts
    where = rng.choice([*places(tree)] or [()])
    was = _at(tree, where)
    tree, kind, what = changed_tree(tree, where, rng)
    pack(tree)
    return Change(kind, name, where, None if was is None else repr(was)[:80], what)


# Bytes.


def _flip(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return (
        data[:at]
        + rng.choice([rng.randbytes(rng.randint(1, 9)), b"\0" * 8, b"\xff", b"\n", b'"', b"{" * 5])
        + data[at:]
    )


def _remove(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randint(1, 20) :]


def _duplicate(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    end = at + rng.randint(1, 40)
    return data[:end] + data[at:end] + data[end:]


BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flip": _flip,
    "cut": _cut,
    "insert": _insert,
    "remove": _remove,
    "duplicate bytes": _duplicate,
}


# Trees.


class Twice(dict):
    """An object in which a name stands twice; the second time with this value."""

    name: str
    again: Any


@dataclass
class Raw:
    """JSON as it is written."""

    text: str


def text(value: Any) -> str:
    """JSON, also such as Python would not write."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        pairs = [*value.items(), *([(value.name, value.again)] if isinstance(value, Twice) else [])]
        return "{" + ", ".join(f"{json.dumps(str(name))}: {text(inner)}" for name, inner in pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(text, value)) + "]"
    return json.dumps(value)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in a tree but its root."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in inside:
        yield (*path, name)
        yield from places(value, (*path, name))


def changed_tree(tree: Any, where: tuple[Any, ...], rng: random.Random) -> tuple[Any, str, str]:
    """The tree with one change at a path, the kind of change, and to what."""
    if not where:
        return _value(tree, "retype", rng), "retype", ""
    holder = tree
    for name in where[:-1]:
        holder = holder[name]
    name, value = where[-1], holder[where[-1]]
    kind = rng.choice(_kinds(holder, value))
    if kind == "drop":
        del holder[name]
    elif kind == "rename":
        new = rng.choice([f"{name}x", str(name)[:-1] or "x", str(name).upper(), str(name)[::-1], f"x{name}"])
        if new in holder:
            new = f"{name}_"
        items = [(new if key == name else key, held) for key, held in holder.items()]
        holder.clear()
        holder.update(items)
    elif kind == "add":
        holder[rng.choice(["more", f"{name}_2", "W_more", "0"])] = value.clone() if isinstance(value, Tensor) else value
    elif kind == "twice":
        tree = _with_twice(tree, where, rng)
    elif kind == "drop item":
        del holder[name]
    elif kind == "item again":
        holder.insert(name, value)
    else:
        holder[name] = _value(value, kind, rng)
    return tree, kind, repr(_at(tree, where))[:80]


def _at(tree: Any, where: tuple[Any, ...]) -> Any:
    for name in where:
        try:
            tree = tree[name]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _with_twice(tree: Any, where: tuple[Any, ...], rng: random.Random) -> Any:
    if len(where) == 1:
        twice = Twice(tree)
        twice.name, twice.again = where[0], _value(tree[where[0]], rng.choice(["retype", "same"]), rng)
        return twice
    tree[where[0]] = _with_twice(tree[where[0]], where[1:], rng)
    return tree


def _kinds(holder: Any, value: Any) -> list[str]:
    of_name = ["drop", "rename", "add"] if isinstance(holder, dict) else ["drop item", "item again"]
    if isinstance(value, Tensor):
        return [*of_name, *TENSORS]
    json_only = ["twice"] if isinstance(holder, dict) and not _has_tensor(holder) else []
    number = ["negative", "huge", "beyond"] if isinstance(value, int | float) and not isinstance(value, bool) else []
    return [*of_name, *json_only, *number, "retype", "null", "nan", "inf", "deep"]


def _has_tensor(value: Any) -> bool:
    return any(isinstance(inner, Tensor) for inner in value.values())


def _value(value: Any, kind: str, rng: random.Random) -> Any:
    if isinstance(value, Tensor):
        return TENSORS[kind](value) if kind in TENSORS else value
    if kind == "negative":
        return -abs(value) - 1
    if kind == "huge":
        return rng.choice([10**12, 2**31, 2**63, 10**400]) if isinstance(value, int) else rng.choice([1e300, 10**30])
    if kind == "beyond":
        return Raw(rng.choice(["1e999", "-1e999"]))
    if kind in ("null", "nan", "inf"):
        return {"null": None, "nan": float("nan"), "inf": float("inf")}[kind]
    if kind == "deep":
        return Raw("[" * 50_000 + "]" * 50_000) if rng.random() < 0.5 else [[[[[[value]]]]]]
    if kind == "same":
        return value
    others: list[Any] = [True, 0, 1, -1, 1.5, "x", "", "3", [], [1], ["x"], {}, {"x": 1}, [value], str(value)]
    kinds = (int, float) if type(value) is float else (type(value),)  # a whole number is a number
    return rng.choice([other for other in others if type(other) not in kinds])


def _with_nan(tensor: Tensor, number: float = float("nan")) -> Tensor:
    if not tensor.is_floating_point() or not tensor.numel():
        return tensor.float() * float("nan")
    spoilt = tensor.clone()
    spoilt.view(-1)[0] = number
    return spoilt


TENSORS: dict[str, Callable[[Tensor], Tensor]] = {
    "tensor nan": _with_nan,
    "tensor inf": lambda t: _with_nan(t, float("inf")),
    "tensor whole": lambda t: t.to(torch.int64) if t.dtype != torch.int64 else t.to(torch.float32),
    "tensor int8": lambda t: t.to(torch.int8) if t.dtype != torch.int8 else t.to(torch.int16),
    "tensor complex": lambda t: t.to(torch.complex64),
    "tensor true": lambda t: t != 0 if t.dtype != torch.bool else t.to(torch.uint8),
    "tensor turned": lambda t: t.T.contiguous() if t.ndim == 2 else t[None],
    "tensor axis": lambda t: t[..., None],
    "tensor empty": lambda t: t[:0] if t.ndim else t.new_zeros(0),
    "tensor short": lambda t: t[:-1] if t.ndim else t[None].repeat(2),
    "tensor half": lambda t: t.half() if t.dtype == torch.float32 else t.to(torch.float32),
}
"""What can happen to a tensor."""


# Files as trees.


def unpacked(path: Path) -> tuple[Any, Callable[[Any], None]] | None:
    """The tree of a file and what puts it together again; None for what is bytes alone."""
    of = {".json": _json, ".jsonl": _jsonl, ".safetensors": _safetensors, ".npz": _npz, ".pt": _torch, ".pth": _torch}
    of |= {".csv": _csv, ".yaml": _yaml}
    return of[path.suffix](path) if path.suffix in of else None


def _json(path: Path) -> tuple[Any, Callable[[Any], None]]:
    return json.loads(path.read_text()), lambda tree: _write(path, text(tree))


def _jsonl(path: Path) -> tuple[Any, Callable[[Any], None]]:
    rows = [json.loads(line) for line in path.read_text().split("\n") if line]
    return rows, lambda tree: _write(path, "".join(f"{text(row)}\n" for row in tree))


def _csv(path: Path) -> tuple[Any, Callable[[Any], None]]:
    rows = [line.split(",") for line in path.read_text().split("\n") if line]
    return rows, lambda tree: _write(path, "".join(_line(row) for row in tree))


def _line(row: Any) -> str:
    return (
        ",".join(cell if isinstance(cell, str) else text(cell) for cell in (row if isinstance(row, list) else [row]))
        + "\n"
    )


def _yaml(path: Path) -> tuple[Any, Callable[[Any], None]]:
    pairs = dict(line.split(": ", 1) for line in path.read_text().split("\n") if line)

    def pack(tree: Any) -> None:
        again = [(tree.name, tree.again)] if isinstance(tree, Twice) else []
        lines = [f"{n}: {v if isinstance(v, str) else text(v)}\n" for n, v in [*tree.items(), *again]]
        _write(path, "".join(lines))

    return pairs, pack


def _write(path: Path, content: str) -> None:
    path.write_text(content)


def _safetensors(path: Path) -> tuple[Any, Callable[[Any], None]]:
    with safetensors.safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        head = {name: _parsed(said) for name, said in (file.metadata() or {}).items()}
    tree = {"tensors": tensors, **({"head": head} if head else {})}

    def pack(tree: Any) -> None:
        tensors = tree.get("tensors", {})
        tensors = {str(n): t for n, t in tensors.items() if isinstance(t, Tensor)} if isinstance(tensors, dict) else {}
        path.write_bytes(_with_head(safetensors.torch.save(tensors), tree.get("head")))

    return tree, pack


def _parsed(said: str) -> Any:
    try:
        value = json.loads(said)
    except ValueError:
        return said
    return value if isinstance(value, dict) else said


def _with_head(content: bytes, head: Any) -> bytes:
    """A safetensors file with this in its header beside the tensors, whatever it is."""
    length = int.from_bytes(content[:8], "little")
    held = json.loads(content[8 : 8 + length])
    if isinstance(head, dict):
        said = Twice({name: text(value) if isinstance(value, dict | list) else value for name, value in head.items()})
        twice = isinstance(head, Twice)
        said.name, said.again = (
            (head.name, head.again if isinstance(head.again, str) else text(head.again)) if twice else ("", "")
        )
        head = said if twice else dict(said)
    if head is not None:
        held["__metadata__"] = head
    made = text(held).encode()
    made += b" " * (-len(made) % 8)
    return struct.pack("<Q", len(made)) + made + content[8 + length :]


def _torch(path: Path) -> tuple[Any, Callable[[Any], None]] | None:
    data = path.read_bytes()
    skip = data.index(b"\n") + 1 if data[:1] == b"{" else 0
    tree = torch.load(io.BytesIO(data[skip:]), weights_only=True)
    first = json.loads(data[:skip]) if skip else None

    def pack(tree: Any) -> None:
        buffer = io.BytesIO()
        torch.save(_plain(tree["state"]), buffer)
        path.write_bytes((text(tree["first"]).encode() + b"\n" if skip else b"") + buffer.getvalue())

    return {"state": tree, **({"first": first} if skip else {})}, lambda tree: pack({"state": None, "first": {}} | tree)


def _plain(value: Any) -> Any:
    """What torch can save of a tree."""
    if isinstance(value, Raw):
        return [[[[]]]]
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _npz(path: Path) -> tuple[Any, Callable[[Any], None]]:
    with np.load(path) as held:
        tree = {name: torch.from_numpy(held[name]) for name in held.files}

    def pack(tree: Any) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, value in tree.items():
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, value.numpy() if isinstance(value, Tensor) else np.array(0.0))
                archive.writestr(f"{name}.npy", buffer.getvalue())

    return tree, pack
