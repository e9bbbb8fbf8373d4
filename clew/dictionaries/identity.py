"""Identity: the coordinates of a site as units; at `neuron.3` these are the neurons of block 3."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from clew.dictionaries.dictionary import Dictionary
from clew.sites import Site


class Identity(Dictionary):
    """The code of x is x; nothing is left over, so there is no error node."""

    kind = "identity"
    unit = "neuron"
    exact = True

    def __init__(self, reads: Site | str, d: int, *, writes: Site | str | None = None, **meta: Any) -> None:
        super().__init__(reads, writes, **meta)
        if self.spans_sites:
            raise ValueError(f"an identity reads and writes one site, not {self.reads} and {self.writes}")
        if d < 1:
            raise ValueError(f"the site {self.reads} needs at least one coordinate, not {d}")
        self.d = d

    @property
    def n_units(self) -> int:
        return self.d

    @property
    def d_in(self) -> int:
        return self.d

    @property
    def d_out(self) -> int:
        return self.d

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_in"]:
        return x

    def decode(self, code: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_in"]:
        return code

    def write(self, delta: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_in"]:
        return delta

    def pull(self, grad: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_in"]:
        return grad

    @property
    def settings(self) -> dict[str, Any]:
        """What is needed to build it again, as plain JSON."""
        return {"d": self.d}
