"""What the rooms ask of every file in them, so that each suite says only what is special to its room."""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_type_hints

import torch

from clew import finder

MOST = 12
"""Parameters of a function: put together what always travels together."""


def check_signature(function: Callable[..., Any], *first: str, returns: type, others: Sequence[str] = ()) -> None:
    """The parameters by position are these, those after them `others` at most, the rest by keyword, typed, and few.

    A `*` among the first is any name.
    """
    parameters = list(inspect.signature(function).parameters.values())
    ahead = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert len(ahead) >= len(first), f"{ahead} are taken by position; {first} should be"
    assert all(want in ("*", name) for want, name in zip(first, ahead, strict=False)), (ahead, first)
    assert set(ahead[len(first) :]) <= set(others), f"{ahead[len(first) :]} should be by keyword only"
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters), "a signature is the configuration"
    assert len(parameters) <= MOST, f"{len(parameters)} parameters"
    hints = get_type_hints(function)
    assert hints.keys() >= {p.name for p in parameters}, "a parameter has no type"
    assert issubclass(hints["return"], returns), hints["return"]


def check_words(function: Callable[..., Any], room: str, *known: str) -> None:
    """A first sentence, and a word about every keyword argument but those `known` that mean the same in every file.

    What a file says "as for" another file of the room is said there.
    """
    said = words_of(function)
    assert re.match(r"\S.*?[.:]", (inspect.getdoc(function) or "").partition("\n\n")[0], re.DOTALL), "no first sentence"
    said += "".join(words_of(finder.load(room, name)) for name in finder.names(room) if re.search(rf"\b{name}\b", said))
    names = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    silent = [name for name in names if name not in known and not re.search(rf"\b{name}\b", said)]
    assert not silent, f"the docstring of {function.__name__} does not say what {', '.join(silent)} is"


def words_of(function: Callable[..., Any]) -> str:
    """The docstrings of a function and of its file."""
    return f"{function.__doc__ or ''}\n{sys.modules[function.__module__].__doc__ or ''}"


def check_source(function: Callable[..., Any]) -> None:
    """Says where it was published."""
    assert re.search(r"arXiv|Source|https?://|\b(19|20)\d\d\b", words_of(function)), "no source is named"


def bits(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every tensor of a module, copied."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def hooks(module: torch.nn.Module) -> Iterator[str]:
    """Names of the modules that still carry a hook."""
    for name, inner in module.named_modules():
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        if any(getattr(inner, kind) for kind in kinds):
            yield name


def check_untouched(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> None:
    """No hook left, no gradient asked for, and not a bit of the weights changed."""
    assert list(hooks(module)) == []
    assert not any(p.requires_grad and p.grad is not None for p in module.parameters())
    after = module.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)


class Told:
    """What a long computation told of itself."""

    def __init__(self) -> None:
        self.shares: list[float] = []

    def __call__(self, done: int, of: int, numbers: object = None, /) -> None:
        self.shares.append(done / of)

    def check(self) -> None:
        """It grew, step by step, to the whole; each of several phases did."""
        assert self.shares and self.shares[-1] == 1 and all(0 <= share <= 1 for share in self.shares)
        falls = [i for i in range(1, len(self.shares)) if self.shares[i] < self.shares[i - 1]]
        assert all(self.shares[i - 1] == 1 for i in falls), self.shares


class Interrupts:
    """Whoever tells it how far it is for the n-th time is interrupted, as by Ctrl-C."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, done: int, of: int, numbers: object = None, /) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
