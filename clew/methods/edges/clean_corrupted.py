"""Clean-corrupted: edge attribution with the mean of the gradients at the two ends.

Source: Hanna et al. 2024 (arXiv:2403.17806), the cheapest of their path approximations: the trapezoid of one step.
"""

from clew.circuits.ranked import EdgesOfComponents
from clew.data.behaviours.behaviour import Behaviour
from clew.methods.edges._scores import score_edges
from clew.models import Model
from clew.progress import Tell
from clew.readings.contrast import Baseline


def clean_corrupted(
    model: Model,
    behaviour: Behaviour,
    *,
    baseline: Baseline | None = None,
    ungrouped: bool = False,
    seed: int = 0,
    progress: Tell | None = None,
) -> EdgesOfComponents:
    """As `eap`, with half the gradient at the clean prompts and half at the other ones.

    Args:
        baseline: as for `eap`, but never "zero", which is no embedding; the "mean" where there are no patch prompts.
        ungrouped, seed: as for `eap`.

    Returns: a Circuit as `eap` does. Costs: two forwards and two backwards; the published code takes four forwards.
    """
    return score_edges(
        model, behaviour, [0.0, 1.0], baseline=baseline, ungrouped=ungrouped, seed=seed, progress=progress
    )
