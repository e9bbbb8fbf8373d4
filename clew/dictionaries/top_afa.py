"""top-AFA: as many units as it takes to make up the length of the activation. Source: Lee et al. 2025 (arXiv:2503.24277)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.dictionaries.dictionary import Learned

FIRST = 64
"""Units looked at per token before I look at more."""


class TopAFA(Learned):
    """f = relu(p) of the strongest units, which together are about as long as x - b_dec (x, if it is not centred).

    Strong is a code times the length of its direction. Of the two counts whose root of summed squares is closest to
    the activation's length, above and below, the closer one is kept; at least one unit is.
    """

    kind = "top_afa"

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        p = self.preactivation(x).relu()
        length = ((x - self.b_dec) if self.centred else x).norm(dim=-1)
        strong = (p * self.W_dec.norm(dim=1)).reshape(-1, self.n_units).detach()
        index, kept = matching(strong, length.detach().reshape(-1))
        on = torch.zeros_like(strong, dtype=torch.bool).scatter_(1, index, kept)
        return torch.where(on.view(p.shape), p, torch.zeros_like(p))


def matching(
    strong: Float[Tensor, "token unit"], length: Float[Tensor, " token"]
) -> tuple[Int[Tensor, "token most"], Bool[Tensor, "token most"]]:
    """The strongest units of each token, and which of them make up its length.

    Sorting all units is dear, so I look at the best few, and at twice as many while some token's do not reach.
    """
    units, few = strong.shape[1], min(FIRST, strong.shape[1])
    while True:
        value, index = strong.topk(few, dim=1)
        reached = value.square().cumsum(1).sqrt()
        if few == units or bool(((reached[:, -1] >= length) | (value[:, -1] <= 0)).all()):
            break
        few = min(units, 2 * few)
    last = (reached - length[:, None]).abs().argmin(1, keepdim=True)
    return index, (torch.arange(few, device=strong.device) <= last) & (value > 0)
