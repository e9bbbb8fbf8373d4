"""What was computed is kept in memory, within a budget of bytes, for whoever asks the same again.

A key holds everything that the result depends on, so what is found under it is never out of date: see
`clew.models.standing`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from threading import Lock
from typing import Any, TypeVar, cast

import numpy as np
from torch import Tensor, nn

T = TypeVar("T")


class Shared:
    """Results by key; the ones not used for longest make room. Threads may share one; what is pickled is an empty one.

    >>> shared = Shared(2**20)
    >>> [shared.of("two", lambda: torch.ones(2) + 1) is shared.of("two", lambda: None) for _ in range(2)]
    [True, True]
    """

    def __init__(self, budget: int) -> None:
        """Args: budget: bytes that the tensors and arrays in all results may have together."""
        self.budget = budget
        self._held = OrderedDict[Hashable, tuple[Any, int]]()
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[Shared], tuple[int]]:
        return Shared, (self.budget,)

    @property
    def bytes(self) -> int:
        """How many are held."""
        return sum(size for _, size in self._held.values())

    def get(self, key: Hashable) -> Any:
        """What is held under a key; None where nothing is."""
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key][0]

    def put(self, key: Hashable, result: object) -> None:
        """Hold a result, unless it alone is beyond the budget."""
        size = size_of(result)
        with self._lock:
            self._held.pop(key, None)
            self._held[key] = result, size
            while self._held and self.bytes > self.budget:
                self._held.popitem(last=False)

    def of(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is held under a key, made if nothing is."""
        found = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found

    def keys(self) -> list[Hashable]:
        """Of all that is held, the latest used last."""
        with self._lock:
            return list(self._held)


def size_of(result: object) -> int:
    """Bytes of the tensors and arrays in a result, each counted once; modules are not the result's own.

    >>> size_of({"a": torch.zeros(4), "b": [torch.zeros(2, dtype=torch.float64)]})
    32
    """
    size, seen, left = 0, set[int](), [result]
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, nn.Module):
            continue
        seen.add(id(one))
        if isinstance(one, Tensor):
            size += one.untyped_storage().nbytes()
        elif isinstance(one, np.ndarray):
            size += one.nbytes
        elif isinstance(one, Mapping):
            left += cast("Mapping[Any, object]", one).values()
        elif isinstance(one, list | tuple):
            left += cast("list[object]", one)
        elif type(one).__module__.startswith("clew."):
            left += getattr(one, "__dict__", dict[str, object]()).values()
    return size
