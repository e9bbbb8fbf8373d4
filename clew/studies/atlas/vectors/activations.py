"""What flows at the sites of the view: contexts that the model holds alike."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from clew.models import Model
from clew.progress import Tell
from clew.studies.atlas._vectors import Side, last_of, rows, unit
from clew.studies.atlas.contexts import Contexts

CENTRED = True
"""Whether the mean over contexts says nothing, and is taken off before angles are."""


def activations(
    model: Model,
    given: Contexts,
    *,
    last: int = 1,
    dims: int = 4096,
    tokens: int = 2048,
    seed: int = 0,
    progress: Tell | None = None,
) -> Float[np.ndarray, "context dim"]:
    """What flows at every site of the view, each position brought to length 1, summed over the last positions.

    Args: last: how many positions; 0 for all. dims: in so many at most, by a sparse random projection.
    Costs: one forward. Source: Marks et al. 2024, section 5 (dense activations).
    """
    side = Side(model, (d.d_out for d in model.dictionaries.values()), dims, seed)

    def row(ids: torch.Tensor, real: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            trace = model.run(ids, real=real, read=side.sites, logits=0)
        held = (trace[site].float() for site in side.sites)
        return side(last_of(unit(x), trace.real, last) for x in held)

    return rows(given, row, tokens, progress)
