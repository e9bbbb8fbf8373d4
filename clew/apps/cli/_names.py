"""Names for the units of a circuit: from a pack, a file of labels, or an index of where they fire."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from clew.apps.cli._terminal import telling
from clew.apps.cli._thin import say_if_thin


def units_of(circuit: Any) -> list[str]:
    """The addresses of its units, each once, without positions and without error nodes."""
    from clew.circuits.circuit import ERROR

    return list(dict.fromkeys(node.address.partition("@")[0] for node in circuit if node.unit != ERROR))


def named(circuit: Any, source: str) -> tuple[Any, str]:
    """The circuit with what is said of its units, and how many have a name.

    Args: source: a folder of an index, a file of labels, or the name of an installed pack.
    """
    found = circuit.explained(names_of(source)(circuit))
    units = units_of(found)
    known = sum(bool(found.labels.name(unit)) for unit in units)
    silent = {unit.partition("/")[0] for unit in units} - {unit.partition("/")[0] for unit in found.labels}
    nothing = f"; it says nothing of {', '.join(sorted(silent))}" if silent else ""
    return found, f"{known} of {len(units)} units have a name, by {source}{nothing}"


def names_of(source: str) -> Callable[[Any], Any]:
    """What gives a circuit its labels. Raises: ValueError for what is no source of them, before anything takes long."""
    import clew
    from clew.dictionaries.packs import pack_labels, packs, what_there_is
    from clew.labels import Labels

    path = Path(source)
    if (path / "index.json").is_file():
        index = clew.Index.load(path)
        say_if_thin(index)
        return lambda circuit: _of_index(index, units_of(circuit))
    if path.is_file():
        labels = Labels.load(path)
        return lambda circuit: labels
    if source in packs():
        return lambda circuit: pack_labels(source, circuit.sites)
    raise ValueError(f"{source} is no index, no file of labels and no pack; {what_there_is()}")


def _of_index(index: Any, units: list[str]) -> Any:
    """What the index says of units, after those of which it says nothing were explained by rules."""
    import clew
    from clew.labels import Labels

    known, here = index.labels.all(), set(map(str, index.sites))
    missing = [unit for unit in units if unit not in known and unit.partition("/")[0] in here]
    if missing:
        with telling(f"explaining {len(missing)} units") as tell:
            clew.explain(index, missing, to=index.labels, progress=tell)
    return Labels(index.labels.all().units, index.fingerprints).about(units)
