"""What each unit of the view does for the answer: contexts that are continued for the same reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Float

from clew.models import Model, Trace
from clew.progress import Tell
from clew.readings.contrast import read_sites
from clew.sites import Site
from clew.studies.atlas._vectors import Side, last_of, rows, surprise, unit
from clew.studies.atlas.contexts import Contexts

CENTRED = False
"""Whether the mean over contexts says nothing, and is taken off before angles are."""


def effects(
    model: Model,
    given: Contexts,
    *,
    last: int = 4,
    dims: int = 4096,
    tokens: int = 1024,
    seed: int = 0,
    progress: Tell | None = None,
) -> Float[np.ndarray, "context dim"]:
    """The first-order effect on log p(answer) of taking each unit to zero, summed over the last positions.

    Args: as for `activations`.
    Costs: one forward, one backward, and encoding. Source: Marks et al. 2024, section 5 (linear effects); in a view of
        neurons or of a stream's coordinates they are the dense ones.
    """
    side = Side(model, (d.n_units for d in model.dictionaries.values()), dims, seed)

    def row(ids: torch.Tensor, real: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        trace = model.run(ids, real=real, read=read_sites(model), grad=True, logits=1)
        grads = trace.gradients(surprise(trace, answer))

        with torch.no_grad():
            return side(unit(last_of(one, trace.real, last)) for one in effects_of(model, trace, grads))

    return rows(given, row, tokens, progress)


def effects_of(
    model: Model, trace: Trace, grads: Mapping[Site, torch.Tensor]
) -> Iterator[Float[torch.Tensor, "row seq unit"]]:
    """Site by site, code times what the gradient says of it: what is lost at first order where a unit goes to zero."""
    for site, dictionary in model.dictionaries.items():
        code = trace.code(site).detach()
        yield dictionary.fold(dictionary.pull(grads[site].to(code.dtype)) * -code)
