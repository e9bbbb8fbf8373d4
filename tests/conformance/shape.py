"""What the rooms ask of every file in them, so that each suite says only what is special to its room."""

import inspect
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, get_type_hints

import torch
from torch import nn

from clew import finder
from clew.report import Report

T = TypeVar("T")
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


@contextmanager
def untouched(*modules: nn.Module) -> Iterator[None]:
    """What runs inside leaves the modules as they were: every bit, who is in training and asks for gradients, no hook.

    Meanwhile every second part of them is in training, so that a setting of either kind can be lost.
    """
    for module in modules:
        for i, part in enumerate(module.modules()):
            part.training = bool(i % 2)
    before = [standing(module) for module in modules]
    yield
    for module, (settings, bits) in zip(modules, before, strict=True):
        now, after = standing(module)
        assert now == settings and after.keys() == bits.keys()
        assert [name for name in bits if not torch.equal(after[name], bits[name])] == []
        module.eval()


def standing(module: nn.Module) -> tuple[list[Any], dict[str, torch.Tensor]]:
    """Everything of a module that a run could leave changed: its settings and hooks, and its tensors, copied."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    parts = [(name, m.training, sum(len(getattr(m, kind)) for kind in kinds)) for name, m in module.named_modules()]
    wanted = [(name, p.requires_grad, p.grad is None) for name, p in module.named_parameters()]
    return [parts, wanted], {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def case_of(cases: Mapping[str, T], name: str) -> T:
    """What this file of the room is tried on."""
    assert name in cases, f"{name} is tried on nothing yet; give it a small case here whose outcome you know"
    return cases[name]


def check_row(report: Report, measure: str, of: str, low: float, high: float = math.inf) -> None:
    """The first row of that name lies between the two."""
    value = next(row.value for row in report.rows if (row.measure, row.of) == (measure, of))
    assert low <= value <= high, f"{measure} of {of!r} is {value}"


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
