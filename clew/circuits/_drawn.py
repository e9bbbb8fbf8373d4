"""A circuit drawn for paper: layers from below upwards, positions from left to right, its strongest edges between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clew.circuits._columns import ANYWHERE, ERROR, OUTPUT
from clew.plots import AGAINST, QUIET, SUPPORTS, pyplot, sized

Place = tuple[float, float]
ROOM = 0.8
"""The part of a column that its nodes take up."""
ASIDE = 0.12
"""How far sites stand aside where there is one column."""
LETTERS = 24
"""So many of a name are written."""


def drawn(circuit: Any, words: Sequence[str], axes: Any) -> Any:
    """All nodes and edges of a circuit, and in each place the name of the strongest node.

    Args: words: the token at each position, as far as known. axes: where to draw; None for a new figure.
    Returns: the axes.
    """
    columns = sorted(set(circuit.position.tolist()))
    rows = sorted(set(circuit.site.tolist()))
    ends_in_metric = bool((circuit.target == OUTPUT).any())
    if axes is None:
        size = (min(14.0, max(5.0, 1.3 * len(columns) + 1.5)), min(11.0, 0.42 * (len(rows) + ends_in_metric) + 1.4))
        axes = pyplot().subplots(figsize=size, layout="constrained")[1]
    places = _places(circuit, columns, rows)
    metric = ((len(columns) - 1.0), float(len(rows)))
    _edges(axes, circuit, [*places, metric])
    _nodes(axes, circuit, places)
    _names(axes, circuit, places)
    if ends_in_metric:
        axes.scatter(*metric, marker="*", s=140, color=QUIET, zorder=3)
    sites = [str(circuit.sites[row]) for row in rows] + ["metric"] * ends_in_metric
    axes.set_yticks(range(len(sites)), sites)
    axes.set_xticks(range(len(columns)), [_word(column, words) for column in columns])
    axes.set_xlim(-0.6, len(columns) - 0.4)
    axes.set_ylim(-0.6, len(sites) - 0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _places(circuit: Any, columns: Sequence[int], rows: Sequence[int]) -> list[Place]:
    """Where each node stands: those of one site and position side by side, in the order of their units.

    In a single column sites stand aside by turns, so that edges between them do not lie on one line.
    """
    cells: dict[tuple[int, int], list[int]] = {}
    for node in np.argsort(circuit.unit, kind="stable").tolist():
        cells.setdefault((int(circuit.position[node]), int(circuit.site[node])), []).append(node)
    found: list[Place] = [(0.0, 0.0)] * len(circuit)
    for (position, site), nodes in cells.items():
        apart = min(0.25, ROOM / len(nodes)) if len(columns) > 1 else ROOM / len(nodes)
        row = rows.index(site)
        middle = columns.index(position) + ASIDE * (row % 3 - 1) * (len(columns) == 1)
        for i, node in enumerate(nodes):
            found[node] = (middle + apart * (i - (len(nodes) - 1) / 2), float(row))
    return found


def _edges(axes: Any, circuit: Any, places: Sequence[Place]) -> None:
    """Lines, as thick as the edge is strong; of an edge to the metric the place is the last."""
    widths = sized(circuit.weight.tolist(), 0.3, 3.0)
    edges: list[tuple[int, int, float]] = circuit.edges
    for (source, target, weight), width in zip(edges, widths, strict=True):
        axes.plot(
            *zip(places[source], places[target], strict=True),
            color=_colour(weight),
            linewidth=width,
            alpha=0.35,
            zorder=1,
        )


def _nodes(axes: Any, circuit: Any, places: Sequence[Place]) -> None:
    """Dots, as large as the effect; of error nodes a square that is hollow."""
    sizes = np.array(sized(circuit.score.tolist(), 18.0, 200.0))
    colours, at = np.array([_colour(score) for score in circuit.score]), np.array(places).reshape(-1, 2)
    errors = circuit.unit == ERROR
    axes.scatter(*at[~errors].T, s=sizes[~errors], c=colours[~errors], zorder=2, linewidths=0)
    axes.scatter(*at[errors].T, s=sizes[errors], facecolors="white", edgecolors=colours[errors], marker="s", zorder=2)


def _names(axes: Any, circuit: Any, places: Sequence[Place]) -> None:
    best: dict[tuple[int, int], int] = {}
    for node in np.argsort(-np.abs(np.nan_to_num(circuit.score)), kind="stable").tolist():
        best.setdefault((int(circuit.position[node]), int(circuit.site[node])), node)
    nodes = circuit.nodes
    for i in best.values():
        said = nodes[i].label or nodes[i].address.partition("@")[0].rpartition("/")[2]
        clipped = said if len(said) <= LETTERS else f"{said[: LETTERS - 1]}…"
        axes.annotate(clipped, places[i], (0, 7), textcoords="offset points", fontsize=7, ha="center", zorder=4)


def _colour(value: float) -> str:
    return SUPPORTS if value > 0 else AGAINST if value < 0 else QUIET


def _word(position: int, words: Sequence[str]) -> str:
    if position == ANYWHERE:
        return "every position"
    return str(words[position]).strip() or repr(words[position]) if position < len(words) else str(position)


def words_of(details: Mapping[str, Any], prompt: Any) -> list[str]:
    """The token at each position: of the prompt of a graph of one, else of the first of the template's."""
    return list(map(str, prompt.tokens if prompt else details.get("tokens") or ()))
