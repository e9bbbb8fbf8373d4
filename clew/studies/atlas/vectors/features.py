"""Which units of the view fire, and how strongly: contexts in which the model sees the same things."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from clew.models import Model
from clew.progress import Tell
from clew.readings.contrast import read_sites
from clew.studies.atlas._vectors import Side, last_of, rows, unit
from clew.studies.atlas.contexts import Contexts

CENTRED = True
"""Whether the mean over contexts says nothing, and is taken off before angles are."""


def features(
    model: Model,
    given: Contexts,
    *,
    last: int = 1,
    dims: int = 4096,
    tokens: int = 2048,
    seed: int = 0,
    progress: Tell | None = None,
) -> Float[np.ndarray, "context dim"]:
    """The codes at every site of the view, those of a site brought to length 1 together, over the last positions.

    Args: as for `activations`.
    Costs: one forward, and encoding. Source: Marks et al. 2024, section 5 (feature activations).
    """
    side = Side(model, (d.n_units for d in model.dictionaries.values()), dims, seed)

    def row(ids: torch.Tensor, real: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            trace = model.run(ids, real=real, read=read_sites(model), logits=0)
            coded = ((s, last_of(trace.code(s).float(), trace.real, last)) for s in side.sites)
            held = (model.dictionaries[s].fold(code) for s, code in coded)
            return side(map(unit, held))

    return rows(given, row, tokens, progress)
