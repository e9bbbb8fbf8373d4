"""What a run puts on a module, and how all of it comes off again: one run at a time, wherever it stops.

A transformers module is one for all who share it, and hooks and settings stand on the module itself. So whoever runs it
holds its lock, and everything is put on it through a `Held`, which knows how to take a thing off before it is there.
An interrupt (Ctrl-C) at any point then leaves the module as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Lock, RLock
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

import torch
from torch import nn

T = TypeVar("T")

_locks: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
_of_configs: WeakValueDictionary[int, Any] = WeakValueDictionary()
_making = Lock()


def lock_of(module: nn.Module) -> Any:
    """The re-entrant lock of a module, and of all that were made from the same config object, where settings stand.

    A twin with other weights is a module of its own.
    """
    if module not in _locks:
        with _making:
            shared = _of_configs.setdefault(id(getattr(module, "config", module)), RLock())
            _locks.setdefault(module, shared)
    return _locks[module]


def configs_of(config: Any) -> list[Any]:
    """A config and those inside it, the outermost first."""
    inside = (getattr(config, name, None) for name in getattr(config, "sub_configs", ()))
    return [config, *(each for held in inside if held is not None for each in configs_of(held))]


class Held:
    """What stands on a module for a while. Every undoing is noted before its doing, and may happen twice.

    Whether this thread notes gradients is put back too, whoever changed it: an interrupt within `torch.no_grad`, before its
    block has begun, leaves it off.
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = [partial(torch.set_grad_enabled, torch.is_grad_enabled())]

    def rest(self, module: nn.Module) -> None:
        """No dropout, no weight that requires grad, nothing compiled."""
        modules = list(module.modules())
        training = [m for m in modules if m.training]
        learning = [p for p in module.parameters() if p.requires_grad]
        self._undo.append(partial(_wake, training, learning))
        module.eval()
        for m in modules:  # what torch has compiled heeds no hook that is put on it later
            if m._compiled_call_impl is not None:
                self.put(m, "_compiled_call_impl", None)
            if "_orig_mod" in m._modules:
                self.put(m, "forward", m._orig_mod)
            elif (own := getattr(vars(m).get("forward"), "_torchdynamo_orig_callable", None)) is not None:
                self.put(m, "forward", own)
        for p in learning:
            p.requires_grad_(False)

    def grad(self, on: bool) -> None:
        """Whether this thread notes gradients."""
        torch.set_grad_enabled(on)

    def hook(
        self, module: nn.Module, function: Callable[..., Any], *, before: bool = False, kwargs: bool = False
    ) -> None:
        """A hook after a module's forward, or one `before` it."""
        own = partial(function)  # an object of its own, by which it is found again
        self._undo.append(partial(_unhook, module, own))
        register = module.register_forward_pre_hook if before else module.register_forward_hook
        register(own, with_kwargs=kwargs)

    def put(self, thing: Any, name: str, value: Any) -> None:
        """An attribute that the thing itself holds, or shall hold."""
        held = vars(thing)
        self._undo.append(partial(_put_back, held, name, name in held, held.get(name)))
        held[name] = value

    def setting(self, config: Any, name: str, value: Any) -> None:
        """A setting, set by the config's own rules; if they hand it to configs inside, these get their own back, too."""
        for each in reversed(configs_of(config)):
            self._undo.append(partial(setattr, each, name, getattr(each, name, None)))
        setattr(config, name, value)

    def listed(self, table: dict[nn.Module, list[Any]], module: nn.Module, entry: Any) -> None:
        """An entry in a table of lists by module."""
        self._undo.append(partial(_strike, table, module, entry))
        table.setdefault(module, []).append(entry)

    def parameters(self, module: nn.Module, names: Iterable[str]) -> None:
        """Nothing now: these parameters are put back at the end, whoever takes their places."""
        for name in names:
            path, _, leaf = name.rpartition(".")
            held = module.get_submodule(path)._parameters
            self._undo.append(partial(held.__setitem__, leaf, held[leaf]))

    def release(self) -> None:
        """Take everything off, the last thing first; an interrupt meanwhile is raised when all is off."""
        try:
            while self._undo:
                self._undo[-1]()
                self._undo.pop()
        except BaseException:
            self.release()
            raise


@contextmanager
def state(module: nn.Module) -> Iterator[Held]:
    """Have a module alone and at rest; what is put on it by what is yielded comes off at the end."""
    held = Held()
    with lock_of(module):
        try:
            try:
                held.rest(module)
                yield held
            finally:
                held.release()
        finally:  # an interrupt may come between the first `finally` and its first step
            held.release()


def in_state(module: nn.Module, work: Callable[[Held], T]) -> T:
    """What `work` returns, called as inside `state(module)`.

    No step of this lies outside its `try`, while a `with` has some in contextlib: so all runs come this way.
    """
    held = Held()
    with lock_of(module):
        try:
            try:
                held.rest(module)
                return work(held)
            finally:
                held.release()
        finally:
            held.release()


def _wake(training: list[nn.Module], learning: list[nn.Parameter]) -> None:
    for p in learning:
        p.requires_grad_(True)
    for m in training:
        m.training = True


def _unhook(module: nn.Module, function: Callable[..., Any]) -> None:
    of_kwargs = module._forward_hooks_with_kwargs, module._forward_pre_hooks_with_kwargs
    for hooks, also in zip((module._forward_hooks, module._forward_pre_hooks), of_kwargs, strict=True):
        for key in [key for key, hook in hooks.items() if hook is function]:
            also.pop(key, None)
            hooks.pop(key, None)


def _put_back(held: dict[str, Any], name: str, was: bool, value: Any) -> None:
    if was:
        held[name] = value
    else:
        held.pop(name, None)


def _strike(table: dict[nn.Module, list[Any]], module: nn.Module, entry: Any) -> None:
    left = [e for e in table.get(module, ()) if e is not entry]
    if left:
        table[module] = left
    else:
        table.pop(module, None)
