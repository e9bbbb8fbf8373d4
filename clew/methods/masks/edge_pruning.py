"""Edge pruning: hard-concrete masks over all edges of the component graph.

Source: Bhaskar et al. 2024 (arXiv:2406.16778), section 3. There the masks live in a rewritten model of each family;
here the module runs unmodified. How the number of edges is held to its target differs; see clew/methods/_masks.py.
"""

from clew.circuits.ranked import EdgesOfComponents
from clew.data.behaviours.behaviour import Behaviour
from clew.methods._masked import MaskedEdges
from clew.methods._masks import Price, Schedule, learn
from clew.models import Model
from clew.progress import Tell
from clew.readings.contrast import Baseline


def edge_pruning(
    model: Model,
    behaviour: Behaviour,
    *,
    keep: float | int = 0.02,
    objective: str | None = "kl_divergence",
    baseline: Baseline | None = None,
    schedule: Schedule = Schedule(steps=300),
    price: Price = Price(),
    tokens: int = 512,
    seed: int = 0,
    progress: Tell | None = None,
) -> EdgesOfComponents:
    """Masks over the edges between components, learned so that the model with only the kept ones loses least.

    An edge at mask z hands on z times what its source writes and 1 - z times what it writes in the other state.

    Args:
        keep: how many edges shall stay, or which share of all.
        baseline: the other state: the "patch" prompts (the default where there are any), "zero", the "mean" at
            each place, or another example ("resample").
        objective, schedule, price, tokens, seed, progress: as for `hard_concrete`.

    Returns: a Circuit of the component graph; an edge's weight is its chance to be on, in [0, 1]: a ranking, not an
    effect, and without a sign. `.strongest_edges(n)` chooses; `details["masks"]` holds the loss (minus the objective)
    with the `keep` best alone, and how many masks are "on" without noise.
    Raises: ValueError; Stopped at an interrupt, which holds the circuit so far.
    Costs: a forward and a backward a step, in which every reader's input is made anew from all sources.
    """
    masked = MaskedEdges(model, behaviour, objective=objective, baseline=baseline, tokens=tokens, seed=seed)
    circuit, _ = learn(
        masked,
        keep=keep,
        schedule=schedule,
        price=price,
        seed=seed,
        progress=progress,
    )
    return circuit
