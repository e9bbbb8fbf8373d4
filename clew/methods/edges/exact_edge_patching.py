"""Exact edge patching: run the model once for every edge, with that edge alone handing on the patch prompt.

What the gradient searches approximate. Source: path patching of single edges (Goldowsky-Dill et al. 2023,
arXiv:2304.05969); "EActP" in MIB (arXiv:2504.13151). Dear: give it a circuit to score, or a small model.
"""

from clew.circuits.circuit import Circuit
from clew.circuits.ranked import EdgesOfComponents
from clew.data.behaviours.behaviour import Behaviour
from clew.methods._nodes import Spread
from clew.methods.edges._patching import edge_list, one_by_one, patchings, wired
from clew.models import Model
from clew.models.graph.components import Components
from clew.progress import Loops, Tell


def exact_edge_patching(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit | None = None,
    *,
    tokens: int = 4096,
    progress: Tell | None = None,
) -> EdgesOfComponents:
    """Drop of the metric when one edge hands on what its source writes on the pair's patch prompt.

    Args:
        circuit: score only its edges; every edge of the component graph without it.
        tokens: how many run at once, as copies of the prompts, each with another edge cut.
        progress: told after each run.

    Returns: a Circuit of the scored edges, with standard errors; scores in units of the metric.
    Costs: two forwards, and for every edge one forward of the blocks from its reader on.
    """
    graph = Components(model.body)
    wanted = graph.legal if circuit is None else wired(graph, circuit)
    spread, loops = Spread(*wanted.shape), Loops(progress)
    for patching in patchings(model, behaviour, graph, loops):
        for edges in loops.over(edge_list(wanted).split(patching.copies(tokens))):
            drop = patching.drops(one_by_one(edges, wanted), tokens, graph.legal)
            spread.add((edges[:, 0], edges[:, 1]), drop.T)
    return (
        graph.circuit(*spread.over(behaviour))
        .keep_edges(wanted[graph.legal].numpy())
        .scored_on(circuit, model.body.fingerprint)
    )
