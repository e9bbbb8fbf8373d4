"""Hard-concrete node masks: which units, learned all at once, carry a behaviour without the others.

Source: subnetwork probing (Cao et al. 2021, arXiv:2104.03514) with the masks of Louizos et al. 2018
(arXiv:1712.01312), over the units of any view: heads, neurons, features.
"""

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.methods._masked import MaskedNodes
from clew.methods._masks import Price, Schedule, learn
from clew.models import Model
from clew.progress import Tell
from clew.readings.contrast import Baseline


def hard_concrete(
    model: Model,
    behaviour: Behaviour,
    *,
    keep: float | int = 0.1,
    objective: str | None = "kl_divergence",
    baseline: Baseline | None = None,
    positions: bool | None = None,
    schedule: Schedule = Schedule(steps=200),
    price: Price = Price(),
    tokens: int = 2048,
    seed: int = 0,
    progress: Tell | None = None,
) -> Circuit:
    """Masks over the nodes of the view, learned by gradient so that the model with only the kept ones loses least.

    A node at mask z becomes z times itself plus 1 - z times its other state; so do error nodes.

    Args:
        keep: how many nodes shall stay, or which share of those that differ between the two states.
        objective: the metric that is kept high, by name; None is the behaviour's own, which may then be driven
            beyond what the whole model shows. The default asks for the whole model's next-token distribution.
        baseline, positions: as for `attribution_patching`.
        schedule, price: how masks are learned (`clew.methods.Schedule`), and how they are held to `keep`
            (`clew.methods.Price`).
        tokens: of clean prompts in one batch.
        progress: called with (step, steps, {"loss", "on", "allowed", "price"}).

    Returns: a Circuit of all nodes that have a mask, scored by their chance to be on, in [0, 1]: a ranking, not an
    effect in units of the metric, and without a sign. `.top(n)` chooses; `details["masks"]` holds the loss (minus the
    objective) with the `keep` best alone, and how many masks are "on" without noise.
    Raises: ValueError; Stopped at an interrupt, which holds the circuit so far.
    Costs: a forward and a backward a step, and one more forward for the other states where these are too large to keep.
    """
    masked = MaskedNodes(
        model, behaviour, objective=objective, baseline=baseline, positions=positions, tokens=tokens, seed=seed
    )
    circuit, _ = learn(
        masked,
        keep=keep,
        schedule=schedule,
        price=price,
        seed=seed,
        progress=progress,
    )
    return circuit
