"""Edge attribution patching: every edge of the component graph from one gradient, at the clean prompts.

Source: Syed et al. 2023 (arXiv:2310.10348). Equals `eap_ig_inputs` with one step that starts at the clean end.
"""

from clew.circuits.ranked import EdgesOfComponents
from clew.data.behaviours.behaviour import Behaviour
from clew.methods.edges._scores import score_edges
from clew.models import Model
from clew.progress import Tell
from clew.readings.contrast import Baseline


def eap(
    model: Model,
    behaviour: Behaviour,
    *,
    baseline: Baseline | None = None,
    ungrouped: bool = False,
    seed: int = 0,
    progress: Tell | None = None,
) -> EdgesOfComponents:
    """(what u writes on the other prompt - on the clean one) . (gradient at what v reads), for every edge u -> v.

    Args:
        baseline: the other state of the sources: "patch" prompts (where there are any), "resample" (another example's,
            drawn by `seed`), "mean" or "zero".
        ungrouped: split what a shared key-value head reads among its query heads, as published tools do.
        progress: told after each batch.

    Returns: a Circuit of all sources and readers and every edge between them, with standard errors; scores in units of
    the metric, positive = the edge supports the behaviour. Costs: two forwards and one backward.
    """
    return score_edges(model, behaviour, [0.0], baseline=baseline, ungrouped=ungrouped, seed=seed, progress=progress)
