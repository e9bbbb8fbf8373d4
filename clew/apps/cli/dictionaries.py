"""clew dictionaries: what dictionaries a folder holds, and what kinds clew knows."""

from __future__ import annotations

from pathlib import Path

from clew.apps.cli._terminal import Json, say, table, working


def dictionaries(path: Path | None = None, /, *, json: Json = False) -> None:
    """List the dictionaries in a file or folder; without one, the formats that clew reads and the packs it opens by name.

    Parameters
    ----------
    path
        A file or folder, in any format that clew reads, or the name of an installed pack.
    """
    from clew.dictionaries.packs import packs, what_there_is
    from clew.finder import files

    if path is None:
        formats = [name for name, format in files("dictionaries.formats") if hasattr(format, "matches")]
        said = f"clew reads these formats: {', '.join(formats)}\n{what_there_is()}"
        say(said, {"formats": formats, "packs": list(packs())}, json)
        return
    import clew

    with working(f"reading {path}"):
        found = clew.Dictionary.load(path)
    value = [
        {
            "reads": d.extra_repr() if d.joint else str(d.reads),
            "writes": str(d.writes),
            "type": type(d).__name__,
            "units": d.n_units,
            "d_in": d.d_in,
        }
        for d in found
    ]
    rows = [(v["reads"], v["writes"], v["type"], f"{v['units']} units of width {v['d_in']}") for v in value]
    say(table([("reads", "writes", "type", ""), *rows]), value, json)
