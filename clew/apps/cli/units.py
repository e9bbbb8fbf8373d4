"""clew units: look into an index: its sites, one unit, or the units that labels speak of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clew.apps.cli._terminal import Json, say, table


def units(
    folder: Path,
    unit: str | None = None,
    /,
    *,
    search: str | None = None,
    top: int = 10,
    quantiles: int = 0,
    json: Json = False,
) -> None:
    """Show what an index holds: its sites, or one unit with the contexts in which it fires most.

    Parameters
    ----------
    folder
        What `clew index` wrote.
    unit
        Its address, as resid.3/17.
    search
        List the units whose labels hold these words.
    top
        How many contexts of a unit, or units that were found.
    quantiles
        Show contexts of all strengths instead: some of each of so many bands of equally many firings.
    """
    import clew

    index = clew.Index.load(folder)
    if search is not None:
        found = index.search(search, top)
        value: Any = [{"unit": address, **label.to_json()} for address, label in found]
        rows = [(address, label.text, f"({label.kind}, {label.origin})") for address, label in found]
        say(table(rows) if rows else _none_holds(index, search), value, json)
    elif unit is not None:
        value = _unit(index, unit, top, quantiles)
        say("\n".join(_lines(value)), value, json)
    else:
        value = [_site(index, site) for site in index.sites]
        head = ("site", "units", "silent", "firings")
        say(table([head, *([str(cell) for cell in row.values()] for row in value)]), value, json)


def _none_holds(index: Any, search: str) -> str:
    n = sum(map(len, index.labels.all().values()))
    return f"no label holds {search!r}; the index holds {n:,} label{'s' * (n != 1)}, and clew explain makes them"


def _site(index: Any, site: Any) -> dict[str, Any]:
    count = index.summary(site).count
    return {"site": str(site), "units": len(count), "silent": int((count == 0).sum()), "firings": int(count.sum())}


def _unit(index: Any, address: str, top: int, quantiles: int) -> dict[str, Any]:
    """What there is to say of a unit."""
    site, slash, number = address.partition("/")
    if not slash or not number.isdigit():
        raise ValueError(f"{address!r} is no unit; one reads {index.sites[0]}/17")
    unit, told = int(number), index.summary(site)
    bands = index.quantiles(site, unit, quantiles, -(-top // quantiles)) if quantiles else []
    ordered = [sorted(band.contexts, key=lambda c: -abs(c.value)) for band in bands]
    shown = [c for some in ordered for c in some] if quantiles else index.top(site, unit, top)
    contexts = [{"value": c.value, "document": c.document, "text": str(c)} for c in shown]
    return {
        "unit": address,
        "labels": [label.to_json() for label in index.labels.of(address)],
        "firings": int(told.count[unit]),
        "density": float(told.density[unit]),
        "positive": float(told.positive[unit]),
        "negative": float(told.negative[unit]),
        "largest": float(told.max[unit]),
        "nearest": {
            by: [[f"{site}/{other}", alike] for other, alike in index.nearest(site, unit, by)]
            for by in index.near_by(site)
        },
        "bands": [
            {
                "low": band.low,
                "high": band.high,
                "firings": band.count,
                "exact": band.exact,
                "shown": len(band.contexts),
            }
            for band in bands
        ],
        "contexts": contexts,
    }


def _lines(value: dict[str, Any]) -> list[str]:
    fires = f"fires at {value['firings']:,} positions ({value['density']:.2%}), at most with {value['largest']:.3g}"
    sides = f", {value['negative']:.0%} of them below zero" if value["negative"] else ""
    lines = [f"{value['unit']} {fires}{sides}"]
    lines += [f"  {label['text']} ({label['kind']}, {label['origin']})" for label in value["labels"]]
    for by, near in value["nearest"].items():
        lines += [f"  near by {by}: " + ", ".join(f"{other} {alike:.2f}" for other, alike in near[:5])] if near else []
    contexts = [f"{c['value']:>9.3g}  {' '.join(c['text'].split())}" for c in value["contexts"]]
    for band in value["bands"]:
        about = "" if band["exact"] else "about "
        lines += ["", f"{band['high']:.3g} to {band['low']:.3g}: {about}{band['firings']:,.0f} firings"]
        lines += contexts[: band["shown"]]
        contexts = contexts[band["shown"] :]
    return lines + contexts
