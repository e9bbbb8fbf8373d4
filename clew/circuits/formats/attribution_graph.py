"""A circuit as the attribution-graph JSON of graph viewers.

It is the format of Anthropic's and Neuronpedia's viewers and of circuit-tracer:
rows are layers, columns are token positions, links are direct effects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit, Node
from clew.circuits.formats._graph_nodes import circuit_of
from clew.files import check_spelling, entries, entry, entry_or, jsonable, parse_json, read_any_json, typed, write_json
from clew.version import VERSION

FEATURE, ERRORS = "cross layer transcoder", "mlp reconstruction error"
"""Feature types of the format; viewers draw every feature under the first, whatever its dictionary."""
KEYS = ("metadata", "qParams", "nodes", "links")
NODE = {"node_id": str, "ctx_idx": int, "feature_type": str, "jsNodeId": str, "clerp": str}
MAY_BE_NULL = {"feature": int, "influence": float, "activation": float}
LINK = {"source": str, "target": str, "weight": float}
"""Fields that every node and link has, and those of a node that may be null; a `layer` is a word or a number."""


def pair(layer: int, unit: int) -> int:
    """Cantor's pairing of a layer and a unit in one integer, as schema version 1 of the format has it."""
    return (layer + unit) * (layer + unit + 1) // 2 + unit


def to_attribution_graph(
    circuit: Circuit,
    *,
    prompt: str = "",
    tokens: Sequence[str] = (),
    model: str = "",
    slug: str = "clew",
    token_ids: Sequence[int] | None = None,
    output: str = "metric",
    output_id: int = 0,
    probability: float = 1.0,
) -> dict[str, Any]:
    """The circuit as an attribution graph, ready for `json.dump`.

    A node summed over positions stands at the last token. The metric is the one logit node, unless the logits are nodes
    themselves (at `final`; `attribution_graph` makes them) and nothing ends in the metric. Node ids follow the
    convention `layer_unit_position` where that is unique and gain the site (`3_17_4_mlp`) where it is not:
    the format has one row per layer and its error ids, `0_layer_position`, meet those of layer-0 features.
    `influence` is the share of all influence (of the summed |score| where the circuit's details hold none) that the
    node and all stronger ones have, so a viewer's slider at 0.8 shows the nodes that hold 80 % of it. What the
    format has no room for (the address, the score) is kept under keys that start with "clew_".

    Args: tokens: decoded, one per position; `prompt`, `tokens` and `model` are those of the circuit's kind (or
        details) and provenance by default. token_ids: adds one embedding node per token. output: name of the
        metric. output_id, probability: its vocabulary id and probability, when the metric is a single token's.
    Raises: ValueError if a node stands outside `tokens`, or token_ids has another length.
    """
    own = circuit.kind.prompt.tokens if circuit.kind.prompt else circuit.details.get("tokens")
    tokens = tokens or own or (["(all positions)"] if not (circuit.position >= 0).any() else [])
    prompt, model = prompt or "".join(tokens), model or str(circuit.provenance.get("model", "model"))
    if not tokens or int(circuit.position.max(initial=ANYWHERE)) >= len(tokens):
        last = int(circuit.position.max(initial=0))
        raise ValueError(f"the circuit has a node at position {last}, but {len(tokens)} tokens were given")
    if token_ids is not None and len(token_ids) != len(tokens):
        raise ValueError(f"{len(token_ids)} token_ids were given for {len(tokens)} tokens")
    end = len(tokens) - 1
    row = str(max([s.layer for s in circuit.sites if s.layer is not None], default=-1) + 2)
    nodes = [_node(node, end, row, circuit) for node in circuit]
    nodes += [_embedding(p, id, tokens[p]) for p, id in enumerate(token_ids or ())]
    if (circuit.target == OUTPUT).any() or not any(n["feature_type"] == "logit" for n in nodes):
        nodes.append(_logit(row, output_id, end, output, probability) | {"clew_metric": True})
    ids = _unique([(n["node_id"], n.get("clew_address", n["feature_type"])) for n in nodes])
    for node, id in zip(nodes, ids, strict=True):
        node["node_id"] = id
    known = circuit.details.get("influence")
    size = np.array([known.get(n.address, 0.0) for n in circuit]) if known else np.abs(circuit.score)
    order = np.argsort(-size, kind="stable")
    held = np.cumsum(size[order]) / max(size.sum(), np.finfo(float).tiny)
    for index, share in zip(order.tolist(), held.tolist(), strict=True):
        nodes[index]["influence"] = share
    return {
        "metadata": {
            "slug": slug,
            "scan": model,
            "prompt_tokens": list(tokens),
            "prompt": prompt,
            "schema_version": 1,
            "node_threshold": 1.0,
            "info": {"source_urls": [], "generator": {"name": "clew", "version": VERSION}},
            "clew_provenance": jsonable(circuit.provenance),
        },
        "qParams": {"linkType": "both", "clerps": [], "clickedId": "", **view_of(circuit, ids)},
        "nodes": nodes,
        "links": list(_links(circuit, ids)),
    }


