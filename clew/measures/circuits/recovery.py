"""Recovery: how much of a known circuit a method has found.

For models whose circuit is known by construction (`clew.data.planted`, compiled programs). Precision and recall are
taken at the true size: of k true nodes or edges, how many stand among the k of largest |score|. AUROC and average
precision judge the whole ranking.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float

from clew.circuits.circuit import ERROR, Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.models import Model
from clew.models.graph.components import Components
from clew.report import Report, Row
from clew.sites import READERS


def recovery(model: Model, behaviour: Behaviour, circuit: Circuit, *, truth: Circuit) -> Report:
    """A scored circuit against the true one, by its nodes and, if both are component graphs, by its edges.

    Args:
        circuit: all that a method scored, or a part of it: what it leaves out has score 0, and is never found. Scores
            at several positions are added up. In the ungrouped view the edges into the keys and values of heads that
            share them are added up too.
        truth: the nodes, or the nodes and edges, that are the circuit. Of a component graph the sources are its nodes.

    Returns: a Report with the rows precision, recall, AUROC and average precision of nodes, and of edges. Equal scores
        share their places: each number is its mean over all orders of them (average precision takes them at once). AUROC
        is nan where nothing is outside the truth. No intervals: nothing is drawn from prompts.
    Raises: ValueError for a truth without nodes, or a circuit with nodes at sites that the truth does not have.
    """
    rows = list(_rows("nodes", *_nodes(circuit, truth)))
    if len(circuit.weight) and len(truth.weight) and circuit.kind.by_edges and truth.kind.by_edges:
        rows += _rows("edges", *_edges(model, circuit, truth))
    return Report(f"{behaviour.name} on {model.name}: recovery of the known circuit", tuple(rows))


def _nodes(circuit: Circuit, truth: Circuit) -> tuple[Float[np.ndarray, " unit"], Bool[np.ndarray, " unit"]]:
    """|score| of every unit at the sites of the truth, readers aside, and whether it is true."""
    sites = [site for site in truth.sites if site.part not in READERS]
    place = {(site, unit): i for i, (site, unit) in enumerate((s, u) for s in sites for u in range(truth.units[s]))}
    score, true = np.zeros(len(place)), np.zeros(len(place), bool)
    for node in circuit:
        if node.unit == ERROR or node.site.part in READERS:
            continue
        if (node.site, node.unit) not in place:
            raise ValueError(
                f"the circuit has the node {node.address}, and the true circuit is one of {', '.join(map(str, sites))}; "
                "find it in the same view, such as model.components()"
            )
        score[place[node.site, node.unit]] += np.nan_to_num(node.score)
    true[[place[node.site, node.unit] for node in truth if (node.site, node.unit) in place]] = True
    if not true.any():
        raise ValueError("the true circuit has no nodes, so nothing can be recovered")
    return np.abs(score), true


def _edges(
    model: Model, circuit: Circuit, truth: Circuit
) -> tuple[Float[np.ndarray, " edge"], Bool[np.ndarray, " edge"]]:
    """|weight| of every edge of the component graph, and whether it is true."""
    graph = Components(model.body)
    keys = next((circuit.units[site] for site in circuit.sites if site.part == "k"), graph.n_kv_heads)
    view = Components(model.body, ungrouped=keys != graph.n_kv_heads)
    weight = torch.zeros(graph.legal.shape, dtype=torch.float64)
    together = [_grouped(graph, view, i) for i in range(len(view.readers))]
    weight.index_add_(1, torch.tensor(together), view.table(circuit, np.nan_to_num(circuit.weight)))
    return weight[graph.legal].abs().numpy(), graph.keep(truth)[graph.legal].numpy()


def _grouped(graph: Components, view: Components, reader: int) -> int:
    """The reader of the graph to which a reader of the ungrouped view belongs."""
    site, unit = view.readers[reader]
    if site.part in ("k", "v"):
        unit = unit * graph.n_kv_heads // view.n_kv_heads
    return graph.reader_at[site].start + unit


def _rows(of: str, score: Float[np.ndarray, " item"], true: Bool[np.ndarray, " item"]) -> list[Row]:
    k = int(true.sum())
    hits, taken = hits_among(score, true, k)
    values = {
        "precision": hits / taken if taken else float("nan"),
        "recall": hits / k,
        "AUROC": auroc(score, true),
        "average precision": average_precision(score, true),
    }
    return [Row(name, value, float("nan"), float("nan"), of) for name, value in values.items()]


def hits_among(score: Float[np.ndarray, " item"], true: Bool[np.ndarray, " item"], k: int) -> tuple[float, int]:
    """(true items among the k of largest score, items among them); in the mean over the orders of equal scores.

    Items of score 0 are not found, so there may be fewer than k.
    """
    k = min(k, int((score > 0).sum()))
    if not k:
        return 0.0, 0
    last = np.sort(score)[-k]
    above, level = score > last, score == last
    return float(true[above].sum() + (k - above.sum()) * true[level].mean()), k


def auroc(score: Float[np.ndarray, " item"], true: Bool[np.ndarray, " item"]) -> float:
    """Probability that a true item scores higher than a false one, a tie counting half."""
    false = np.sort(score[~true])
    if not len(false):
        return float("nan")
    below = np.searchsorted(false, score[true], "left") + np.searchsorted(false, score[true], "right")
    return float(below.mean() / (2 * len(false)))


def average_precision(score: Float[np.ndarray, " item"], true: Bool[np.ndarray, " item"]) -> float:
    """Sum over distinct scores, largest first, of precision down to it times the recall it adds."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    hits = np.cumsum(true[order])[ends]
    return float((hits / (ends + 1) * np.diff(hits, prepend=0)).sum() / true.sum())
