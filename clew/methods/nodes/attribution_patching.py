"""Attribution patching: the first-order effect of patching every unit, from two forwards and one backward.

Source: Syed et al. 2023 (arXiv:2310.10348); for features Marks et al. 2024 (arXiv:2403.19647), eq. 3.
The published code of the latter loses the pass-through gradient at MLPs; here a splice is the identity on the gradient.
"""

from torch import Tensor

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Batch, Behaviour
from clew.data.behaviours.metrics import name_of
from clew.methods._nodes import loss, score_nodes
from clew.models import Model, Trace
from clew.progress import Tell
from clew.readings.contrast import Baseline, Contrast
from clew.sites import Site


def attribution_patching(
    model: Model,
    behaviour: Behaviour,
    *,
    baseline: Baseline | None = None,
    positions: bool | None = None,
    skip: int = 0,
    seed: int = 0,
    progress: Tell | None = None,
) -> Circuit:
    """(other - clean) times the gradient at the clean run, for every unit and every error node.

    Args:
        baseline: the state that a unit would take: its value on the patch prompt ("patch", the default where
            there are patches), "zero" (the default elsewhere), the "mean" of the clean prompts, or the value on
            another example ("resample", drawn by `seed`).
        positions: tell nodes apart by position; by default where the behaviour's positions are aligned.
        skip: leave effects at the first positions out; the very first is an attention sink in most models.
        progress: told after each batch; `clew.Progress()` says it on stderr.

    Returns: a Circuit of all nodes with an effect; scores in units of the metric, averaged over examples.
    Costs: two forwards and one backward to activations.
    """
    if behaviour.needs.reference:
        raise ValueError(
            f"{name_of(behaviour.metric)} compares with the clean run, so its gradient there is 0; use integrated_gradients"
        )
    return score_nodes(
        model, behaviour, gradients, baseline=baseline, positions=positions, seed=seed, skip=skip, progress=progress
    )


def gradients(contrast: Contrast, batch: Batch, clean: Trace, other: Trace | None) -> dict[Site, Tensor]:
    """d loss / d value at the clean run."""
    return clean.gradients(loss(contrast.behaviour, clean, batch))