def _links(circuit: Circuit, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The edges; one whose weight is known by heads says so under `clew_heads`: [layer, head, part], and ["bypass", part]."""
    heads, nodes = circuit.details.get("heads", {}), circuit.nodes if "heads" in circuit.details else []
    for s, t, w in circuit.edges:
        parts = heads.get(f"{nodes[s].address} -> {nodes[t].address}") if heads and t != OUTPUT else None
        yield {"source": ids[s], "target": ids[t], "weight": w} | ({"clew_heads": parts} if parts else {})


def node_ids(circuit: Circuit) -> list[str]:
    """The id of each node in the graph that is written of the circuit."""
    tokens = [""] * (circuit.kind.length or 1 + int(circuit.position.max(initial=0)))
    graph = to_attribution_graph(circuit, tokens=tokens)
    known = {node.get("clew_address"): node["node_id"] for node in graph["nodes"]}
    return [known[node.address] for node in circuit]


def view_of(circuit: Circuit, ids: Sequence[str]) -> dict[str, Any]:
    """The supernodes as a viewer has them, and their nodes pinned. Args: ids: of the nodes, in their order."""
    id_of = {node.address: id for node, id in zip(circuit, ids, strict=False)}
    groups = [[id_of[member] for member in node.members] for node in circuit.supernodes]
    named = [[node.name, *group] for node, group in zip(circuit.supernodes, groups, strict=True)]
    return {"pinnedIds": [id for group in groups for id in group], "supernodes": named}


def write(circuit: Circuit, path: str | Path, **options: Any) -> Path:
    """Write `to_attribution_graph(circuit, **options)` as JSON; without `slug`, the file's name is the slug."""
    given: dict[str, Any] = {"slug": Path(path).stem, **options}
    return write_json(path, to_attribution_graph(circuit, **given))


def matches(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() >= set(KEYS)


def read(value: Mapping[str, Any], origin: str) -> Circuit:
    """The circuit of anyone's attribution graph, as `Circuit.load` calls it; see `circuit_of`."""
    return circuit_of(checked(value, origin), origin)


def read_attribution_graph(path: str | Path) -> dict[str, Any]:
    """Read anyone's attribution graph as it is. Its `qParams` come out as lists, also where a viewer saved URL strings.

    Raises: ValueError naming the file and what is missing from it.
    """
    return checked(read_any_json(path, "; an attribution graph was expected"), str(path))


def checked(graph: Any, origin: str) -> dict[str, Any]:
    """A graph whose fields are there, of their types, and fit. Raises: ValueError naming the origin and the place in it."""
    metadata, view = (entry(graph, name, dict, origin=origin) for name in ("metadata", "qParams"))
    for name in ("slug", "scan", "prompt"):
        entry(metadata, name, str, origin=f"{origin}: metadata")
    tokens = entries(metadata, "prompt_tokens", str, origin=f"{origin}: metadata")
    nodes, links = (entries(graph, name, dict, origin=origin) for name in ("nodes", "links"))
    for i, node in enumerate(nodes):
        _check_node(node, len(tokens), f"{origin}: nodes[{i}]")
    for i, link in enumerate(links):
        for name, kind in LINK.items():
            entry(link, name, kind, origin=f"{origin}: links[{i}]")
    ids = [node["node_id"] for node in nodes]
    if twice := [id for id, times in Counter(ids).items() if times > 1]:
        raise ValueError(f"{origin} uses the node id {twice[0]!r} for two nodes, so its links are ambiguous")
    if lost := sorted({end for link in links for end in (link["source"], link["target"])} - set(ids)):
        raise ValueError(f"{origin} has links to {len(lost)} nodes that it does not list, among them {lost[0]!r}")
    return {**graph, "qParams": lists(view, f"{origin}: qParams")}


def _check_node(node: Mapping[str, Any], tokens: int, place: str) -> None:
    """Raises: ValueError for a field that viewers need and that is missing, none, or beyond the prompt."""
    check_spelling(node, (*NODE, *MAY_BE_NULL), place)
    for name, kind in NODE.items():
        entry(node, name, kind, origin=place)
    if type(node.get("layer")) is not int:
        entry(node, "layer", str, origin=place)
    for name, kind in MAY_BE_NULL.items():
        entry_or(node, name, kind, None, origin=place)
    entry_or(node, "token_prob", float, None, origin=place, at_least=0, at_most=1.000001)  # a sum of rounded ones
    if "feature" not in node or (node["feature"] is None and node["feature_type"] == FEATURE):
        raise ValueError(f"{place} has no 'feature'")
    typed(node["ctx_idx"], f"{place}.ctx_idx", int, at_least=0, at_most=max(0, tokens - 1))


def lists(view: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """`pinnedIds`, `supernodes` and `clerps` as lists; a viewer's Save button writes them as it has them in its URL."""
    plain = dict(view)
    if isinstance(plain.get("pinnedIds"), str):
        plain["pinnedIds"] = [id for id in plain["pinnedIds"].split(",") if id]
    for name in ("supernodes", "clerps"):
        if isinstance(plain.get(name), str):
            plain[name] = parse_json(plain[name] or "[]", f"{origin}.{name}")
    for name in ("pinnedIds", "supernodes", "clerps"):
        for i, one in enumerate(entry_or(plain, name, list, None, origin=origin) or []):
            typed(one, f"{origin}.{name}[{i}]", str if name == "pinnedIds" else list)
    return plain


def _node(node: Node, end: int, last_row: str, circuit: Circuit) -> dict[str, Any]:
    details, prompt = circuit.details, circuit.kind.prompt
    position = end if node.position == ANYWHERE else node.position
    own = {"clew_address": node.address, "clew_score": node.score}
    own |= {"activation": details["activation"].get(node.address)} if "activation" in details else {}
    if node.site.part == "embed" and circuit.kind.of == "prompt_graph":
        return _embedding(position, node.unit, node.label) | own
    if node.site.part == "final":
        chance = {logit.id: logit.probability for logit in (prompt.logits if prompt else ())}
        return _logit(last_row, node.unit, position, node.label, chance.get(node.unit, 0.0)) | own
    layer, row = node.site.layer or 0, "E" if node.site.layer is None else str(node.site.layer)
    if node.unit == ERROR:
        entry = _entry(f"0_{row}_{position}", -1, row, position, ERRORS, node.label or f"Error: {node.site}")
    else:
        id, code = f"{row}_{node.unit}_{position}", pair(layer, node.unit)
        entry = _entry(id, code, row, position, FEATURE, node.label) | {"jsNodeId": f"{row}_{node.unit}-0"}
    return entry | own


def _logit(row: str, id: int, position: int, word: str, probability: float) -> dict[str, Any]:
    entry = _entry(f"{row}_{id}_{position}", id, row, position, "logit", f'Output "{word}" (p={probability:.3f})')
    return entry | {"token_prob": probability, "is_target_logit": True}


def _embedding(position: int, id: int, token: str) -> dict[str, Any]:
    return _entry(f"E_{id}_{position}", position, "E", position, "embedding", f'Emb: "{token}"')


def _entry(id: str, feature: int, layer: str, position: int, kind: str, clerp: str) -> dict[str, Any]:
    """One entry of `nodes` with every required field."""
    return {
        "node_id": id,
        "feature": feature,
        "layer": layer,
        "ctx_idx": position,
        "feature_type": kind,
        "jsNodeId": id + "-0",
        "clerp": clerp,
        "influence": None,
        "activation": None,
        "is_target_logit": False,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
    }


def _unique(named: list[tuple[str, str]]) -> list[str]:
    """Ids as they are where nothing shares them, else with the part of the site, else numbered."""
    times = Counter(id for id, _ in named)
    longer = [id if times[id] == 1 else f"{id}_{name.split('.')[0].split('/')[0]}" for id, name in named]
    times, seen = Counter(longer), Counter[str]()
    for i, id in enumerate(longer):
        if times[id] > 1:
            seen[id] += 1
            longer[i] = f"{id}_{seen[id]}"
    return longer
