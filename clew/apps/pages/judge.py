"""The units of a circuit to judge, as one HTML file that needs nothing else: no network, no server, no build.

Tokens, contexts, labels and reasons are other people's text: all of it is escaped here, and the script writes text only.
"""

from __future__ import annotations

import html

from clew.apps.pages.frame import framed
from clew.circuits.circuit import Circuit, Node
from clew.circuits.verdicts import Verdicts


def judge_page(circuit: Circuit, verdicts: Verdicts | None = None) -> str:
    """A card for each unit: what it fires on, its effect, keep or drop, and a reason; a button saves the verdicts.

    What is saved is the file that `Verdicts.load` and `clew judge` read.

    Args: verdicts: what was decided so far; of other units than the circuit's too, which then stay in the file.
    Raises: ValueError if there is no unit to judge, or the verdicts are of other dictionaries than the circuit.
    """
    asked = Verdicts.of(circuit)
    if not len(asked):
        raise ValueError(f"{circuit!r} has no units to judge; error nodes cannot be judged")
    judged = asked | verdicts if verdicts else asked
    nodes = {node.address.partition("@")[0]: node for node in circuit.everywhere()}
    cards = [_card(circuit, nodes[address], judged[address] and judged[address].reason) for address in asked]  # type: ignore[union-attr]
    behaviour = circuit.provenance.get("behaviour")
    title = f"{len(asked)} units to judge" + (f": {behaviour}" if behaviour else "")
    return framed("judge", title, {"units": "\n".join(cards)}, judged.to_json())


def _card(circuit: Circuit, node: Node, reason: str | None) -> str:
    address, said = html.escape(node.address), html.escape
    told = {
        table: circuit.details.get(table, {}).get(node.address, []) for table in ("top_tokens", "promotes", "examples")
    }
    tokens = "".join(f"<span>{said(token)}</span>" for token in told["top_tokens"])
    examples = "".join(f"<li>{_marked(passage)}</li>" for passage in told["examples"])
    promotes = f'<p class="promotes">promotes {said(", ".join(told["promotes"]))}</p>' if told["promotes"] else ""
    return (
        f'<article tabindex="0" data-address="{address}" aria-label="{address}"><div>'
        f"<h2>{address}<span>{said(node.label)} effect {node.score:+.3g}</span></h2>"
        f'<div class="tokens">{tokens or "<span>fires on nothing that was read</span>"}</div><ul>{examples}</ul>{promotes}'
        '</div><div class="verdict"><button type="button" class="keep">Keep</button>'
        '<button type="button" class="drop">Drop</button>'
        f'<input placeholder="Why?" aria-label="Reason for {address}" value="{said(reason or "")}">'
        '<p class="said"></p></div></article>'
    )


def _marked(passage: str) -> str:
    """The token that stands between « and » as a mark."""
    before, _, rest = passage.partition("«")
    here, _, after = rest.partition("»")
    return (
        f"{html.escape(before)}<mark>{html.escape(here)}</mark>{html.escape(after)}" if rest else html.escape(passage)
    )
