"""Directions: what probes read as units, so that circuits, ablations and steering may be of a few known directions."""

from __future__ import annotations

from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries.dictionary import Learned
from clew.probing import Probe


class Directions(Learned):
    """The code of x is what each probe says of it, x @ w + b; a unit is written along its direction over |w|^2.

    For one probe, or for several at right angles, the decoder row is w / |w|^2. For others it is the dual of w, the
    vector in the span of all directions on which this probe reads 1 and every other 0; so `encode(decode(code))` is the
    code, a change of one unit changes what its own probe says, by as much, and what no other says, and `pull` gives how
    far a metric moves per unit of a probe's score while the others stay. `decode(encode(x))` is the part of x in the span
    of the directions, as far as the biases tell; the rest is the error. A unit held at 0 puts x on its probe's boundary.
    """

    kind = "directions"

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        return self.preactivation(x)


def directions(*probes: Probe) -> Directions:
    """The directions of probes of one site as a dictionary, a unit for each, in their order.

    Returns: a dictionary in the precision of the weights; `meta["probes"]` says what each was fitted on.
    Raises: ValueError for probes of several sites or widths, or directions of which one follows from the others.

    >>> one = directions(Probe("resid.3", torch.tensor([2.0, 0.0]), 1.0))
    >>> one.encode(torch.tensor([3.0, 5.0])), one.write(torch.tensor([1.0]))
    (tensor([7.]), tensor([0.5000, 0.0000]))
    """
    if len({(probe.site, len(probe.weight)) for probe in probes}) != 1:
        given = ", ".join(f"{probe.site} [{len(probe.weight)}]" for probe in probes) or "none"
        raise ValueError(f"directions of one dictionary are of probes of one site and width; {given} was given")
    w = torch.stack([probe.weight.detach().double() for probe in probes])
    b = torch.tensor([probe.bias for probe in probes], dtype=w.dtype, device=w.device)
    if int(torch.linalg.matrix_rank(w)) < len(probes):
        raise ValueError(f"the directions of {', '.join(map(repr, probes))} are not independent; leave one of them out")
    dual = torch.linalg.solve(w @ w.T, w)
    tensors = {"W_enc": w.T.contiguous(), "b_enc": b, "W_dec": dual, "b_dec": -b @ dual}
    dtype = reduce(torch.promote_types, (probe.weight.dtype for probe in probes))
    told = [{"classes": probe.record["classes"], "fitted": dict(probe.fitted)} for probe in probes]
    return Directions(
        probes[0].site, **{name: tensor.to(dtype) for name, tensor in tensors.items()}, centred=False, probes=told
    )
