"""Taps: for each site, which module to hook, on which side, and how to see the site in what passes there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from clew.models import attention, experts
from clew.models.layout import INNER, OUTER, Layout, Part
from clew.models.state import Held
from clew.sites import ENCODER, Site

Visit = Callable[[Tensor], Tensor]
"""Called with what flows at a site; returns what shall flow on."""


LATENTS = {"q_latent": "q", "kv_latent": "v"}
"""What low-rank maps of an attention read, and the map by which it is found."""


@dataclass(frozen=True)
class Tap:
    """One place to look into."""

    module: nn.Module
    side: str
    """`in`, `out`, `pattern`: inside the attention interface of the module, or `router`, `expert_neuron`, `expert`: beside
    its experts."""
    columns: Tensor | None = None
    """Columns of a fused projection that make up the site."""
    factor: float = 1.0
    """What the module's output is multiplied by after it; the site is the product."""
    turn: int | None = None
    """Which call of a module that is called several times in a pass, as in ALBERT; None for one that is called once."""
    gate: nn.Module | None = None
    """A linear map of what the module reads to one number, whose sigmoid multiplies the output, too."""

    def attach(self, held: Held, visit: Visit, batch: int) -> None:
        """Hook the module so that every call goes through `visit`, for as long as `held` holds."""
        if self.turn is not None:
            visit = _on_turn(self.turn, visit)
        through = partial(self._through, visit, batch)
        if self.side == "pattern":
            attention.watch(held, self.module, visit)
        elif self.side == "expert":
            experts.visit_experts(held, self.module, visit, batch)
        elif self.side == "expert_neuron":
            experts.visit_neurons(held, self.module, visit, batch)
        elif self.side == "router":
            experts.visit_router(held, self.module, visit, batch)
        elif self.side == "in":
            held.hook(self.module, partial(_before, through), before=True, kwargs=True)
        elif self.gate is not None:
            held.hook(self.module, partial(self._gated, visit, batch))
        else:
            held.hook(self.module, partial(_after, through))

    def _gated(self, visit: Visit, batch: int, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        assert self.gate is not None
        gate: Callable[..., Tensor] = self.gate.forward  # which no hook sees
        share = gate(args[0]).sigmoid()
        return self._through(lambda x: _scaled(x, share.view(*x.shape[:-1], 1), visit), batch, output)

    def _through(self, visit: Visit, batch: int, x: Tensor) -> Tensor:
        seen = x.unflatten(0, (batch, -1)) if x.ndim == 2 else x  # OPT flattens batch and sequence
        seen = seen[:, 0] if seen.ndim == 4 and seen.shape[1] == 1 and self.side != "pattern" else seen  # as one head
        part = seen if self.columns is None else seen[..., self.columns.to(x.device)]
        new = visit(part) if self.factor == 1 else _scaled(part, self.factor, visit)
        if self.columns is not None:
            new = seen.index_copy(-1, self.columns.to(x.device), new)
        return new.reshape(x.shape)


def _on_turn(turn: int, visit: Visit) -> Visit:
    """Visits one call of a pass, and lets the others go by."""
    calls = count()
    return lambda x: visit(x) if next(calls) == turn else x


def _scaled(x: Tensor, factor: float | Tensor, visit: Visit) -> Tensor:
    """What flows on where `factor` times it was visited: as it was, to the bit, where nothing changed there."""
    seen = x * factor
    new = visit(seen)
    back = new / factor
    return torch.where(new == seen, back + (x - back).detach(), back)


def _before(through: Visit, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    if args:
        return (through(args[0]), *args[1:]), kwargs
    return args, kwargs | {"hidden_states": through(kwargs["hidden_states"])}


def _after(through: Visit, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    return (through(output[0]), *output[1:]) if isinstance(output, tuple) else through(output)


def taps_of(module: PreTrainedModel, layout: Layout) -> dict[Site, Tap]:
    """Every site of the model, in forward order."""
    blocks = layout.blocks_of(module)
    if layout.norm:
        end = Tap(module.get_submodule(layout.norm), "out")
    else:
        last = Tap(blocks[-1], "out", turn=layout.turn(len(blocks) - 1))
        end = Tap(module.get_submodule(layout.unembed), "in") if layout.unembed else last
    taps = {Site("embed"): Tap(blocks[0], "in"), Site("final"): end}
    for layer, (block, parts) in enumerate(zip(blocks, layout.parts, strict=True)):
        taps[Site("resid", layer)] = Tap(block, "out")
        for part in parts:
            taps |= {Site(name, layer): tap for name, tap in _taps_of_part(block, part)}
    if layout.order:
        taps = {
            site: tap if site.layer is None else replace(tap, turn=layout.turn(site.layer))
            for site, tap in taps.items()
        }
        taps[Site("embed")] = replace(taps[Site("embed")], turn=0)
    if layout.encoder is not None:
        taps |= {replace(site, stack=ENCODER): tap for site, tap in taps_of(module, layout.encoder).items()}
    return dict(sorted(taps.items(), key=lambda item: item[0].order))


def _taps_of_part(block: nn.Module, part: Part) -> Iterator[tuple[str, Tap]]:
    """The sites of one part, by what they are called."""
    site = part.site
    yield part.kind, Tap(block.get_submodule(part.write), "out", factor=part.factor)
    if part.reads:
        yield f"{part.kind}_in", Tap(block.get_submodule(part.reads), "in")
    if part.projection:
        projection = block.get_submodule(part.projection)
        yield INNER[part.kind], Tap(projection, "in")
        if part.kind in OUTER:
            yield OUTER[part.kind], Tap(projection, "out")
    if part.mixture:
        yield "mlp_out", Tap(block.get_submodule(part.mixture), "out")
    if part.shared:
        gate = block.get_submodule(part.shared_gate) if part.shared_gate else None
        yield "shared", Tap(block.get_submodule(part.shared), "out", gate=gate)
    if part.shared_projection:
        projection = block.get_submodule(part.shared_projection)
        yield "shared_neuron", Tap(projection, "in")
        yield "shared_out", Tap(projection, "out")
    if part.experts:
        for name in ("router", *(["expert_neuron"] if part.expert_units else []), "expert"):
            yield name, Tap(block.get_submodule(part.experts), name)
    if part.kind == "attn":
        for name, of in LATENTS.items():
            if of in part.maps and part.maps[of].latent:
                yield name, Tap(block.get_submodule(part.maps[of].path), "in")
    for name, map in part.maps.items():
        yield site(name), Tap(block.get_submodule(map.path), "out", map.rows)
    if part.pattern == "interface":
        yield site("pattern"), Tap(block.get_submodule(part.caller), "pattern")
    elif part.pattern:
        yield site("pattern"), Tap(block.get_submodule(part.pattern), "out")
