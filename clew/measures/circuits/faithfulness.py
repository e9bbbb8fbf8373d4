"""Faithfulness and completeness: how much of a behaviour a circuit carries, and how much is left without it.

F(C) = (m(C) - m(empty)) / (m(M) - m(empty)), m the mean metric over held-out prompts; m(C) runs the model with
everything outside C ablated, m(empty) with everything ablated, m(M) untouched. Completeness is F(M without C);
a circuit that holds everything leaves 0. Source: Wang et al. 2023 and Marks et al. 2024 (arXiv:2403.19647), section
4; for edges, which hand on what their source wrote on the patch prompt when they are cut, MIB (arXiv:2504.13151).
"""

from __future__ import annotations

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.progress import Tell
from clew.readings.ablation import Ablation
from clew.report import Report


def faithfulness(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    ablation: Ablation | str = Ablation(),
    held_out: bool = True,
    seed: int = 0,
    progress: Tell | None = None,
) -> Report:
    """Faithfulness and completeness of a circuit, with bootstrap intervals over prompts.

    Args:
        circuit: nodes of the view, or a wired circuit of components, which is then judged by its edges.
        ablation: what becomes of all else: an Ablation (kind, errors, start, constants), or its kind in a word: "mean",
            "zero", "resample" or "patch". By default the mean where the behaviour is aligned, else the patch.
        held_out: measure on the behaviour's test half; False measures on all that is given.
        progress: told after each batch; `clew.Progress()` says it on stderr.

    Returns: a Report with the rows faithfulness and completeness. Costs: four forwards per batch, and those of the mean.
    """
    used = half(behaviour, "test", held_out)
    trial = trial_of(model, used, circuit, ablation=ablation, seed=seed, progress=progress, circuits=2)
    size = f"{trial.size(circuit)} {trial.unit}s"
    return Report(f"{behaviour.name}: {size} on {model.name}", tuple(trial.rows([circuit])), trial.notes)
