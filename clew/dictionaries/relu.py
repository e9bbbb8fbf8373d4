"""ReLU autoencoder: f = relu(x W_enc + b_enc). Source: Bricken et al. 2023; Marks et al. 2024, section 2."""

from jaxtyping import Float
from torch import Tensor

from clew.dictionaries.dictionary import Learned


class ReLU(Learned):
    """Units are rectified linear readings of the site."""

    kind = "relu"

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch unit"]:
        return self.preactivation(x).relu()
