"""The judge of a circuit: by its edges where it is wired in the component graph, else by its nodes."""

from __future__ import annotations

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.measures.circuits._edges import EdgeTrial
from clew.measures.circuits._nodes import NodeTrial
from clew.measures.circuits._trial import Trial
from clew.models import Model
from clew.progress import Tell
from clew.readings.ablation import Ablation


def trial_of(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    ablation: Ablation | str = Ablation(),
    seed: int = 0,
    progress: Tell | None = None,
    circuits: int = 0,
) -> Trial:
    """An `EdgeTrial` for a circuit of components with edges, else a `NodeTrial` of nodes.

    Args: ablation: as usual for the behaviour by default (see Ablation); edges read the patch prompts, so only "patch" (or no
            kind) goes there. progress: told after each batch. circuits: how many will be measured, at most.
    Raises: ValueError for a component circuit with nodes but no edges, an attribution graph with tokens and logits, or
        a circuit of weights.
    """
    circuit.kind.check_ablatable()
    how = Ablation.of(ablation)
    if not circuit.kind.by_edges:
        _check_graph(model, circuit)
        return NodeTrial(model, behaviour, how, seed=seed, progress=progress, circuits=circuits)
    if how.kind not in (None, "patch") or how.start or how.constants:
        raise ValueError(
            f"{how}: edges outside a component circuit read the patch prompt, everywhere; leave kind, start and constants "
            "out, or judge nodes by a circuit found in model.components()"
        )
    if len(circuit) and not len(circuit.weight):
        raise ValueError(
            f"this circuit of components has {len(circuit)} nodes but no edges, and it is judged by its edges; choose some "
            "with circuit.strongest_edges(n), or find nodes to judge in model.components()"
        )
    return EdgeTrial(model, behaviour, seed=seed, progress=progress, circuits=circuits)


def _check_graph(model: Model, circuit: Circuit) -> None:
    """Raises: ValueError for an attribution graph with nodes that no site of the view has."""
    beside = sorted({circuit.sites[i] for i in circuit.site} - set(model.dictionaries))
    if circuit.kind.of == "prompt_graph" and beside:
        raise ValueError(
            f"an attribution graph has nodes for tokens and logits too (here at {', '.join(map(str, beside))}), which cannot "
            "be ablated as units; judge it with by='predicted_effects', or keep what the view holds with "
            "circuit.keep(np.array([node.site in model.dictionaries for node in circuit]))"
        )
