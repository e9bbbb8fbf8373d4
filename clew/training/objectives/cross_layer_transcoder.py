"""Learn a cross-layer transcoder. Source: Ameisen et al. 2025, Circuit Tracing: Revealing Computational Graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.dictionaries import CrossLayerTranscoder
from clew.dictionaries.cross_layer_transcoder import check_causal
from clew.sites import Site
from clew.training.objective import Clock, Objective, Scaling
from clew.training.objectives._checks import check_k
from clew.training.objectives._dead import count, dead, never, share, strongest
from clew.training.objectives._matrices import rate, some_rows, variance
from clew.training.objectives._ranked import by_half, chosen
from clew.training.objectives._sparse import Active, write
from clew.training.objectives.topk import Best

Codes = Sequence[tuple[Active, Tensor]]
"""For each layer which units are active, and their values [active]."""


def cross_layer_transcoder(
    *, units: int, k: int, lr: float | None = None, dead_after: int = 100_000, half: bool | None = None
) -> CrossLayers:
    """`units` per layer, k of them active at each, that write to their own layer and all later ones.

    Read (mlp_in.0, mlp_in.1, ...) and write (mlp.0, mlp.1, ...). Decoders start at zero, encoders at rows of x. What is
    made small is the squared error of all layers, each scaled to one size, as a share of their variance.
    Cost: layers * (layers + 1) / 2 decoders of units * d, of which a step touches the rows of active units.

    Args: lr, dead_after, half: as for `topk`. Differs from the source, whose units open above learnt thresholds under a
    sparsity penalty: here k is chosen, per layer. A transcoder across layers may skip the path by which the model
    itself computes; compare with `layer(n)` of the result, or with a `transcoder` per layer.
    Raises: ValueError when k or the sites do not fit.
    """
    return CrossLayers(units, check_k(k, units), half, lr=rate(units, lr), dead_after=dead_after)


class CrossLayers(Objective):
    """`W_enc.l` and `W_dec.l.m` [unit, d] as rows, `b_enc.l` [unit], `b_dec.m` [d_out], for layers l <= m."""

    pairs = True
    several = True

    def __init__(self, units: int, k: int, half: bool | None, *, lr: float, dead_after: int) -> None:
        super().__init__(lr)
        self.units, self.k, self.half, self.dead_after = units, k, half, dead_after

    def place(self, reads: Mapping[Site, int], writes: Mapping[Site, int]) -> None:
        super().place(reads, writes)
        check_causal(list(reads), list(writes))
        self.layers, self.d_in, self.d_out = range(len(reads)), list(reads.values()), list(writes.values())

    def start(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], g: torch.Generator) -> None:
        for layer, (a, b) in enumerate(zip(x.split(self.d_in, dim=1), y.split(self.d_out, dim=1), strict=True)):
            rows = some_rows(self.units, a, g)
            self.tensors |= {f"W_enc.{layer}": rows, f"b_enc.{layer}": -(rows @ a.mean(0)), f"b_dec.{layer}": b.mean(0)}
            for to in self.layers[layer:]:
                self.tensors[f"W_dec.{layer}.{to}"] = x.new_zeros(self.units, self.d_out[to])
        self.state = {"variance": variance(y), "idle": never(len(self.layers) * self.units, x)}

    def codes(self, x: Float[Tensor, "row d_in"], now: Clock) -> Codes:
        found, choose = [], Best(self.k, self.k)
        for layer, part in enumerate(x.split(self.d_in, dim=1)):
            W, b = self.tensors[f"W_enc.{layer}"], self.tensors[f"b_enc.{layer}"]
            half = by_half(self.settings, self.half, W)
            active, raw = chosen(part, part, (W, b, None), lambda p: choose(p, now), half=half)
            found.append((active, raw.relu()))
        return found

    def made(self, codes: Codes) -> Float[Tensor, "row d_out"]:
        """Every layer's output; a layer's list of active units serves all layers that it writes."""
        out = []
        for to in self.layers:
            parts = [
                write(value, self.tensors[f"W_dec.{n}.{to}"], active)
                for n, (active, value) in enumerate(codes[: to + 1])
            ]
            out.append(torch.stack(parts).sum(0) + self.tensors[f"b_dec.{to}"])
        return torch.cat(out, dim=1)

    def loss(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], now: Clock) -> Float[Tensor, ""]:
        codes = self.codes(x, now)
        error = self.made(codes) - y
        loss = error.square().sum(1).mean() / self.state["variance"]
        on = sum(int((value != 0).sum()) for _, value in codes)
        fired = torch.cat([active.fired(value.detach()) for active, value in codes])
        count(self, fired, len(x), on / len(x), self.dead_after)
        self.told["unexplained"] = float(loss.detach())
        return loss + self.revived(x, -error.detach())

    def revived(self, x: Float[Tensor, "row d_in"], left: Float[Tensor, "row d_out"]) -> Tensor | float:
        """Each layer's dead units explain what is left of all the layers that they write; the mean over layers."""
        total = 0.0
        x_by, left_by = x.split(self.d_in, dim=1), left.split(self.d_out, dim=1)
        for layer, idle in enumerate(dead(self, self.dead_after).split(self.units)):
            if bool(idle.any()):
                which, rest = idle.nonzero()[:, 0], torch.cat(left_by[layer:], dim=1)
                total = total + self.revived_at(layer, which, x_by[layer], rest) / len(self.layers)
        return total

    def revived_at(
        self, layer: int, which: Int[Tensor, " dead"], x: Float[Tensor, "row d"], left: Float[Tensor, "row later"]
    ) -> Float[Tensor, ""]:
        t, most = self.tensors, max(1, self.d_out[layer] // 2)
        code = torch.addmm(t[f"b_enc.{layer}"][which], x, t[f"W_enc.{layer}"][which].T)
        code = strongest(code, most, torch.Tensor.detach)
        rows = torch.cat([t[f"W_dec.{layer}.{to}"][which] for to in self.layers[layer:]], dim=1)
        return share(code @ rows, left, len(which), most)

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_out"]:
        return self.made(self.codes(x, Clock(1, 1)))

    def finish(
        self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any
    ) -> CrossLayerTranscoder:
        of, to = _by_site(x, self.d_in), _by_site(y, self.d_out)
        done = {name: self.folded(name, of, to) for name in self.tensors}
        return CrossLayerTranscoder(inputs=reads, outputs=writes, k=self.k, **done, **meta)

    def folded(self, name: str, of: Sequence[Scaling], to: Sequence[Scaling]) -> Tensor:
        """One tensor in the units of the activations; a code comes out in the size of its own layer's output."""
        t, (kind, *layers) = self.tensors[name], name.split(".")
        n = int(layers[0])
        unit = to[n].size
        if kind == "W_enc":
            return (t * (unit / of[n].scale)).T.contiguous()
        if kind == "b_enc":
            return unit * (t - self.tensors[f"W_enc.{n}"] @ (of[n].centre / of[n].scale))
        if kind == "W_dec":
            return t * (to[int(layers[1])].scale / unit)
        return to[n].centre + to[n].scale * t


def _by_site(scaling: Scaling, widths: Sequence[int]) -> list[Scaling]:
    parts = zip(scaling.centre.split(list(widths)), scaling.scale.split(list(widths)), strict=True)
    return [Scaling(centre, scale) for centre, scale in parts]
