"""Numbers drawn with their intervals by matplotlib, which is asked for then: curves over a size, or a point for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, isnan
from typing import Any

Point = tuple[int | None, float, float, float]
"""Size, value, and both ends of its interval, nan where there is none."""
SUPPORTS, AGAINST, QUIET = "#0072b2", "#d55e00", "#8a8a8a"
COLOURS = (SUPPORTS, AGAINST, "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Told apart by eyes that see few colours, too (Okabe and Ito); what is random is grey."""
WIDE = 3
"""So many curves stand in a row."""


def pyplot() -> Any:
    """matplotlib's. Raises: ImportError naming the extra where it is not installed."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("a plot needs matplotlib: pip install 'clew[plots]'") from error
    return pyplot


def panels(title: str, unit: str, table: Mapping[str, Mapping[str, Sequence[Point]]]) -> list[Any]:
    """A panel for each measure: curves where each of its lines is of several sizes, else a point for each number.

    Args: unit: what sizes count. table: by measure and by what it was measured on.
    Returns: matplotlib axes, in the order of the table.
    """
    curved = [_is_curve(lines) for lines in table.values()]
    figure, found = _grid(curved, [sum(map(len, lines.values())) for lines in table.values()])
    figure.suptitle(title, fontsize="medium")
    for axes, (measure, lines), curve in zip(found, table.items(), curved, strict=True):
        (_curves if curve else _points)(axes, lines)
        axes.set_title(measure, fontsize="medium", loc="left")
        if curve:
            axes.set_xlabel(f"{unit}s")
    return found


def _is_curve(lines: Mapping[str, Sequence[Point]]) -> bool:
    sizes = [[size for size, *_ in points] for points in lines.values()]
    return any(len(of) > 1 for of in sizes) and all(None not in of and len(set(of)) == len(of) for of in sizes)


def _grid(curved: Sequence[bool], rows: Sequence[int]) -> tuple[Any, list[Any]]:
    """A figure with a panel for each: curves side by side, points one below the other, as high as they are many."""
    wide = min(WIDE, len(curved)) if all(curved) else 1
    high = [2.6 if curve else 0.5 + 0.26 * n for curve, n in zip(curved, rows, strict=True)][::wide]
    size = (max(5.5, 3.4 * wide), sum(high) + 0.9)
    figure, grid = pyplot().subplots(
        len(high), wide, figsize=size, height_ratios=high, squeeze=False, layout="constrained"
    )
    every = list(grid.flat)
    for axes in every:
        axes.spines[["top", "right"]].set_visible(False)
    for left in every[len(curved) :]:
        left.set_visible(False)
    return figure, every[: len(curved)]


def _curves(axes: Any, lines: Mapping[str, Sequence[Point]]) -> None:
    """A line for each, in the shade of its interval; sizes in steps of factors."""
    sizes = sorted({size for points in lines.values() for size, *_ in points if size})
    for (of, points), colour in zip(lines.items(), _colours(lines), strict=True):
        size, value, low, high = zip(*sorted(points), strict=True)
        axes.plot(size, value, "--" if colour == QUIET else "-", color=colour, marker=".", label=of)
        axes.fill_between(size, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    if any(lines):
        axes.legend(frameon=False, fontsize="small")


def _points(axes: Any, lines: Mapping[str, Sequence[Point]]) -> None:
    """A line of the panel for each number, its interval as a bar through it."""
    names = list[str]()
    for (of, points), colour in zip(lines.items(), _colours(lines), strict=True):
        for size, value, low, high in points:
            bars = [[value - low], [high - value]] if isfinite(low) and isfinite(high) else None
            axes.errorbar([value], [len(names)], xerr=bars, fmt="o", color=colour, capsize=3)
            names.append(" ".join(filter(None, [of, f"{size:,}" if size and len(points) > 1 else ""])))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.margins(x=0.1)


def _colours(lines: Mapping[str, Any]) -> list[str]:
    free = iter(COLOURS * (1 + len(lines) // len(COLOURS)))
    return [QUIET if of.startswith(("random", "no signal")) else next(free) for of in lines]


def sized(values: Sequence[float], least: float, most: float) -> list[float]:
    """Sizes for a drawing, from `least` for nothing (or nan) to `most` for the largest.

    >>> sized([0.0, -2.0, 1.0, float("nan")], 1.0, 3.0)
    [1.0, 3.0, 2.0, 1.0]
    """
    known = [0.0 if isnan(value) else abs(value) for value in values]
    top = max(known, default=0.0) or 1.0
    return [least + (most - least) * value / top for value in known]
