"""Small graphs whose best circuits are known by hand, and random ones of any size."""

import numpy as np

from clew.circuits.circuit import ANYWHERE, OUTPUT, Circuit
from clew.circuits.kind import Card, Kind
from clew.sites import Site


def view_circuit(edges: list[tuple[int, int, float]], nodes: int = 4, **columns) -> Circuit:
    """Features of one site each, in forward order, and these edges between them."""
    sites = tuple(Site("resid", i) for i in range(nodes))
    source, target, weight = (np.array(column) for column in zip(*edges, strict=True))
    return Circuit(
        sites, dict.fromkeys(sites, 9), site=np.arange(nodes), unit=np.zeros(nodes, int),
        position=np.full(nodes, ANYWHERE), score=np.arange(nodes) * 1.0, patch_mean=np.zeros(nodes),
        source=source, target=target, weight=weight.astype(float), **columns,
    )  # fmt: skip


def node_circuit(score: list[float], error: list[float] | None = None) -> Circuit:
    """Nodes of these scores, without edges."""
    n, site = len(score), Site("resid", 0)
    columns = {"score_error": np.array(error)} if error else {}
    return Circuit(
        (site,), {site: n}, site=np.zeros(n, int), unit=np.arange(n), position=np.full(n, ANYWHERE),
        score=np.array(score), patch_mean=np.zeros(n), **columns,
    )  # fmt: skip


def component_circuit(layers: int, heads: int, kv: int | None = None, seed: int = 0, sparse: float = 0.0) -> Circuit:
    """Every edge of a sequential model's component graph but a share of them, with random weights."""
    kv, random = kv or heads, np.random.default_rng(seed)
    sources, readers, reach = [(Site("embed"), 0)], [], []
    for layer in range(layers):
        for part, units in (("q", heads), ("k", kv), ("v", kv)):
            readers += [(Site(part, layer), i) for i in range(units)]
        reach += [len(sources)] * (heads + 2 * kv)
        sources += [(Site("head", layer), i) for i in range(heads)]
        readers.append((Site("mlp_in", layer), 0))
        reach.append(len(sources))
        sources.append((Site("mlp", layer), 0))
    legal = np.arange(len(sources))[:, None] < np.array([*reach, len(sources)])
    source, reader = np.nonzero(legal & (random.random(legal.shape) >= sparse))
    nodes = [*sources, *readers]
    sites = tuple(sorted({site for site, _ in nodes}))
    widths = {"q": heads, "head": heads, "k": kv, "v": kv}
    return Circuit(
        sites, {site: widths.get(site.part, 1) for site in sites},
        site=np.array([sites.index(site) for site, _ in nodes]), unit=np.array([unit for _, unit in nodes]),
        position=np.full(len(nodes), ANYWHERE), score=np.zeros(len(nodes)), patch_mean=np.full(len(nodes), np.nan),
        source=source, target=np.where(reader == len(readers), OUTPUT, len(sources) + reader),
        weight=random.standard_normal(len(source)),
        kind=Kind("components", components=Card(layers, heads, kv, 8, False)),
    )  # fmt: skip


def edges(circuit: Circuit) -> set[tuple[str, str]]:
    """Both ends of every edge, by address."""
    names = [*(node.address for node in circuit), "metric"]
    return {(names[s], names[t]) for s, t in zip(circuit.source, circuit.target, strict=True)}
