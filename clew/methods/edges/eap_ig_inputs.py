"""EAP-IG (inputs): edge attribution with the gradient averaged along a path of embeddings.

Source: Hanna et al. 2024 (arXiv:2403.17806). The published code's grid for edges is ours by default: it starts at the
other prompt and leaves the clean one out. `start="clean"` is the grid of clew's integrated gradients for nodes.
"""

from typing import Literal

from clew.circuits.ranked import EdgesOfComponents
from clew.data.behaviours.behaviour import Behaviour
from clew.methods.edges._scores import score_edges
from clew.models import Model
from clew.progress import Tell
from clew.readings.contrast import Baseline


def eap_ig_inputs(
    model: Model,
    behaviour: Behaviour,
    *,
    steps: int = 5,
    start: Literal["other", "clean"] = "other",
    baseline: Baseline | None = None,
    ungrouped: bool = False,
    seed: int = 0,
    progress: Tell | None = None,
) -> EdgesOfComponents:
    """As `eap`, with the gradient averaged over `steps` points between the embeddings of the two prompts.

    Args:
        start: the end that is one of the points; the points are 0, 1/steps, ..., 1 - 1/steps of the way from it. With
            "clean" and one step this is `eap`.
        baseline: as for `eap`, but never "zero", which is no embedding; the "mean" where there are no patch prompts.
        ungrouped, seed: as for `eap`.

    Returns: a Circuit as `eap` does. Costs: steps + 1 forwards and `steps` backwards, for the end that is a point is
    run once; the published code takes steps + 2 forwards.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; at least one point on the path is needed")
    if start not in ("other", "clean"):
        raise ValueError(f"start={start!r}: the path starts at the 'other' prompt or at the 'clean' one")
    points = [i / steps for i in range(steps)]
    points = points if start == "clean" else [1 - point for point in points]
    return score_edges(model, behaviour, points, baseline=baseline, ungrouped=ungrouped, seed=seed, progress=progress)
