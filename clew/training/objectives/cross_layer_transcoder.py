"""Learn a cross-layer transcoder. Source: Ameisen et al. 2025, Circuit Tracing: Revealing Computational Graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import CrossLayerTranscoder
from clew.dictionaries.cross_layer_transcoder import check_causal
from clew.sites import Site
from clew.training.objective import AUXILIARY, Coder, Moment, Scaling
from clew.training.objectives._products import all_products, half_pays
from clew.training.objectives._sparse import Active, read, write
from clew.training.objectives.topk import TopKCoder


def cross_layer_transcoder(
    *, units: int, k: int, lr: float | None = None, dead_after: int = 100_000, half: bool | None = None
) -> Coder:
    """`units` per layer, k of them active at each, that write to their own layer and all later ones.

    Read (mlp_in.0, mlp_in.1, ...) and write (mlp.0, mlp.1, ...). Decoders start at zero, encoders at rows of x. What is
    made small is the squared error of all layers, each scaled to one size, as a share of their variance.
    Cost: layers * (layers + 1) / 2 decoders of units * d, of which a step touches the rows of active units.

    Args: lr, dead_after, half: as for `topk`. Differs from the source, whose units open above learnt thresholds under a
    sparsity penalty: here k is chosen, per layer. A transcoder across layers may skip the path by which the model
    itself computes; compare with `layer(n)` of the result, or with a `transcoder` per layer.
    Raises: ValueError when k or the sites do not fit.
    """
    return CrossLayerCoder(units, k, lr=lr, dead_after=dead_after, half=half)


class CrossLayerCoder(TopKCoder):
    """`W_enc.l` and `W_dec.l.m` [unit, d] as rows, `b_enc.l` [unit], `b_dec.m` [d_out], for layers l <= m."""

    pairs = True
    several = True

    def place(self, reads: Mapping[Site, int], writes: Mapping[Site, int]) -> None:
        super().place(reads, writes)
        check_causal(list(reads), list(writes))
        self.layers, self.d_in, self.d_out = range(len(reads)), list(reads.values()), list(writes.values())

    def start(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], g: torch.Generator) -> None:
        for layer, (a, b) in enumerate(zip(x.split(self.d_in, dim=1), y.split(self.d_out, dim=1), strict=True)):
            rows = self._rows(a, g)
            self.tensors |= {f"W_enc.{layer}": rows, f"b_enc.{layer}": -(rows @ a.mean(0)), f"b_dec.{layer}": b.mean(0)}
            for to in self.layers[layer:]:
                self.tensors[f"W_dec.{layer}.{to}"] = x.new_zeros(self.units, self.d_out[to])
        self.state["variance"] = (y - y.mean(0)).square().sum(1).mean()
        self.state["idle"] = torch.zeros(len(self.layers) * self.units, dtype=torch.long, device=x.device)

    def codes(self, x: Float[Tensor, "row d_in"], now: Moment) -> list[tuple[Active, Float[Tensor, " active"]]]:
        """For each layer which units are active, and their values."""
        found = []
        for layer, part in enumerate(x.split(self.d_in, dim=1)):
            W, b = self.tensors[f"W_enc.{layer}"], self.tensors[f"b_enc.{layer}"]
            with torch.no_grad():
                if self.settings["half"] is None:
                    self.settings["half"] = half_pays(W)
                raw = all_products(part, W, b, half=self.settings["half"])
                active = self.choose(raw, now)
            found.append((active, read(part, W, b, None, active, None if self.settings["half"] else raw).relu()))
        return found

    def made(self, codes: Sequence[tuple[Active, Float[Tensor, " active"]]]) -> Float[Tensor, "row d_out"]:
        """Every layer's output; a layer's list of active units serves all layers that it writes."""
        out = []
        for to in self.layers:
            parts = [
                write(value, self.tensors[f"W_dec.{n}.{to}"], active)
                for n, (active, value) in enumerate(codes[: to + 1])
            ]
            out.append(torch.stack(parts).sum(0) + self.tensors[f"b_dec.{to}"])
        return torch.cat(out, dim=1)

    def loss(self, x: Float[Tensor, "row d_in"], y: Float[Tensor, "row d_out"], now: Moment) -> Float[Tensor, ""]:
        codes = self.codes(x, now)
        error = self.made(codes) - y
        loss = self.unexplained(error)
        on = sum(int((value != 0).sum()) for _, value in codes)
        self.count(torch.cat([active.fired(value.detach()) for active, value in codes]), len(x), on / len(x))
        self.told["unexplained"] = float(loss.detach())
        return loss + self.auxiliary(x, -error)

    def auxiliary(self, x: Float[Tensor, "row d_in"], left: Float[Tensor, "row d_out"]) -> Tensor | float:
        """Each layer's dead units explain what is left of all the layers that they write; the mean over layers."""
        total, left = 0.0, left.detach()
        x_by, left_by = x.split(self.d_in, dim=1), left.split(self.d_out, dim=1)
        for layer, all_dead in enumerate(self.dead.split(self.units)):
            dead = all_dead.nonzero()[:, 0]
            if not len(dead):
                continue
            t, most = self.tensors, max(1, self.d_out[layer] // 2)
            code = torch.addmm(t[f"b_enc.{layer}"][dead], x_by[layer], t[f"W_enc.{layer}"][dead].T)
            if len(dead) > most:
                best = code.detach().topk(most, dim=1, sorted=False).indices
                code = torch.zeros_like(code).scatter(1, best, code.gather(1, best))
            rest = torch.cat(left_by[layer:], dim=1)
            rows = torch.cat([t[f"W_dec.{layer}.{to}"][dead] for to in self.layers[layer:]], dim=1)
            share = (code @ rows - rest).square().sum() / rest.square().sum().clamp_min(1e-12)
            total = total + AUXILIARY * min(1.0, len(dead) / most) * share / len(self.layers)
        return total

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "row d_in"]) -> Float[Tensor, "row d_out"]:
        return self.made(self.codes(x, Moment(1, 1)))

    def finish(
        self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any
    ) -> CrossLayerTranscoder:
        of, to = _by_site(x, self.d_in), _by_site(y, self.d_out)
        done: dict[str, Tensor] = {}
        for name, t in self.tensors.items():
            kind, layer, *later = name.split(".")
            n = int(layer)
            unit = to[n].size  # a code comes out in the size of its own layer's output
            if kind == "W_enc":
                done[name] = (t * (unit / of[n].scale)).T.contiguous()
            elif kind == "b_enc":
                done[name] = unit * (t - self.tensors[f"W_enc.{n}"] @ (of[n].centre / of[n].scale))
            elif kind == "W_dec":
                done[name] = t * (to[int(later[0])].scale / unit)
            else:
                done[name] = to[n].centre + to[n].scale * t
        return CrossLayerTranscoder(inputs=reads, outputs=writes, k=self.k, **done, **meta)


def _by_site(scaling: Scaling, widths: Sequence[int]) -> list[Scaling]:
    parts = zip(scaling.centre.split(list(widths)), scaling.scale.split(list(widths)), strict=True)
    return [Scaling(centre, scale) for centre, scale in parts]
