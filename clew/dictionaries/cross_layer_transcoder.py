"""Cross-layer transcoder: units read one layer's MLP input and write to that layer's MLP output and all later ones.

Source: Ameisen et al. 2025, Circuit Tracing; Lindsey et al. 2024.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clew.dictionaries.dictionary import Dictionary
from clew.dictionaries.topk import TopK
from clew.sites import Site

NAMES = ("W_enc", "b_enc", "W_dec", "b_dec")


class CrossLayerTranscoder(Dictionary):
    """k units per layer; layer m's output is the sum of what the units of all layers up to m write to it.

    x, y and the code are all layers side by side, in the order of `inputs` and `outputs`. Tensors, by layer l and the
    layer m >= l written: `W_enc.l` [d_in, unit], `b_enc.l` [unit], `W_dec.l.m` [unit, d_out], `b_dec.m` [d_out].
    """

    kind = "cross_layer_transcoder"
    joint = True

    def __init__(
        self,
        reads: Site | str | None = None,
        writes: Site | str | None = None,
        *,
        inputs: Sequence[Site | str],
        outputs: Sequence[Site | str],
        k: int,
        **rest: Any,
    ) -> None:
        """Args: inputs, outputs: the sites, layer by layer; rest: the tensors by name ("W_dec.0.2"), and `meta`.

        Raises: ValueError when sites, tensors and shapes do not go together.
        """
        self.inputs, self.outputs = (tuple(map(Site.parse, sites)) for sites in (inputs, outputs))
        check_causal(self.inputs, self.outputs)
        ends = (self.inputs[0], self.outputs[-1])
        if (Site.parse(reads or ends[0]), Site.parse(writes or ends[1])) != ends:
            raise ValueError(
                f"this cross-layer transcoder belongs to {self._span}; it cannot be put at {reads} -> {writes}"
            )
        tensors = {name: t for name, t in rest.items() if name.partition(".")[0] in NAMES}
        super().__init__(*ends, **{name: value for name, value in rest.items() if name not in tensors})
        self._check(tensors)
        self.k, self.layers = k, len(self.inputs)
        self.W_enc, self.b_enc, self.b_dec = (_Tensors(tensors, name) for name in ("W_enc", "b_enc", "b_dec"))
        self.W_dec = nn.ModuleList([_Tensors(tensors, f"W_dec.{layer}") for layer in range(self.layers)])
        self.widths, self.widths_out, self.units = (
            [len(tensors[f"{name}.{layer}"]) for layer in range(self.layers)] for name in ("W_enc", "b_dec", "b_enc")
        )
        if not 1 <= k <= min(self.units):
            raise ValueError(f"k is {k}; it must lie between 1 and the number of units of a layer, {min(self.units)}")

    def _check(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises: ValueError for a tensor that is missing, too many, or of another shape."""
        layers = range(len(self.inputs))
        wanted = [f"{name}.{layer}" for name in ("W_enc", "b_enc", "b_dec") for layer in layers]
        wanted += [f"W_dec.{layer}.{to}" for layer in layers for to in layers[layer:]]
        if differing := set(wanted) ^ set(tensors):
            raise ValueError(
                f"a cross-layer transcoder of {len(layers)} layers holds {wanted}; not so {sorted(differing)}"
            )
        for name in wanted:
            kind, layer, to = (*name.split("."), "")[:3]
            units, (read, written) = (
                len(tensors[f"b_enc.{layer}"]),
                (tensors[f"{n}.{layer}"] for n in ("W_enc", "b_dec")),
            )
            shape = {
                "W_enc": (len(read), units),
                "b_enc": (units,),
                "b_dec": (len(written),),
                "W_dec": (units, len(tensors[f"b_dec.{to or layer}"])),
            }[kind]
            if tuple(tensors[name].shape) != shape:
                raise ValueError(
                    f"{name} of the cross-layer transcoder has shape {tuple(tensors[name].shape)}, not {shape}"
                )

    @property
    def n_units(self) -> int:
        return sum(self.units)

    @property
    def d_in(self) -> int:
        return sum(self.widths)

    @property
    def d_out(self) -> int:
        return sum(self.widths_out)

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        return torch.cat([self._code(n, part) for n, part in enumerate(x.split(self.widths, dim=-1))], dim=-1)

    def _code(self, layer: int, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        p = x @ self.W_enc[layer] + self.b_enc[layer]
        value, index = p.topk(self.k, dim=-1, sorted=False)
        return torch.zeros_like(p).scatter(-1, index, value.relu())

    def decode(self, code: Float[Tensor, "*batch unit"]) -> Float[Tensor, "*batch d_out"]:
        return self.write(code) + torch.cat([self.b_dec[layer] for layer in range(self.layers)])

    def write(self, delta: Float[Tensor, "*batch unit"]) -> Float[Tensor, "*batch d_out"]:
        by_layer, layers = delta.split(self.units, dim=-1), range(self.layers)
        return torch.cat(
            [torch.stack([by_layer[n] @ self.rows(n, to) for n in layers[: to + 1]]).sum(0) for to in layers], dim=-1
        )

    def pull(self, grad: Float[Tensor, "*batch d_out"]) -> Float[Tensor, "*batch unit"]:
        by_layer, layers = grad.split(self.widths_out, dim=-1), range(self.layers)
        return torch.cat(
            [torch.stack([by_layer[to] @ self.rows(n, to).T for to in layers[n:]]).sum(0) for n in layers], dim=-1
        )

    def rows(self, layer: int, to: int) -> Float[Tensor, "unit d_out"]:
        """What a layer's units write to its own or a later layer."""
        return self.get_buffer(f"W_dec.{layer}.{to}")

    def layer(self, number: int) -> TopK:
        """One layer's units as a transcoder of their own: what they write to their own layer, and nothing of others.

        A model can be seen through it; it explains less than the whole does, for later layers lean on earlier ones.
        Raises: ValueError for a layer that is not there.
        """
        if not 0 <= number < self.layers:
            raise ValueError(
                f"there is no layer {number} among the {self.layers} of this transcoder; they count from 0"
            )
        return TopK(
            self.inputs[number],
            self.outputs[number],
            k=self.k,
            W_enc=self.W_enc[number],
            b_enc=self.b_enc[number],
            W_dec=self.rows(number, number),
            b_dec=self.b_dec[number],
            centred=False,
            **self.meta,
        )

    @property
    def fingerprint(self) -> str:
        """A hash of the kind, all sites and every value of every tensor."""
        return hashlib.sha256(f"{super().fingerprint} {self._span} {self.inputs} {self.outputs}".encode()).hexdigest()[
            :16
        ]

    @property
    def settings(self) -> dict[str, Any]:
        """What is needed beside the tensors to build it again, as plain JSON."""
        return {"inputs": list(map(str, self.inputs)), "outputs": list(map(str, self.outputs)), "k": self.k}

    @property
    def _span(self) -> str:
        return " -> ".join("+".join(map(str, sites)) for sites in (self.inputs, self.outputs))

    def extra_repr(self) -> str:
        return f"{self._span}, {self.n_units} units"


class _Tensors(nn.Module):
    """The tensors `name.0`, `name.1`, ... as buffers, so that they are saved under these names."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str) -> None:
        super().__init__()
        for full, tensor in tensors.items():
            if full.startswith(f"{name}."):
                self.register_buffer(full[len(name) + 1 :], tensor)

    def __getitem__(self, number: int) -> Tensor:
        return self.get_buffer(str(number))


def check_causal(inputs: Sequence[Site], outputs: Sequence[Site]) -> None:
    """Raises: ValueError unless the sites are pairs, layer by layer in forward order, none read after it is written."""
    ordered = list(inputs) == sorted(set(inputs)) and list(outputs) == sorted(set(outputs))
    if (
        len(inputs) != len(outputs)
        or len(inputs) < 2
        or not ordered
        or any(read.order >= write.order for read, write in zip(inputs, outputs, strict=False))
    ):
        raise ValueError(
            "a cross-layer transcoder reads and writes at least two layers in forward order, as mlp_in.0, mlp_in.1 -> "
            f"mlp.0, mlp.1; it was given {', '.join(map(str, inputs))} -> {', '.join(map(str, outputs))}"
        )
