"""Taps: for each site, which module to hook, on which side, and how to see the site in what passes there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from clew.models import attention
from clew.models.architecture import Architecture
from clew.models.state import Held
from clew.sites import Site

Visit = Callable[[Tensor], Tensor]
"""Called with what flows at a site; returns what shall flow on."""


@dataclass(frozen=True)
class Tap:
    """One place to look into."""

    module: nn.Module
    side: str
    """`in`, `out`, or `pattern`: inside the attention interface of the module."""
    columns: Tensor | None = None
    """Columns of a fused projection that make up the site."""

    def attach(self, held: Held, visit: Visit, batch: int) -> None:
        """Hook the module so that every call goes through `visit`, for as long as `held` holds."""
        through = partial(self._through, visit, batch)
        if self.side == "pattern":
            attention.watch(held, self.module, visit)
        elif self.side == "in":
            held.hook(self.module, partial(_before, through), before=True, kwargs=True)
        else:
            held.hook(self.module, partial(_after, through))

    def _through(self, visit: Visit, batch: int, x: Tensor) -> Tensor:
        seen = x.unflatten(0, (batch, -1)) if x.ndim == 2 else x  # OPT flattens batch and sequence
        part = seen if self.columns is None else seen[..., self.columns.to(x.device)]
        new = visit(part)
        if self.columns is not None:
            new = seen.index_copy(-1, self.columns.to(x.device), new)
        return new.reshape(x.shape)


def _before(through: Visit, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    if args:
        return (through(args[0]), *args[1:]), kwargs
    return args, kwargs | {"hidden_states": through(kwargs["hidden_states"])}


def _after(through: Visit, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    return (through(output[0]), *output[1:]) if isinstance(output, tuple) else through(output)


def taps_of(module: PreTrainedModel, record: Architecture) -> dict[Site, Tap]:
    """Every site of the model, in forward order."""
    blocks = list(module.get_submodule(record.blocks).children())
    taps = {Site("embed"): Tap(blocks[0], "in"), Site("final"): Tap(module.get_submodule(record.norm), "out")}
    fused = None if record.columns is None else record.columns(module.config)
    for layer, block in enumerate(blocks):
        at: dict[str, tuple[str, str]] = {
            "attn_in": (record.attn, "in"),
            "head": (record.output, "in"),
            "attn": (record.attn_write or record.attn, "out"),
            "mlp_in": (record.mlp, "in"),
            "neuron": (record.down, "in"),
            "mlp_out": (record.down, "out"),
            "mlp": (record.mlp_write or record.mlp, "out"),
            "resid": ("", "out"),
        }
        for part, (path, side) in at.items():
            taps[Site(part, layer)] = Tap(block.get_submodule(path), side)
        for i, part in enumerate("qkv"):
            path = record.qkv if isinstance(record.qkv, str) else record.qkv[i]
            columns = None if fused is None else fused[part]
            taps[Site(part, layer)] = Tap(block.get_submodule(path), "out", columns)
        if record.pattern == "interface":
            owner = block.get_submodule(record.output.rpartition(".")[0])
            taps[Site("pattern", layer)] = Tap(owner, "pattern")
        elif record.pattern:
            taps[Site("pattern", layer)] = Tap(block.get_submodule(record.pattern), "out")
    return dict(sorted(taps.items(), key=lambda item: item[0].order))
