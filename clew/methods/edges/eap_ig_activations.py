"""EAP-IG (activations): the gradient that weighs a component's edges is averaged while that component alone moves.

Source: Hanna et al. 2024 (arXiv:2403.17806). Components are the embedding, the attention and the MLP of each layer. The
published code adds the gradients of all interpolations to all edges; `weigh="all"` does the same.
"""

from dataclasses import replace
from typing import Any, Literal

from clew.changes import Set
from clew.circuits.ranked import EdgesOfComponents
from clew.data.behaviours.behaviour import Behaviour
from clew.methods.edges._scores import Ends, Piece, Scores, added
from clew.models import Model
from clew.models.graph.components import EMBED
from clew.progress import Loops, Tell
from clew.readings.contrast import Baseline
from clew.sites import Site


def eap_ig_activations(
    model: Model,
    behaviour: Behaviour,
    *,
    steps: int = 5,
    weigh: Literal["own", "all"] = "own",
    baseline: Baseline | None = None,
    ungrouped: bool = False,
    seed: int = 0,
    progress: Tell | None = None,
) -> EdgesOfComponents:
    """As `eap`, with each component's edges weighed by the gradient averaged along that component's own path.

    Args:
        steps: points on each path, at 0, 1/steps, ..., 1 - 1/steps of the way from the clean state.
        weigh: "own": edges out of a component use the gradients of its own interpolation; "all": every edge uses the
            mean over all interpolations, as in the published code.
        baseline, ungrouped, seed: as for `eap`. progress: told after each point of a path.

    Returns: a Circuit as `eap` does. Costs: two forwards, and `steps` forwards and backwards of the blocks above it
    ("all": of the whole model) for each of the 2 layers + 1 components.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; at least one point on the path is needed")
    if weigh not in ("own", "all"):
        raise ValueError(f"weigh={weigh!r}: edges are weighed by their component's 'own' gradients or by 'all'")
    scores = Scores(model, behaviour, baseline, ungrouped=ungrouped, seed=seed)
    parts = enumerate(model.body.layout.parts)
    moving = [EMBED, *(Site(part.kind, layer) for layer, block in parts for part in block)]
    loops = Loops(progress)
    for batch in loops.over(scores.batches):
        ends = Ends(scores, batch)
        base = ends.at(0.0).trace
        delta, everything = ends.delta(), []
        for site in loops.over(moving):
            total: list[Piece] = []
            by_heads = site.part == "attn" and site not in scores.graph.source_at
            units = scores.graph.source_at[Site("head", site.layer) if by_heads else site]
            move, own = delta[:, units].sum(1), weigh == "own"
            for step in loops.over(range(steps)):
                edit = Set(site, value=base[site].detach() + step / steps * move)
                how: dict[str, Any] = {"base": base, "above": site} if own else {}
                run = scores.run(batch.clean, batch, [edit], **how)
                total = list(added(total, run.gradients(above=site if own else None)))
            if own:
                scores.add(delta, [replace(piece, sources=units) for piece in total], steps)
            else:
                everything = list(added(everything, total))
        scores.add(delta, everything, steps * len(moving))
    return scores.circuit()
