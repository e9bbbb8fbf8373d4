"""The sites `router`, `expert` and `expert_neuron`: which experts a mixture chooses, how much of each, and what each gives.

Transformers' mixtures hand a module of experts the rows x, the indices of the experts chosen for each row and their weights;
it gives the weighted sum. One at a time these are the outputs of single experts: the same module is asked once for each slot.
Their hidden units are seen with the unit matrix in place of the output projection. What flows on stays the module's own, bit
for bit, unless something changed there. Source: Jacobs et al. 1991, Adaptive
Mixtures of Local Experts; Shazeer et al. 2017, arXiv:1701.06538, for the sparse kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from clew.models.state import Held

Visit = Callable[[Tensor], Tensor]
SHIFT = "clew_shift"
"""What an output bears by which an edit of hidden units moved each expert, [row, expert, d_model]."""
NAMES = ("hidden_states", "top_k_index", "top_k_weights")


class Chosen(NamedTuple):
    """What a module of experts is given."""

    x: Tensor
    """[row, d_model]."""
    index: Tensor
    """[row, slot], the expert of each slot."""
    weights: Tensor
    """[row, slot]."""

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Chosen | None:
        """From the arguments of a call; None for one of another kind."""
        given = dict(zip(NAMES, args, strict=False)) | {name: kwargs[name] for name in NAMES if name in kwargs}
        if given.keys() != set(NAMES) or not all(isinstance(t, Tensor) and t.ndim == 2 for t in given.values()):
            return None
        chosen = cls(*(given[name] for name in NAMES))
        fits = chosen.index.shape == chosen.weights.shape and len(chosen.index) == len(chosen.x)
        return chosen if fits and not chosen.index.is_floating_point() else None

    def replaced(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of the call with these in place of those it had."""
        by_place = min(len(args), len(NAMES))
        named = {name: value for name, value in zip(NAMES, self, strict=True) if name in NAMES[by_place:]}
        return (*self[:by_place], *args[by_place:]), {**kwargs, **named}


def count(module: nn.Module) -> int:
    """How many experts a module holds: the first axis of its matrices. 0 where it holds none side by side."""
    sizes = {p.shape[0] for p in module.parameters(recurse=False) if p.ndim == 3}
    return sizes.pop() if len(sizes) == 1 else 0


def each(module: nn.Module, chosen: Chosen) -> Tensor:
    """What every expert gives, times its weight, [row, expert, d_model]; 0 for those that were not chosen."""
    call: Callable[..., Tensor] = module.forward  # which no hook sees
    out = chosen.x.new_zeros(len(chosen.x), count(module), chosen.x.shape[-1])
    for slot in range(chosen.index.shape[1]):
        some = slice(slot, slot + 1)
        given = call(chosen.x, chosen.index[:, some], chosen.weights[:, some])
        at = chosen.index[:, some, None].expand(-1, 1, given.shape[-1])
        out = out.scatter_add(1, at, given[:, None].to(out))
    return out


def down_of(module: nn.Module) -> Tensor | None:
    """The output projections of experts, [expert, d_model, unit]; None for a module that holds them in another way."""
    down = module._parameters.get("down_proj")
    if down is None or down.ndim != 3 or type(down) is not nn.Parameter:
        return None
    return down.mT if getattr(module, "is_transposed", False) else down


def neurons(module: nn.Module, chosen: Chosen) -> Tensor:
    """The hidden units of every expert, times its weight, [row, expert, unit]; 0 for those that were not chosen.

    Raises: ValueError for a module that holds no output projections that are known.
    """
    down = down_of(module)
    if down is None:
        raise ValueError(f"a {type(module).__name__} holds no output projections of experts that are known")
    _, width, units = down.shape
    parts: list[Tensor] = []
    for first in range(0, units, width):
        some = torch.zeros_like(down)
        index = torch.arange(min(width, units - first), device=down.device)
        some[:, index, first + index] = 1
        with _in_place_of_down(module, some):
            parts.append(each(module, chosen)[..., : len(index)])
    return torch.cat(parts, -1)


