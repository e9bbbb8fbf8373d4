"""Collect an ITDA dictionary. Source: Leask et al. 2025 (arXiv:2505.17769)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clew.dictionaries import ITDA
from clew.dictionaries.itda import pursue, values
from clew.scale import processes
from clew.sites import Site
from clew.training.objective import Clock, Objective, Scaling
from clew.training.objectives._checks import check_k
from clew.training.objectives._matrices import variance

SAME = 0.999
"""Two activations with a cosine above this are one atom."""


def itda(*, units: int, k: int, tau: float | None = None) -> Collector:
    """Activations that the atoms so far explain worst become atoms; nothing is learnt by gradient.

    Args:
        k: rounds of matching pursuit.
        tau: without it, every batch gives its share of the `units`, its worst rows. With it, as in the paper: rows are
            brought to length one, and all whose mean squared error per coordinate exceeds tau are added, up to `units`.

    Give about as many steps as one pass through the source takes. The result has at most `units` atoms: fewer if all
    is explained. Differs from the paper: the fixed share is the default, so that the size is known beforehand, and
    activations are centred. Raises: ValueError when k or tau does not fit.
    """
    return Collector(units, k, tau)


class Collector(Objective):
    """`atoms` [atom, d] of length one and their products `gram`, in `state`: both grow."""

    gathers = True

    def __init__(self, units: int, k: int, tau: float | None) -> None:
        super().__init__(lr=0.0)
        self.units, self.k, self.tau = units, check_k(k, units), tau
        self.candidates: list[Tensor] = []
        """This step's rows that may become atoms, with what is left of them as a last column."""

    def start(self, x: Float[Tensor, "row d"], y: Float[Tensor, "row d"], g: torch.Generator) -> None:
        if self.tau is not None and not 0 < self.tau < 1 / x.shape[1]:
            raise ValueError(
                f"tau is {self.tau}; a row of length one in {x.shape[1]} dimensions has at most a mean squared error of "
                f"{1 / x.shape[1]:.3g}, so choose a number between 0 and that"
            )
        self.state = {"atoms": x.new_empty(0, x.shape[1]), "gram": x.new_empty(0, 0)}
        self.state["variance"] = variance(x)

    def wanted(self, now: Clock) -> int:
        """How many atoms may be added at this step."""
        upto = self.units if self.tau is not None else self.units * now.step // now.steps
        return upto - len(self.state["atoms"])

    @torch.no_grad()
    def loss(self, x: Float[Tensor, "row d"], y: Float[Tensor, "row d"], now: Clock) -> Float[Tensor, ""]:
        """The unexplained share of variance; the rows with the most left are kept in mind for `settle`."""
        length = x.norm(dim=1)
        rows = F.normalize(x, dim=1)
        left = (rows - self.explained(rows)).square().sum(1)
        # An activation that is an atom already leaves nothing, so only this batch's rows must be compared.
        most = 2 * self.wanted(now)
        worst = left.argsort(descending=True)[:most]
        worst = worst[left[worst] > (self.tau or 0.0) * x.shape[1]]
        self.candidates.append(torch.cat([rows[worst], left[worst, None]], dim=1))
        unexplained = (left * length.square()).mean() / self.state["variance"]
        self.told = {"l0": float(min(self.k, len(self.state["atoms"]))), "unexplained": float(unexplained)}
        return unexplained

    def explained(self, rows: Float[Tensor, "row d"]) -> Float[Tensor, "row d"]:
        """What matching pursuit makes of rows."""
        atoms, gram = self.state["atoms"], self.state["gram"]
        if not len(atoms):
            return torch.zeros_like(rows)
        products = rows @ atoms.T
        picked = pursue(products, gram, self.k)
        return F.embedding_bag(picked, atoms, per_sample_weights=values(products, gram, picked), mode="sum")

    def settle(self, now: Clock) -> None:
        """Add the worst rows of the step, those of all processes, each direction once."""
        atoms, gram = self.state["atoms"], self.state["gram"]
        found, self.candidates = processes.gather(torch.cat(self.candidates)), []
        worst = found[:, -1].argsort(descending=True)[: 2 * self.wanted(now)]
        new = distinct(found[worst, :-1])[: self.wanted(now)]
        across = atoms @ new.T
        gram = torch.cat([torch.cat([gram, across], 1), torch.cat([across.T, new @ new.T], 1)])
        self.state |= {"atoms": torch.cat([atoms, new]), "gram": gram}

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "row d"]) -> Float[Tensor, "row d"]:
        length = x.norm(dim=1, keepdim=True)
        return length * self.explained(F.normalize(x, dim=1))

    def finish(self, reads: Sequence[Site], writes: Sequence[Site], x: Scaling, y: Scaling, **meta: Any) -> ITDA:
        atoms = self.state["atoms"]
        return ITDA(reads[0], atoms=atoms, b_dec=x.centre, k=min(self.k, len(atoms)), **meta)


def distinct(rows: Float[Tensor, "row d"]) -> Float[Tensor, "some d"]:
    """Without those that point where an earlier one points."""
    alike = (rows @ rows.T).abs() > SAME
    return rows[~alike.tril(-1).any(dim=1)]
