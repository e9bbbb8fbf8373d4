"""Evidence: what find and edit are made from and verify judges on, whatever its kind.

Behaviours, facts, secrets, labelled texts, windows of text and plain lists of texts keep one contract, so that what is
held out means the same for all of them, every result says where it comes from, and prompts that are met again are seen.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar, cast, runtime_checkable


class Message(NamedTuple):
    """One message of a chat."""

    role: str
    content: str


Prompt = str | tuple[int, ...] | tuple[Message, ...]
"""In words, in token ids, or a chat, which the tokenizer's template renders."""
Given = str | Sequence[Any]
"""A prompt as it is given: text, token ids, or the messages of a chat, each {"role": ..., "content": ...}."""
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


def prompt_of(given: Given, name: str = "the prompt") -> Prompt:
    """A prompt as it is kept, whatever it is given as.

    Raises: ValueError under its name for an id that is no whole number from 0 on, or a message that is none.

    >>> prompt_of([{"role": "user", "content": "Hello"}])
    (Message(role='user', content='Hello'),)
    """
    if isinstance(given, str):
        return given
    return tuple(_message(m, name) for m in given) if is_chat(given) else tuple(_id(i, name) for i in given)


def check_text(given: object, name: str) -> None:
    """Raises: ValueError under its name for a chat, or token ids, where a text is due."""
    if not isinstance(given, str):
        how = "; render the chat first, with tokenizer.apply_chat_template(messages, tokenize=False)" * is_chat(given)
        raise ValueError(f"{name} is {given!r:.80}, and must be a text{how}")


def is_chat(given: object) -> bool:
    """Whether this is the messages of one chat."""
    return isinstance(_first(given), Mapping | Message)


def is_prompt(given: object) -> bool:
    """Whether this is one prompt, and not several."""
    return isinstance(given, str) or is_chat(given) or isinstance(_first(given), int | float)


def _first(given: object) -> object:
    return next(iter(cast("Sequence[object]", given)), None) if isinstance(given, list | tuple) else None


def _message(given: Any, name: str) -> Message:
    if isinstance(given, Message):
        return given
    held = dict(cast("Mapping[str, object]", given)) if isinstance(given, Mapping) else {}
    role, content = held.get("role"), held.get("content")
    if len(held) != 2 or not isinstance(role, str) or not isinstance(content, str):
        raise ValueError(f'{name} holds {given!r:.80}, which is no message {{"role": ..., "content": text}}')
    return Message(role, content)


def _id(given: Any, name: str) -> int:
    try:
        token = -1 if isinstance(given, bool) else operator.index(given)
    except TypeError:
        token = -1
    if token < 0:
        raise ValueError(f"{name} holds {given!r:.80}; token ids are whole numbers from 0 on")
    return token


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