@contextmanager
def _in_place_of_down(module: nn.Module, down: Tensor) -> Iterator[None]:
    """Other output projections, without biases; whoever comes here holds the module."""
    own = {
        name: p for name, p in module._parameters.items() if name in ("down_proj", "down_proj_bias") and p is not None
    }
    stored = down.mT.contiguous() if getattr(module, "is_transposed", False) else down
    try:
        for name, p in own.items():
            new = stored if name == "down_proj" else torch.zeros_like(p)
            module._parameters[name] = nn.Parameter(new, requires_grad=False)
        yield
    finally:
        module._parameters.update(own)


def put_out(module: nn.Module, units: Tensor) -> Tensor:
    """What experts give of their hidden units, [row, expert, d_model], without the biases of their output projections."""
    down = down_of(module)
    assert down is not None, "inference has found them"
    return torch.einsum("reu,edu->red", units, down.to(units))


def biases(module: nn.Module, chosen: Chosen) -> Tensor:
    """The biases of their output projections, times the weights of the chosen experts, [row, expert, d_model or 1]."""
    dense = chosen.weights.new_zeros(len(chosen.x), count(module)).scatter(1, chosen.index, chosen.weights)
    bias = module._parameters.get("down_proj_bias")
    return dense[..., None] * (dense.new_zeros(count(module), 1) if bias is None else bias.detach().to(dense))


def visit_neurons(held: Held, module: nn.Module, visit: Visit, batch: int) -> None:
    """Let `visit` see, and replace, units times weights, [batch, seq, expert * unit]; before those who visit the experts."""
    held.hook(module, partial(_within, visit, batch), kwargs=True)


def visit_experts(held: Held, module: nn.Module, visit: Visit, batch: int) -> None:
    """Let `visit` see, and replace, what the experts give, [batch, seq, expert * d_model]."""
    held.hook(module, partial(_after, visit, batch), kwargs=True)


def visit_router(held: Held, module: nn.Module, visit: Visit, batch: int) -> None:
    """Let `visit` see, and replace, the weights of the experts, [batch, seq, expert], 0 for those that were not chosen."""
    held.hook(module, partial(_before, visit, batch), before=True, kwargs=True)


def _within(visit: Visit, batch: int, module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Tensor:
    chosen = Chosen.of(args, kwargs)
    assert chosen is not None, "inference has seen it called so"
    units = neurons(module, chosen)
    seen = units.flatten(1).unflatten(0, (batch, -1))
    new = visit(seen)
    if not new.requires_grad and torch.equal(new, seen):
        return output
    shift = put_out(module, (new - seen).flatten(0, 1).unflatten(1, units.shape[1:]))
    moved = output + shift.sum(1).to(output.dtype)
    vars(moved)[SHIFT] = shift
    return moved


def _after(visit: Visit, batch: int, module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Tensor:
    chosen = Chosen.of(args, kwargs)
    assert chosen is not None, "inference has seen it called so"
    outputs = each(module, chosen)
    if (shift := vars(output).get(SHIFT)) is not None:
        outputs = outputs + shift.to(outputs)
    seen = outputs.flatten(1).unflatten(0, (batch, -1))
    new = visit(seen)
    total = new.unflatten(-1, outputs.shape[1:]).sum(-2).flatten(0, 1).to(output.dtype)
    moved = (new != seen).any(-1).flatten()[:, None]
    return torch.where(moved, total, output.detach() + (total - total.detach()) if total.requires_grad else output)


def _before(visit: Visit, batch: int, module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    chosen = Chosen.of(args, kwargs)
    assert chosen is not None, "inference has seen it called so"
    dense = chosen.weights.new_zeros(len(chosen.x), count(module)).scatter(1, chosen.index, chosen.weights)
    new = visit(dense.unflatten(0, (batch, -1))).flatten(0, 1)
    index, weights = chosen.index, new.gather(1, chosen.index)
    others = new.scatter(1, index, 0.0)
    if more := int((others != 0).sum(1).max()):  # an edit may choose other experts, too
        further = others.detach().abs().topk(more).indices
        index, weights = torch.cat([index, further], 1), torch.cat([weights, others.gather(1, further)], 1)
    return chosen._replace(index=index, weights=weights).replaced(args, kwargs)
