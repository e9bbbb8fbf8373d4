"""Information-flow routes: how much of what a reader reads is near to what each source wrote; no gradient, no patch.

proximity(u, y) = max(0, |y| - |y - z_u|) in the 1-norm, where z_u is what u wrote and y the whole stream that is read;
an edge's score is its share of the proximities of all sources. Source: Ferrando and Voita 2024 (arXiv:2403.00824).
Every reader of one stream (queries, keys and values of a layer) gets the same shares.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from clew.circuits.ranked import EdgesOfComponents
from clew.data.behaviours.behaviour import Behaviour
from clew.methods._nodes import Spread
from clew.models import Model
from clew.models.graph.components import FINAL, Components
from clew.readings.contrast import edge_tokens
from clew.sites import Site


def information_flow_routes(model: Model, behaviour: Behaviour, *, ungrouped: bool = False) -> EdgesOfComponents:
    """Share of each source in what each reader reads, averaged over positions and examples.

    Args: ungrouped: give every query head keys and values of its own, as published tools do.

    Returns: a Circuit of all edges, with standard errors; weights between 0 and 1 that add up to 1 at every reader that
    anything is near to. They are not in units of the metric, which is not looked at. Costs: one forward.
    """
    graph = Components(model.body, ungrouped=ungrouped)
    last = Site("resid", graph.n_layers - 1)
    streams = {site: (last,) if site == FINAL else graph.stream_sites(site) for site in graph.reader_at}
    spread = Spread(*graph.legal.shape)
    for batch in behaviour.batches(model, tokens=edge_tokens(graph)):
        with torch.no_grad():
            trace = model.run(batch.clean, read={*graph.source_sites, *sum(streams.values(), ())}, logits=0)
            writes, shares = graph.writes(trace), {}
            for site, at in graph.reader_at.items():
                key = streams[site]
                if key not in shares:
                    stream = sum((trace[s] for s in key[1:]), trace[key[0]])
                    shares = {key: _shares(writes[:, : graph.reach[at.start]], stream)[:, :, None]}
                spread.add((slice(0, graph.reach[at.start]), at), shares[key])
    found = graph.circuit(*spread.over(behaviour)).with_kind(in_metric_units=False)
    return found.with_details(score="share of what the reader reads")


def _shares(
    writes: Float[Tensor, "example source seq d_model"], stream: Float[Tensor, "example seq d_model"]
) -> Float[Tensor, "example source"]:
    """Each source's share of the proximities, averaged over positions."""
    wide = torch.promote_types(stream.dtype, torch.float32)  # a 1-norm may be more than half precision holds
    stream, writes = stream.to(wide), writes.to(wide)
    size = stream.abs().sum(-1)
    left = torch.stack([(stream - writes[:, i]).abs().sum(-1) for i in range(writes.shape[1])], dim=1)
    near = (size[:, None] - left).clamp_min(0)
    return (near / near.sum(1, keepdim=True).clamp_min(torch.finfo(near.dtype).tiny)).mean(-1)
