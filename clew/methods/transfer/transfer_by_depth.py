"""Transfer by depth: a circuit of one model carried to another by where its parts stand. The cheap control of DFA."""

from __future__ import annotations

import numpy as np
import torch

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.methods.transfer.faithfulness_alignment import carried, in_heads_and_mlps, source_scores
from clew.models import Model


def transfer_by_depth(model: Model, behaviour: Behaviour, circuit: Circuit) -> Circuit:
    """Each head or MLP of the target gets the mean score of the source's nodes of its kind at its relative depth.

    Args:
        model: the target, plain or seen in components.
        behaviour: posed for the target; only its patch prompts' means are read.
        circuit: all scored heads and MLPs of the source model.

    Returns: a Circuit of the target's heads and MLPs; shares of the source's summed |score|. All heads of a layer tie.
    Layer l of L stands at l / (L - 1); between two source layers the mean is interpolated.
    Raises: ValueError for a circuit that is not of components.
    """
    view = in_heads_and_mlps(model)
    scores = source_scores(circuit).split([circuit.units[site] for site in circuit.sites])
    mean = {site: float(part.mean()) for site, part in zip(circuit.sites, scores, strict=True)}
    parts = []
    for site, dictionary in view.dictionaries.items():
        layers = sorted(s.layer for s in mean if s.part == site.part and s.layer is not None)
        if not layers:
            raise ValueError(f"the source circuit has no scores of part {site.part!r}; find it in source.components()")
        depth = np.array(layers) / max(layers[-1], 1)
        here = (site.layer or 0) / max(model.n_layers - 1, 1)
        value = np.interp(here, depth, [mean[s] for s in sorted(mean) if s.part == site.part])
        parts.append(torch.full((dictionary.n_units,), float(value), dtype=torch.float64))
    return carried(view, behaviour, torch.cat(parts)).scored_on(circuit, model.body.fingerprint)
