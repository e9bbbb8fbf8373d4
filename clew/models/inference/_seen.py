"""What one pass of a module shows: what each of its modules read and gave, and what its attention was given."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from clew.models.inference._attended import Attended, attended
from clew.models.inputs import ask, given_by
from clew.models.state import Held, in_state


@dataclass(eq=False)
class Call:
    """One call of one module; tensors are as `Tap` sees them, [batch, seq, width] also where a module flattens them."""

    path: str
    module: nn.Module
    x: Tensor | None
    y: Tensor | None = None
    turn: int | None = None
    """Which call of a module in blocks that share modules; from the second on the path says `#2` and so on."""

    @property
    def linear(self) -> bool:
        """Whether it is a linear map, with a bias or without."""
        return isinstance(self.module, nn.Linear | Conv1D)


@dataclass
class Seen:
    """One pass: the calls in the order in which they ended, those of the attention, and what came out."""

    module: PreTrainedModel
    tokens: Tensor
    """Ids [batch, seq], or pictures or recordings."""
    logits: Tensor
    """Or the last states, of a model without a head."""
    interface: bool
    calls: list[Call] = field(default_factory=list)
    attended: list[Attended] = field(default_factory=list)
    headless: bool = False
    memory: Tensor | None = None
    """What the decoder is given of the encoder, where there are two."""
    repeats: bool = False
    """Whether calls of one module are told apart, for models whose blocks share modules."""

    def call(self, path: str) -> Call | None:
        """The one call of the module at a path; None where it was called never, or more than once."""
        found = self._by_path.get(path, ())
        return found[0] if len(found) == 1 else None

    def within(self, path: str) -> list[Call]:
        """Calls of modules below a path that were called once."""
        inside = (c for c in self.calls if c.path.startswith(f"{path}.") and "#" not in c.path[len(path) :])
        return [c for c in inside if self.call(c.path)]

    def __post_init__(self) -> None:
        self._by_path: dict[str, list[Call]] = {}
        for call in self.calls:
            self._by_path.setdefault(call.path, []).append(call)


def same(a: Tensor | None, b: Tensor | None) -> bool:
    """Whether two tensors are there and equal, bit for bit."""
    return a is not None and b is not None and a.shape == b.shape and torch.equal(a, b)


def giving(calls: Iterable[Call], value: Tensor | None) -> list[Call]:
    """Those calls that gave this value, in the order in which they ended: first who made it, then who handed it on."""
    return [c for c in calls if same(c.y, value)]


def look(module: PreTrainedModel, tokens: Tensor, *, repeats: bool = False) -> Seen:
    """Run the module on prompts [batch, seq], or pictures, without a cache and note all that it does.

    Raises: ValueError where it cannot be looked at without its logits changing.
    """
    headless, bare = in_state(module, partial(_answered, module, tokens))
    for interface in (True, False):
        seen = look_again(module, tokens, interface, repeats)
        if same(seen.logits, bare):
            return replace(seen, headless=headless)
    raise ValueError("its logits are other ones when its modules are looked at, or from one run to the next")


def run(module: PreTrainedModel, tokens: Tensor, held: Held | None = None) -> Tensor:
    """The logits, or last states, in a module that is held."""
    return _answered(module, tokens)[1]


def _answered(module: PreTrainedModel, tokens: Tensor, held: Held | None = None) -> tuple[bool, Tensor]:
    with torch.no_grad():
        output = ask(module, tokens)
    return getattr(output, "logits", None) is None, given_by(output)


def positions_apart(seen: Seen) -> Seen:
    """The same pass as if each position had been a prompt of its own: what each linear map made of it is the same."""
    length = seen.attended[0].query.shape[2] if seen.attended else 0
    alone = [
        replace(c, x=_alone(c.x), y=_alone(c.y))
        for c in seen.calls
        if all(t is None or (t.ndim == 3 and t.shape[1] == length) for t in (c.x, c.y))
    ]
    heads = [
        replace(a, **{n: getattr(a, n).transpose(1, 2).flatten(0, 1).unsqueeze(2) for n in ("query", "key", "value")})
        for a in seen.attended
    ]
    return replace(seen, calls=alone, attended=heads)


def _alone(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.reshape(-1, 1, x.shape[-1])


def look_again(module: PreTrainedModel, tokens: Tensor, interface: bool, repeats: bool = False) -> Seen:
    """The same on other prompts, for a module that can be looked at, with its attention interface or without."""
    calls: list[Call] = []
    running: list[Call] = []
    times = Counter[str]() if repeats else None

    def work(held: Held) -> Seen:
        for path, part in module.named_modules():
            if path:
                held.hook(part, partial(_enter, path, tokens, running, times), before=True, kwargs=True)
                held.hook(part, partial(_leave, calls, tokens, running))
        with attended(held, module, partial(_innermost, running), tokens, interface) as received:
            return Seen(module, tokens, run(module, tokens), interface, calls, received, repeats=repeats)

    return in_state(module, work)


def _enter(
    path: str,
    tokens: Tensor,
    running: list[Call],
    times: Counter[str] | None,
    module: nn.Module,
    args: Any,
    kwargs: dict[str, Any],
) -> None:
    call = Call(path, module, _noted(tokens, args[0] if args else kwargs.get("hidden_states")))
    if times is not None:
        _tell_apart(call, running[-1] if running else None, times)
    running.append(call)


def _innermost(running: list[Call]) -> tuple[nn.Module | None, int | None]:
    return (running[-1].module, running[-1].turn) if running else (None, None)


def _tell_apart(call: Call, outer: Call | None, times: Counter[str]) -> None:
    """Put into its path which call it is, or which the module around it was."""
    plain = "" if outer is None else re.sub(r"#\d+", "", outer.path)
    if outer is not None and call.path.startswith(f"{plain}."):
        call.path = outer.path + call.path[len(plain) :]
    times[call.path] += 1
    call.turn = outer.turn if outer is not None and outer.turn else times[call.path] - 1
    if times[call.path] > 1:
        call.path = f"{call.path}#{times[call.path]}"


def _leave(calls: list[Call], tokens: Tensor, running: list[Call], module: nn.Module, args: Any, output: Any) -> None:
    call = running.pop()
    call.y = _noted(tokens, output[0] if isinstance(output, tuple) and output else output)
    calls.append(call)


def _noted(tokens: Tensor, x: Any) -> Tensor | None:
    """A copy, for modules may write into what they get; where the tokens are, for blocks may lie on several devices."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 2:
        return None
    x = x.detach().to(tokens.device, copy=True)
    return x.unflatten(0, (len(tokens), -1)) if x.ndim == 2 and len(x) % len(tokens) == 0 else x
