"""Evidence: what find and edit are made from and verify judges on, whatever its kind.

Behaviours, facts, secrets, labelled texts, windows of text and plain lists of texts keep one contract, so that what is
held out means the same for all of them, every result says where it comes from, and prompts that are met again are seen.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, Protocol, TypeVar, runtime_checkable

Prompt = str | tuple[int, ...]
"""In words, or in token ids."""
Side = Literal["train", "test"]

MEMBERS = ("splits", "name", "hash", "card", "train", "test", "prompts", "asked")


class _Looked(type(Protocol)):
    """isinstance looks whether the members are there; Python 3.11 would ask for them, and so halve and hash the evidence."""

    def __instancecheck__(cls, instance: object) -> bool:
        return all(inspect.getattr_static(instance, name, None) is not None for name in MEMBERS)


@runtime_checkable
class Evidence(Protocol, metaclass=_Looked):
    """A set of prompts that knows where it comes from and how to be halved; no class has to inherit from this one."""

    splits: ClassVar[bool]
    """Whether find and edit take its training half, and verify the other, unless they are told otherwise."""

    @property
    def name(self) -> str: ...

    @property
    def hash(self) -> str:
        """Of all that is asked: equal hashes ask the same."""
        ...

    def card(self) -> dict[str, Any]:
        """What a stranger needs to get the same again, as plain JSON; it goes into the provenance."""
        ...

    @property
    def train(self) -> Evidence:
        """The half to find and edit on. Raises: ValueError where it is empty."""
        ...

    @property
    def test(self) -> Evidence:
        """The half to judge on; it shares no prompt with the other. Raises: ValueError where it is empty."""
        ...

    def prompts(self) -> Sequence[Prompt]:
        """Every prompt that something made from it has seen."""
        ...

    def asked(self) -> Sequence[Prompt]:
        """The prompts to which an answer is judged, one for each item."""
        ...


E = TypeVar("E")


def is_held_out(evidence: object, held_out: bool | None) -> bool:
    """What a `held_out` of None means: behaviours are halved, others are taken whole."""
    return getattr(evidence, "splits", False) if held_out is None else held_out


def half(evidence: E, side: Side, held_out: bool | None = None) -> E:
    """The half on which something is found or judged, or all of it.

    Args: held_out: halve it, or do not; None is what its kind does.
    Raises: ValueError where it has no halves, or this one is empty.
    """
    if not is_held_out(evidence, held_out):
        return evidence
    if inspect.getattr_static(evidence, side, None) is None:
        raise ValueError(
            f"a {type(evidence).__name__} has no halves, so nothing of it can be held out; say held_out=False"
        )
    return getattr(evidence, side)


def digest(value: object) -> str:
    """A short hash of plain JSON, such as a prompt."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def groups(keys: Sequence[Iterable[str]]) -> list[int]:
    """For each item the first of its group: items that share a key, directly or over others, are one."""
    group, met = list(range(len(keys))), dict[str, int]()

    def first(item: int) -> int:
        while group[item] != item:
            item = group[item]
        return item

    for item, some in enumerate(keys):
        for key in some:
            one, other = sorted((first(item), first(met.setdefault(key, item))))
            group[other] = group[item] = one
    return [first(item) for item in range(len(keys))]


def in_half(name: str, keys: Sequence[Iterable[object]], which: Side) -> list[int]:
    """The items of one half, ascending; an item stays in its half whatever stands beside it, and in whatever order.

    A hash of its keys says where it goes; items that share a key go together, where the least hash among them says.

    Args: keys: of each item its prompts, or what else must not stand on both sides.
    Raises: ValueError where the half is empty.
    """
    hashed = [[digest(key) for key in some] for some in keys]
    together, least = groups(hashed), dict[int, str]()
    for group, some in zip(together, hashed, strict=True):
        least[group] = min([*some, least.get(group, some[0])])
    found = [i for i, group in enumerate(together) if (int(least[group], 16) % 2 == 0) is (which == "train")]
    if not found:
        raise ValueError(
            f"the {which} half of {name} is empty, for its {len(keys)} parts all belong to the other; give more of "
            "them, or say held_out=False"
        )
    return found
