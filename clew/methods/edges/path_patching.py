"""Path patching: how much each component matters through its direct edges into some receivers.

Source: Wang et al. 2023 (arXiv:2211.00593) and Goldowsky-Dill et al. 2023 (arXiv:2304.05969). Here every path is one
edge of the component graph: a path through an MLP is the MLP's own, where the former let MLPs recompute on the way.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from clew.circuits.ranked import OnlyComponents
from clew.data.behaviours.behaviour import Behaviour
from clew.methods._nodes import Spread
from clew.methods.edges._patching import patchings
from clew.models import Model
from clew.models.graph.components import Components
from clew.near import near
from clew.progress import Loops, Tell


def path_patching(
    model: Model,
    behaviour: Behaviour,
    *,
    receivers: Sequence[str] = ("logits",),
    tokens: int = 4096,
    progress: Tell | None = None,
) -> OnlyComponents:
    """Drop of the metric when a source's edges into the receivers hand on the patch prompt, all of them at once.

    Args:
        receivers: readers of the component graph: "logits", a site ("q.9", "mlp_in.3") or one unit of it ("q.9/3"). With
            every reader of a source among them this is activation patching of the source.
        tokens: how many run at once, as copies of the prompts.
        progress: told after each run.

    Returns: a Circuit of every source, with standard errors; scores in units of the metric, 0 for sources that no
    receiver reads. Costs: two forwards, and one for every source, of the blocks from the first receiver on.
    Raises: ValueError naming near receivers.
    """
    graph = Components(model.body)
    columns = _columns(graph, receivers)
    into = torch.zeros_like(graph.legal)
    into[:, columns] = graph.legal[:, columns]
    read = into.any(1).nonzero()[:, 0]
    spread, loops = Spread(len(graph.sources)), Loops(progress)
    for patching in patchings(model, behaviour, graph, loops):
        for some in loops.over(read.split(patching.copies(tokens))) if len(read) else ():
            cuts = torch.zeros(len(some), *into.shape, dtype=torch.bool)
            cuts[torch.arange(len(some)), some] = into[some]
            spread.add(some, patching.drops(cuts, tokens, graph.legal).T)
    return graph.source_circuit(*spread.over(behaviour)).with_details(receivers=list(receivers))


def _columns(graph: Components, receivers: Sequence[str]) -> list[int]:
    """Where these receivers stand among the readers."""
    known: dict[str, list[int]] = {"logits": [len(graph.readers) - 1]}
    for i, (site, unit) in enumerate(graph.readers[:-1]):
        known.setdefault(str(site), []).append(i)
        known[f"{site}/{unit}"] = [i]
    for name in receivers:
        if name not in known:
            raise ValueError(f"{name!r} is no receiver; {near(name, known)}")
    return sorted({i for name in receivers for i in known[name]})
