"""Faithfulness and completeness: how much of a behaviour a circuit carries, and how much is left without it.

F(C) = (m(C) - m(empty)) / (m(M) - m(empty)), m the mean metric over held-out prompts; m(C) runs the model with
everything outside C ablated, m(empty) with everything ablated, m(M) untouched. Completeness is F(M without C);
a circuit that holds everything leaves 0. Source: Wang et al. 2023 and Marks et al. 2024 (arXiv:2403.19647), section
4; for edges, which hand on what their source wrote on the patch prompt when they are cut, MIB (arXiv:2504.13151).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.measures.circuits._nodes import Ablation, Errors
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.report import Report
from clew.sites import Site


def faithfulness(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    ablation: Ablation | None = None,
    errors: Errors = "nodes",
    start: int = 0,
    constants: Mapping[Site, Tensor] | None = None,
    held_out: bool = True,
    seed: int = 0,
) -> Report:
    """Faithfulness and completeness of a circuit, with bootstrap intervals over prompts.

    Args:
        circuit: nodes of the lens, or a wired circuit of components, which is then judged by its edges.
        ablation: what a node outside the circuit becomes: its "mean" over the patch prompts (clean ones where there
            are none), at each position where the behaviour is aligned, else over all; "zero"; its value on another
            example ("resample", drawn by `seed`); or its value on the pair's own patch prompt ("patch", as in MIB).
            Mean by default for nodes; for edges there is "patch" alone.
        errors: error nodes are in or out like other "nodes"; "keep" leaves all as they are, "remove" ablates all.
        start: sites of layers below this one, and the embedding, are left alone.
        constants: ablate to these codes instead, by site, such as `optimal_ablation.constants` finds.
        held_out: measure on the behaviour's test half; False measures on all that is given.

    Returns: a Report with the rows faithfulness and completeness. Costs: four forwards per batch, and those of the mean.
    """
    used = behaviour.test if held_out else behaviour
    trial = trial_of(
        model, used, circuit, ablation=ablation, errors=errors, start=start, constants=constants, seed=seed
    )
    size = f"{trial.size(circuit)} {trial.unit}s"
    return Report(f"{behaviour.name}: {size} on {model.name}", tuple(trial.rows([circuit])), trial.notes)
