"""What attention was given in a pass: queries, keys and values as they are multiplied, and the mix that comes of it.

Seen where a model calls transformers' attention interface; elsewhere in torch's own attention, or in a softmax between
two products.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from clew.models.attention import route
from clew.models.state import Held

SEEN = "clew_seen_"
"""What the names of the implementations begin with that note what they are given."""

PRODUCTS = {"matmul": 0, "__matmul__": 0, "bmm": 0, "baddbmm": 1}
"""Products by the name of their function, and which argument is the first factor."""


Innermost = Callable[[], tuple[nn.Module | None, int | None]]
"""Which module is running, the innermost one (None where it is the model itself), and which of its calls this is."""


@dataclass(eq=False)
class Attended:
    """One call of one attention."""

    owner: nn.Module
    """The module that called the interface, or the innermost one that was running."""
    query: Tensor
    """[batch, head, seq, d_head], as the keys and values, of which there may be fewer heads."""
    key: Tensor
    value: Tensor
    mix: Tensor
    """[batch, seq, heads side by side]."""
    interface: bool
    probabilities: Tensor | None = None
    """[batch, head, query, key], where a softmax was seen."""
    turn: int | None = None
    """Which call of its owner, where blocks share modules."""
    sinks: bool = False
    """Whether a logit that attends to nothing takes its share of them."""


@contextmanager
def attended(
    held: Held, module: PreTrainedModel, innermost: Innermost, tokens: Tensor, interface: bool
) -> Iterator[list[Attended]]:
    """All attention that happens inside, in a list that fills.

    Args: innermost: asked which module is running. interface: whether to stand in transformers'
    attention interface too; some families ask for the implementation's name and would take another way.
    """
    found: list[Attended] = []
    functions = _Functions(found, innermost, tokens)
    if getattr(module.config, "_attn_implementation", None) is not None and interface:
        route(held, module, SEEN, lambda own: _noting(own, functions))
    with functions:
        yield found


def _noting(own: str, functions: _Functions) -> Callable[..., Any]:
    """An implementation of the interface that notes what goes through the model's own."""

    def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, **rest: Any) -> Any:
        eager: Any = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
        inner = ALL_ATTENTION_FUNCTIONS.get_interface(own, eager)
        asked, by, mixed = (functions.noted(t) for t in (query, key, value))
        functions.inside += 1
        try:
            out = inner(module, query, key, value, *args, **rest)
        finally:
            functions.inside -= 1
        mix = functions.noted(out[0]).flatten(2)
        turn, sinks = functions.innermost()[1], rest.get("s_aux") is not None
        functions.found.append(Attended(module, asked, by, mixed, mix, True, turn=turn, sinks=sinks))
        return out

    return attend


class _Functions(TorchFunctionMode):
    """Notes torch's attention, and every softmax whose outcome a product mixes values by."""

    def __init__(self, found: list[Attended], innermost: Innermost, tokens: Tensor) -> None:
        super().__init__()
        self.found, self.innermost, self.tokens = found, innermost, tokens
        self.inside = 0
        self._product: tuple[Tensor, Tensor, Tensor] | None = None
        self._softmax: tuple[Tensor, Tensor, Tensor] | None = None

    def noted(self, x: Tensor) -> Tensor:
        """A copy, where the tokens are."""
        return x.detach().to(self.tokens.device, copy=True)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not self.inside:
            name = getattr(func, "__name__", "")
            if name == "scaled_dot_product_attention":
                query, key, value = (*args[:3], *(kwargs[k] for k in ("query", "key", "value") if k in kwargs))
                self._note(query, key.mT, value, out)
            elif name in PRODUCTS:
                self._multiplied(PRODUCTS[name], args, kwargs, out)
            elif name in ("softmax", "_softmax") and self._product and out.numel() == self._product[2].numel():
                self._softmax = (*self._product[:2], self.noted(out))
        return out

    def _multiplied(self, first: int, args: Any, kwargs: dict[str, Any], out: Tensor) -> None:
        factors = [*args[first : first + 2], *(kwargs[k] for k in ("batch1", "batch2", "mat2", "other") if k in kwargs)]
        if len(factors) != 2 or min(f.ndim for f in factors) < 3:
            return
        a, b = factors
        if self._softmax and a.numel() == self._softmax[2].numel():
            query, key, probabilities = self._softmax
            if torch.equal(a.reshape(-1), probabilities.reshape(-1).to(a)):
                self._note(query, key, b, out, probabilities)
                self._softmax = None
                return
        self._product = a, b, out

    def _note(
        self, query: Tensor, keys: Tensor, value: Tensor, out: Tensor, probabilities: Tensor | None = None
    ) -> None:
        """`keys` are as they are multiplied, [batch, head, d_head, seq]."""
        owner, turn = self.innermost()
        if owner is None:
            return
        given = [self._by_head(self.noted(t)) for t in (query, keys.mT, value)]
        mix = self._by_head(self.noted(out)).transpose(1, 2).flatten(2)
        seen = None if probabilities is None else self._by_head(probabilities)
        self.found.append(Attended(owner, given[0], given[1], given[2], mix, False, seen, turn))

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(0, (len(self.tokens), -1)) if x.ndim == 3 else x
