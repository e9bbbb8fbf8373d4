"""A stack of edits from any file that we read, and into any that we write."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from clew.edits import formats
from clew.models import Model
from clew.sites import near
from clew.stack import Stack


def load_stack(path: str | Path, model: Model | None = None) -> Stack:
    """The edits of a file: clew's own safetensors, or a vector file of another tool.

    Args: model: what the edits are for; vectors that do not fit it are refused.
    Raises: ValueError saying what the file is, where that can be told, and which files hold edits.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ValueError(f"there is no file {path} of edits (here is {str(Path.cwd())!r})")
    for format in _formats().values():
        if format.matches(path):
            return format.read(path, model)
    if path.suffix == ".safetensors":
        return Stack.load(path)
    with path.open("rb") as file:
        what = (
            "a GGUF file, but no control vector (clew.open opens models)"
            if file.read(4) == b"GGUF"
            else "of no kind we know"
        )
    raise ValueError(f"{path} is {what}; edits are in .safetensors of clew, or in files of {', '.join(_formats())}")


def save_vectors(stack: Stack, path: str | Path, model: Model, *, format: str) -> Path:
    """Write the stack as a vector file of another tool: `gguf` or `steering_vectors`.

    Raises: ValueError naming the edit that such a file cannot hold, or the formats there are.
    """
    known = _formats()
    if format not in known:
        raise ValueError(f"{format!r} is no vector file that clew writes; {near(format, known)}")
    known[format].write(stack, Path(path), model)
    return Path(path)


def _formats() -> dict[str, ModuleType]:
    modules = (importlib.import_module(f"{formats.__name__}.{m.name}") for m in pkgutil.iter_modules(formats.__path__))
    return {m.__name__.rpartition(".")[2]: m for m in modules if hasattr(m, "matches")}
