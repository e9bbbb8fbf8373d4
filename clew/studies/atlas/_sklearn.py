"""scikit-learn, where it is installed."""

from __future__ import annotations

import importlib
from typing import Any


def sklearn(module: str) -> Any:
    """One of its modules. Raises: ImportError naming the extra."""
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise ImportError("clustering needs scikit-learn: pip install 'clew[atlas]'") from error


def sparse(name: str) -> Any:
    """Of scipy's sparse matrices, which come with it. Raises: as `sklearn`."""
    sklearn("base")
    return getattr(importlib.import_module("scipy.sparse"), name)
