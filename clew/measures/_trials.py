"""The judge of a circuit: by its edges where it is wired in the component graph, else by its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from clew.circuit import Circuit
from clew.data.behaviour import Behaviour
from clew.measures._edges import EdgeTrial
from clew.measures._judge import Judge
from clew.measures._nodes import Ablation, Errors, Trial
from clew.models import Model
from clew.models.components import is_component_graph
from clew.sites import Site


def trial_of(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    ablation: Ablation | None = None,
    errors: Errors = "nodes",
    start: int = 0,
    constants: Mapping[Site, Tensor] | None = None,
    seed: int = 0,
) -> Judge:
    """An `EdgeTrial` for a circuit of components with edges, else a `Trial` of nodes.

    Args: ablation: "mean" for nodes by default; edges read the patch prompts, so only "patch" (or None) goes there.
    """
    if not is_component_graph(circuit):
        how: dict[str, Any] = {"ablation": ablation or "mean", "errors": errors, "start": start, "constants": constants}
        return Trial(model, behaviour, **how, seed=seed)
    if ablation not in (None, "patch") or start or constants:
        raise ValueError(
            f"ablation={ablation!r}, start={start}: edges outside a component circuit read the patch prompt, everywhere; "
            "leave these and constants out, or judge nodes by a circuit found in model.components()"
        )
    return EdgeTrial(model, behaviour, seed=seed)
