"""A model in which every head but the first of each layer, and the lower MLP, write nothing."""

import numpy as np
import torch

from clew import Circuit, Model
from clew.circuits.circuit import ANYWHERE
from clew.models.graph.components import Components
from tests.planted import tiny_model

LIVE = ("head.0/0", "head.1/0", "mlp.1/0")
"""All components that matter, but for the embedding."""


def idle_model() -> Model:
    """Seen in components: four heads and an MLP in each of two layers."""
    model = tiny_model("llama", num_hidden_layers=2)
    with torch.no_grad():
        for layer in model.body.module.model.layers:
            layer.self_attn.o_proj.weight[:, 8:] = 0
        model.body.module.model.layers[0].mlp.down_proj.weight.zero_()
    return model.components()


def all_nodes(model: Model) -> Circuit:
    """Every component but the embedding, at every position."""
    units = {site: d.n_units for site, d in model.dictionaries.items() if site.part != "embed"}
    rows = [(i, unit) for i, n in enumerate(units.values()) for unit in range(n)]
    site, unit = np.array(rows).T
    ones = np.ones(len(rows))
    return Circuit(tuple(units), units, site, unit, np.full(len(rows), ANYWHERE), ones, ones)


def nodes(model: Model, *addresses: str) -> Circuit:
    """Some of them."""
    whole = all_nodes(model)
    return whole.keep(np.array([node.address in addresses for node in whole]))


def all_edges(model: Model) -> Circuit:
    """Every edge between its components, with weights by which they can be told apart."""
    graph = Components(model.body)
    return graph.circuit(torch.rand(graph.legal.shape, generator=torch.Generator().manual_seed(0)))


def live_edges(model: Model) -> Circuit:
    """The edges from a component that writes to one that does, or to the output."""
    whole = all_edges(model)
    live = {"embed/0", *LIVE, *(f"{part}.{layer}/0" for part in "qkv" for layer in (0, 1)), "mlp_in.1/0"}
    ends = np.array([node.address in live for node in whole] + [True])
    return whole.keep_edges(ends[whole.source] & ends[whole.target])
