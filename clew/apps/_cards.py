"""What is known of a node, in words: what terminal and pages say of it alike.

Circuits are typed as Any: their class comes with torch, which `clew --help` must not import.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

NAMELESS = {"label": "", "kind": "", "tested": ""}
ERROR, SHOWN, ABOVE = "error", "simulation r", "above "
IN_PART = "in part: "
WHOLE = {"all": "", "windows": " in windows", "unit": ""}
"""Of what a score is that is said of a label, and how that is said."""
READS = {"q": "queries", "k": "keys", "v": "values"}
COMPONENTS = ("heads", "experts", "components")
"""Units that are parts of the model, and not of a dictionary."""
FIRES, RAISES, TESTED, NAME, NAME_OF_EDGE, WIDE = 34, 28, 33, 34, 66, 115
"""How wide columns of a table may be, and a table of nodes."""


def in_words(circuit: Any, address: str) -> str:
    """What an address names in this circuit: "head 3 of layer 5", "MLP of layer 2", "feature 17 of resid.3", ...

    Args: address: `resid.3/17`; a position is left off.
    """
    site, _, unit = address.partition("@")[0].partition("/")
    part, _, layer = site.partition(".")
    kind = circuit.kind.of
    if unit == ERROR:
        return f"error of {site}"
    if kind == "prompt_graph" and part in ("embed", "final"):
        return "token" if part == "embed" else "next token"
    units = str(circuit.provenance.get("units") or "units")
    components = kind == "components" or units in COMPONENTS
    if components and (said := _component(part, layer, unit, circuit.kind.components)):
        return said
    name = "feature" if kind == "attention" else units.removesuffix("s")
    return f"{name} {unit} of layer {layer}" if part == "neuron" and name == "neuron" else f"{name} {unit} of {site}"


def _component(part: str, layer: str, unit: str, card: Any) -> str:
    """A source or reader of the component graph; empty where it is none."""
    of = f"layer {layer}"
    if part in READS:
        shared = part != "q" and card is not None and card.n_kv_heads != card.n_heads
        return f"{READS[part]} of {'key-value head' if shared else 'head'} {unit} of {of}"
    named = {"attn": "attention", "mixer": "mixer", "mlp": "MLP", "shared": "shared experts"}
    said = {"embed": "embedding", "final": "logits", "head": f"head {unit} of {of}", "expert": f"expert {unit} of {of}"}
    said |= {kind: f"{name} of {of}" for kind, name in named.items()}
    return (said | {f"{kind}_in": f"input of the {name} of {of}" for kind, name in named.items()}).get(part, "")


def known(circuit: Any, address: str, table: str) -> list[str] | None:
    """What the details say of a unit, in `top_tokens`, `promotes` or `examples`; None where nothing was read."""
    told = circuit.details.get(table, {}).get(address.partition("@")[0])
    return None if told is None else [str(one) for one in ([told] if isinstance(told, str) else told)]


def fires_on(circuit: Any, address: str) -> str:
    """The tokens on which a unit fires most; that it fired on none; or empty where no text was read."""
    told = known(circuit, address, "top_tokens")
    return "" if told is None else listed(told) or "nothing that was read"


def listed(tokens: Sequence[str], wide: int | None = None) -> str:
    """Tokens in one line, as many whole ones as `wide` characters hold; one of blanks alone is written as in a program."""
    words = [token.strip() or repr(token) for token in tokens]
    kept = len(words)
    while wide is not None and kept > 1 and len(", ".join(words[:kept])) > wide - (kept < len(words)):
        kept -= 1
    return ", ".join(words[:kept]) + "…" * (kept < len(words))


def briefly(text: str, kind: str) -> str:
    """The first clause of a rule, with a sign that there are more; of any other kind of label the whole."""
    if kind != "rule":
        return text
    first, more, _ = text.removeprefix(IN_PART).partition("; ")
    return first + "; …" * bool(more)


def holds(label: Any) -> str:
    """How well strength is predicted, and how far that is above the highest floor; empty where it was not tested.

    As in `r 0.67, +0.31 above random unit`.
    """
    row = next((row for row in label.scores if row.measure == SHOWN and row.of == "all"), None)
    if row is None:
        return ""
    least = label.above(SHOWN)
    said = ", no floor" if least is None else f", {least.value:+.2f} {least.of.replace('_', ' ')}"
    return f"r {row.value:.2f}{said}"


def as_tested(label: Any) -> str:
    """How a label has held: each score over all that was asked, or over windows, and how far it is above each floor."""
    above = {(row.measure, row.of): row.value for row in label.scores if row.of.startswith(ABOVE)}
    said: list[str] = []
    for row in label.scores:
        if row.of in WHOLE:
            over = [f"{value:+.2f} {of}" for (measure, of), value in above.items() if measure == row.measure]
            beside = f" ({', '.join(over)})" if over else ""
            said.append(f"{row.measure}{WHOLE[row.of]} {row.value:.2f}{beside}")
    return ", ".join(said)


def groups(circuit: Any) -> dict[str, str]:
    """By address, of which supernode a node is."""
    return {member: f"in “{group.name}”" for group in circuit.supernodes for member in group.members}


def strongest(circuit: Any, n: int = 10) -> list[dict[str, Any]]:
    """What is known of the strongest nodes, or of the strongest edges and the nodes they come from."""
    if not circuit.kind.by_edges:
        group = groups(circuit)
        nodes = list(circuit.shown(n))
        cards = [_card(circuit, node.address, node.address, node.score) for node in nodes]
        return [card | {"group": group.get(node.address, "")} for card, node in zip(cards, nodes, strict=True)]
    some, nodes = circuit.strongest_edges(n), circuit.nodes
    ends = zip(some.source.tolist(), some.target.tolist(), some.weight.tolist(), strict=True)
    return [
        _card(circuit, nodes[u].address, f"{nodes[u].address} -> {'logits' if v < 0 else nodes[v].address}", weight)
        for u, v, weight in ends
    ]


def _card(circuit: Any, address: str, shown: str, score: float) -> dict[str, Any]:
    words = " -> ".join("logits" if end == "logits" else in_words(circuit, end) for end in shown.split(" -> "))
    told = {
        name: known(circuit, address, table) for name, table in (("fires_on", "top_tokens"), ("promotes", "promotes"))
    }
    said = next(iter(circuit.labels.get(address.partition("@")[0], ())), None) if address == shown else None
    name = {"label": said.text, "kind": said.kind, "tested": holds(said)} if said else NAMELESS
    return {"address": shown, "score": score, **name, "words": words, **told}


def table(circuit: Any, n: int = 10) -> str:
    """The strongest nodes (of components the strongest edges), a line each: effect, name, what it fires on and promotes."""
    cards = strongest(circuit, n)
    named = NAME_OF_EDGE if circuit.kind.by_edges else NAME
    spare = max(0, shutil.get_terminal_size((WIDE, 20)).columns - named - WIDE + NAME) // 2
    ruled = any(card["kind"] == "rule" for card in cards)
    rows = [["", "", "fires on (by rule, else tokens)" if ruled else "fires on", "r, above floor", "promotes"]]
    for card in cards:
        label, kind = card["label"], card["kind"]
        rule, done = (briefly(label, kind) if kind == one else "" for one in ("rule", "effects"))
        beside = ("" if rule or done else label) or card.get("group") or _beside(circuit, card)
        name = card["words"] if circuit.kind.by_edges else f"{card['address']}  {beside}"
        fires = "" if card["fires_on"] is None else listed(card["fires_on"], FIRES + spare) or "nothing that was read"
        promotes = done or listed(card["promotes"] or [], RAISES + spare)
        rows.append([f"{card['score']:+.4f}", name.rstrip(), rule or fires, _short(card), promotes])
    most = (9, named, FIRES + spare, TESTED, RAISES + spare)
    kept = [0, 1, *(i for i in (2, 3, 4) if any(row[i] for row in rows[1:]))]
    rows, most = [[row[i] for i in kept] for row in rows[0 if len(kept) > 2 else 1 :]], [most[i] for i in kept]
    rows = [[_clipped(cell, wide) for cell, wide in zip(row, most, strict=False)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  " + "  ".join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _short(card: dict[str, Any]) -> str:
    """How a rule was tested, and whether it holds in part."""
    return card["tested"].removeprefix("r ").replace(ABOVE, "") + ", in part" * card["label"].startswith(IN_PART)


def _beside(circuit: Any, card: dict[str, Any]) -> str:
    """What an address does not say itself: the token at its position, or which component it is."""
    if circuit.kind.by_edges:
        return ""
    _, _, position = card["address"].partition("@")
    words = (circuit.kind.prompt.tokens if circuit.kind.prompt else None) or circuit.details.get("tokens") or []
    at = f"at {str(words[int(position)]).strip()}" if position and int(position) < len(words) else ""
    units = str(circuit.provenance.get("units"))
    return " ".join(filter(None, [card["words"] if units in COMPONENTS else "", at]))


def _clipped(text: str, wide: int) -> str:
    return text if len(text) <= wide else f"{text[: wide - 1]}…"
