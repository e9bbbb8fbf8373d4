"""What the nodes of anyone's attribution graph are: a node's site, unit and position from its fields."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit
from clew.circuits.kind import Kind, Logit, Prompt
from clew.circuits.supernode import Supernode, check_supernodes
from clew.labels import Kind as LabelKind
from clew.labels import Label
from clew.sites import Site

PARTS = {
    "cross layer transcoder": ("mlp", False),
    "mlp reconstruction error": ("mlp", True),
    "lorsa": ("attn", False),
    "lorsa error": ("attn", True),
}
"""Where nodes of a type stand, and whether they are errors."""
ORIGIN = "an attribution graph"
PROBABILITY = re.compile(r"""^Output (["'])(?P<token>.*)\1 \(p=""", re.DOTALL)
Key = tuple[Site, int, int]
"""Site, unit, position."""
Known = tuple[Mapping[str, Any], Key]
"""A node of the file, and what it is."""


def unpair(code: int) -> tuple[int, int]:
    """The (layer, unit) behind Cantor's pairing; exact for integers of any size."""
    diagonal = (math.isqrt(8 * code + 1) - 1) // 2
    unit = code - diagonal * (diagonal + 1) // 2
    return diagonal - unit, unit


def circuit_of(graph: Mapping[str, Any], origin: str) -> Circuit:
    """The circuit of a graph that was checked.

    Features and errors of transcoders stand at `mlp`, those of attention at `attn`, tokens at `embed`, logits at `final`. A
    score is the node's own share of all influence, which the file has as a running sum, and 0 for a node without one.

    Raises: ValueError naming the file for a node whose type or unit cannot be told.
    """
    meta, paired = graph["metadata"], graph["metadata"].get("schema_version") == 1
    listed = [(node, _key(node, paired, f"{origin}: nodes[{i}]")) for i, node in enumerate(graph["nodes"])]
    if twice := [key for key, times in Counter(key for _, key in listed if key).items() if times > 1]:
        raise ValueError(f"{origin} has the unit {twice[0][1]} of {twice[0][0]} at position {twice[0][2]} twice")
    known = [(node, key) for node, key in listed if key]
    order = sorted({key[0] for _, key in known}, key=lambda s: (s.part == "final", s.layer is not None, s))
    known.sort(key=lambda pair: (order.index(pair[1][0]), pair[1][2], pair[1][1] == ERROR, pair[1][1]))
    new = {node["node_id"]: OUTPUT for node, key in listed if not key}
    new |= {node["node_id"]: at for at, (node, _) in enumerate(known)}
    links = [link for link in graph["links"] if new[link["source"]] != OUTPUT]
    unit = np.array([key[1] for _, key in known], np.int64)
    found = Circuit(
        sites=tuple(order),
        units={s: 1 + max(key[1] for _, key in known if key[0] == s) for s in order},
        site=np.array([order.index(key[0]) for _, key in known], np.int64),
        unit=unit,
        position=np.array([key[2] for _, key in known], np.int64),
        score=_scores([node for node, _ in known]),
        patch_mean=np.where(unit == ERROR, np.nan, 0.0),
        source=np.array([new[link["source"]] for link in links], np.int64),
        target=np.array([new[link["target"]] for link in links], np.int64),
        weight=np.array([link["weight"] for link in links], np.float64),
        kind=Kind("prompt_graph", False, len(meta["prompt_tokens"]), prompt=_prompt(meta["prompt_tokens"], known)),
        provenance={"model": meta["scan"], "slug": meta["slug"], "read_from": ORIGIN},
    )
    address = {node["node_id"]: one.address for (node, _), one in zip(known, found, strict=True)}
    activation = {address[n["node_id"]]: n["activation"] for n, _ in known if n.get("activation") is not None}
    found = found.labelled(_labels(graph, known, address)).with_details(
        prompt=meta["prompt"],
        weights="of the target's activation",
        **({"activation": activation} if activation else {}),
    )
    return found.with_supernodes(supernodes_of(graph["qParams"], address, origin))


def supernodes_of(view: Mapping[str, Any], address: Mapping[str, str], origin: str) -> list[Supernode]:
    """The groups of a saved view, [label, id, id, ...] each, of nodes by id. Raises: ValueError naming the place."""
    found: list[Supernode] = []
    listed: list[list[Any]] = view.get("supernodes") or []
    for i, group in enumerate(listed):
        place = f"{origin}: supernodes[{i}]"
        words = [word for word in group if isinstance(word, str) and word]
        if len(group) < 2 or len(words) < len(group):
            raise ValueError(f"{place} is {group!r:.80}; a label and the ids of its nodes are due")
        name, *ids = words
        if lost := [id for id in ids if id not in address]:
            raise ValueError(f"{place} has the node {lost[0]!r}, which the graph does not list")
        same = sum(node.name == name or node.name.startswith(f"{name} (") for node in found)
        found.append(Supernode(f"{name} ({same + 1})" if same else name, tuple(address[id] for id in ids)))
    try:
        check_supernodes(found, set(address.values()))
    except ValueError as error:
        raise ValueError(f"{origin}: {error}") from error
    return found


def _key(node: Mapping[str, Any], paired: bool, place: str) -> Key | None:
    """None for the metric, which clew writes as a logit."""
    kind, position = node["feature_type"], node["ctx_idx"]
    if isinstance(own := node.get("clew_address"), str):
        return _own_key(own, place)
    if kind == "logit" and node.get("clew_metric"):
        return None
    if kind in ("embedding", "logit"):
        return Site("embed" if kind == "embedding" else "final"), _token(node, kind, place), position
    if kind not in PARTS:
        raise ValueError(
            f"{place} is of the type {kind!r}, which has no place in a circuit; read are embedding, logit, {', '.join(PARTS)}"
        )
    part, is_error = PARTS[kind]
    if not re.fullmatch(r"\d{1,4}", str(node["layer"])):
        raise ValueError(f"{place}.layer is {node['layer']!r}; a {kind} stands at a layer from 0 on")
    layer = int(node["layer"])
    return Site(part, layer), ERROR if is_error else _unit(node, layer, paired, place), position


def _own_key(address: str, place: str) -> Key:
    """From an address that clew wrote: resid.3/17@4, resid.3/error. Raises: ValueError for anything else."""
    said = re.fullmatch(r"([^/@]+)/(\d{1,15}|error)(?:@(\d{1,9}))?", address)
    if not said:
        raise ValueError(f"{place}.clew_address is {address!r}; an address is due, as in resid.3/17@4")
    return Site.parse(said[1]), ERROR if said[2] == "error" else int(said[2]), int(said[3]) if said[3] else ANYWHERE


def _unit(node: Mapping[str, Any], layer: int, paired: bool, place: str) -> int:
    """From the id, layer_unit_position with whatever follows, or else from the paired number."""
    said = re.match(r"(\d+)_(\d+)_(\d+)(_|$)", node["node_id"])
    if said and (int(said[1]), int(said[3])) == (layer, node["ctx_idx"]):
        return int(said[2])
    if paired and node["feature"] is not None and node["feature"] >= 0 and unpair(node["feature"])[0] == layer:
        return unpair(node["feature"])[1]
    raise ValueError(
        f"{place} does not say which unit it is: its id {node['node_id']!r} is not {layer}_UNIT_{node['ctx_idx']}, and its "
        f"feature {node['feature']} is not the pair of {layer} and a unit"
    )


def _token(node: Mapping[str, Any], kind: str, place: str) -> int:
    """The vocabulary id: of a logit its feature, of an embedding in its id, E_token_position."""
    if kind == "logit" and isinstance(node["feature"], int) and node["feature"] >= 0:
        return node["feature"]
    if kind == "embedding" and (said := re.match(r"E_(\d+)_\d+", node["node_id"])):
        return int(said[1])
    raise ValueError(
        f"{place}, a {kind}, does not say which token it is: {node['node_id']!r}, feature {node['feature']}"
    )


def _scores(held: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Those that clew wrote; else what each node adds to a running sum of influence, and 0 for one that has none."""
    own = [node.get("clew_score") for node in held]
    if held and all(type(score) in (int, float) for score in own):
        return np.array(own, np.float64)
    total = np.array([np.nan if v is None else v for v in (node.get("influence") for node in held)], np.float64)
    order = np.argsort(total, kind="stable")  # nan comes last
    added = np.zeros(len(total))
    added[order] = np.diff(total[order], prepend=0.0)
    return np.nan_to_num(added)


def _prompt(tokens: Sequence[str], known: Sequence[Known]) -> Prompt:
    """The prompt; without ids where a token of it is no node."""
    ids = {key[2]: key[1] for _, key in known if key[0].part == "embed"}
    logits = [
        Logit(key[1], _said(node["clerp"]), float(node.get("token_prob") or 0.0))
        for node, key in known
        if key[0].part == "final"
    ]
    logits.sort(key=lambda logit: -logit.probability)
    whole = sorted(ids) == list(range(len(tokens)))
    return Prompt(tuple(tokens), tuple(ids[p] for p in range(len(tokens))) if whole else (), tuple(logits))


def _said(clerp: str) -> str:
    """The token of a logit's label, `Output "tok" (p=0.123)`."""
    found = PROBABILITY.match(clerp)
    return found["token"] if found else clerp


def _labels(graph: Mapping[str, Any], known: Sequence[Known], address: Mapping[str, str]) -> dict[str, Label]:
    """Names of features, those that a person gave in the viewer above those of the file; tokens by their words."""
    given = {str(one[0]): str(one[1]) for one in graph["qParams"].get("clerps") or () if len(one) == 2}
    tokens, named = graph["metadata"]["prompt_tokens"], dict[str, Label]()
    for node, (site, unit, position) in known:
        kind: LabelKind = "token"
        if site.part == "embed":
            name = tokens[position]
        elif site.part == "final":
            name = _said(node["clerp"])
        else:
            name = given.get(f"{node['layer']}_{node['feature']}_{position}", "" if unit == ERROR else node["clerp"])
            kind = "prose"
        if name if kind == "token" else name.strip():
            named[address[node["node_id"]]] = Label(name, kind, origin=ORIGIN)
    return named
