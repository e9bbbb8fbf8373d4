"""clew diff: two circuits side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clew.apps.cli._terminal import Json, say, table


def diff(
    first: Path,
    second: Path,
    /,
    *,
    n: int | None = None,
    draws: int = 1000,
    seed: int = 0,
    shown: int = 10,
    page: Path | None = None,
    json: Json = False,
) -> None:
    """Compare two circuits: what they share, beside what shuffled circuits share, and what each has alone.

    Parameters
    ----------
    first
        What `clew find` saved.
    second
        Another one, found in the same view: for another behaviour, by another method, in another checkpoint.
    n
        Compare the n strongest nodes (edges, of a component graph); all of them by default.
    draws
        Shuffles behind the p-values.
    seed
        Draws the shuffles.
    shown
        How many nodes to name of those that one circuit has alone.
    page
        Write a page of both in one drawing, to open in a browser: what they share, and what each has alone.
    """
    from clew.circuits.circuit import Circuit
    from clew.measures.circuits.reuse import chosen, comparable, null_note, shared
    from clew.report import Report

    pair = comparable(Circuit.load(first), Circuit.load(second))
    one, two = (chosen(c, n) for c in pair)
    difference = one.diff(two)
    report = Report(
        f"{first} and {second}", tuple(shared(*pair, n=n, draws=draws, seed=seed)), (null_note(*pair, draws),)
    )
    alone = {"first": difference.only_first, "second": difference.only_second}
    nodes: dict[str, list[dict[str, Any]]] = {
        which: _strongest(circuit, set(alone[which]), shown) for which, circuit in (("first", one), ("second", two))
    }
    lines = [str(difference), "", str(report)]
    for which, circuit in (("first", one), ("second", two)):
        if nodes[which]:
            rows = [(f"  {node['address']}", f"{node['score']:+.4g}", node["label"]) for node in nodes[which]]
            of = f"the strongest {len(rows)} of {len(alone[which])}" if len(rows) < len(alone[which]) else "all"
            lines += ["", f"only in the {which} of {len(circuit)} nodes, {of}:", table(rows)]
    edges = {
        "shared": len(difference.shared_edges),
        "first": len(difference.only_first_edges),
        "second": len(difference.only_second_edges),
    }
    value = {
        "nodes": {"shared": len(difference.shared), **{which: len(keys) for which, keys in alone.items()}},
        "edges": edges,
        "only": nodes,
        "report": report.to_json(),
    }
    if page:
        from clew.apps.pages.circuit import page_of_two
        from clew.files import write_text

        names = (first.stem, second.stem) if first.stem != second.stem else (str(first), str(second))
        write_text(page, page_of_two(one, two, names))
        lines += ["", f"saved as {page}"]
        value["page"] = str(page)
    say("\n".join(lines), value, json)


def _strongest(circuit: Any, keys: set[Any], n: int) -> list[dict[str, Any]]:
    """The strongest nodes of some keys."""
    import numpy as np

    alone = circuit.keep(np.array([key in keys for key in circuit.keys()], bool)).top(n)  # noqa: SIM118
    return [{"address": node.address, "score": node.score, "label": node.label} for node in alone]
