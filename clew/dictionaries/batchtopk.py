"""BatchTopK: as many units as the token needs, k on average. Source: Bussmann et al. 2024 (arXiv:2412.06410)."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from clew.dictionaries.dictionary import Learned, threshold_gate
from clew.sites import Site


class BatchTopK(Learned):
    """f = relu(p) where relu(p) > threshold, else 0; one `threshold` [] for all units.

    In training the k * batch largest pre-activations of a batch survive; the mean of the smallest
    survivor is the threshold, so that afterwards the code of a token does not depend on its batch.
    """

    kind = "batchtopk"
    threshold: Tensor

    def __init__(self, reads: Site | str, writes: Site | str | None = None, *, threshold: Tensor, **rest: Any) -> None:
        super().__init__(reads, writes, **rest)
        if threshold.numel() != 1:
            raise ValueError(
                f"threshold of the dictionary at {self.writes} has shape {tuple(threshold.shape)}; "
                "BatchTopK has one for all units: (). With one per unit it is a JumpReLU dictionary"
            )
        self.register_buffer("threshold", threshold.reshape(()))

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        return threshold_gate(self.preactivation(x).relu(), self.threshold)
