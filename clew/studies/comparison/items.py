"""All that a unit has to offer, so that every search ranks the same things and a share k means the same for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from clew.circuits.circuit import ANYWHERE, NODE_COLUMNS, Circuit
from clew.circuits.ranked import EDGES
from clew.data.behaviours.behaviour import Behaviour
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.models import Model
from clew.models.graph.components import Components


def everything(model: Model, behaviour: Behaviour, unit: str) -> Circuit:
    """All edges of the component graph, or all units of the view, with score 0; of features only those at work.

    A feature or error is at work where it differs between the prompts and has a gradient.
    """
    if unit == EDGES:
        graph = Components(model.body)
        return graph.circuit(torch.zeros(graph.legal.shape))
    if unit == "features":
        found = attribution_patching(model, behaviour, positions=False)
        return replace(found, score=np.zeros(len(found)), score_error=np.zeros(len(found)))
    units = {site: dictionary.n_units for site, dictionary in model.dictionaries.items()}
    total = sum(units.values())
    return Circuit(
        tuple(units),
        units,
        site=np.repeat(np.arange(len(units)), list(units.values())),
        unit=np.concatenate([np.arange(n) for n in units.values()]),
        position=np.full(total, ANYWHERE),
        score=np.zeros(total),
        patch_mean=np.full(total, np.nan),
        score_error=np.zeros(total),
    )


def random_ranking(model: Model, behaviour: Behaviour, *, unit: str, seed: int = 0) -> Circuit:
    """Everything, with scores drawn from a normal distribution."""
    found, draw = everything(model, behaviour, unit), np.random.default_rng(seed).standard_normal
    found = found.with_kind(in_metric_units=False)
    if unit == EDGES:
        return replace(found, weight=draw(len(found.weight)))
    return replace(found, score=draw(len(found)), score_error=np.full(len(found), np.nan))


def completed(model: Model, found: Circuit, whole: Circuit) -> Circuit:
    """What a search found, and with score 0 what it left out of the `whole`.

    Raises: ValueError for edges where nodes are ranked, and the other way about, or for nodes that have positions.
    """
    if found.kind.by_edges != whole.kind.by_edges:
        kinds = ("edges between components" if c.kind.by_edges else "nodes" for c in (found, whole))
        raise ValueError("the search ranked {}, and {} are compared".format(*kinds))
    if found.kind.by_edges:
        graph = Components(model.body)
        return graph.circuit(graph.table(found), graph.table(found, found.weight_error))
    if (found.position >= 0).any():
        raise ValueError(
            "the search ranked nodes position by position, and whole units are compared; leave positions out"
        )
    left = whole.keep(~np.isin(_addresses(whole), _addresses(found)))
    place = np.array([whole.sites.index(site) for site in found.sites], np.int64)
    columns = {name: np.concatenate([getattr(found, name), getattr(left, name)]) for name in NODE_COLUMNS}
    nothing = np.zeros(0, np.int64)
    return replace(
        found,
        sites=whole.sites,
        units=whole.units,
        **columns | {"site": np.append(place[found.site], left.site)},
        source=nothing,
        target=nothing,
        weight=np.zeros(0),
        weight_error=np.zeros(0),
    )


def _addresses(circuit: Circuit) -> np.ndarray:
    """A name for every node, [node]."""
    names = np.array([str(site) for site in circuit.sites])[circuit.site]
    return np.char.add(np.char.add(names, "/"), circuit.unit.astype(str))
