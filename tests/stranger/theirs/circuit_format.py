"""A format of circuits: {"theirs": {"resid.0/3": score}}."""

from typing import Any

import numpy as np

from clew import Circuit, Site


def matches(value: Any) -> bool:
    """By its one key."""
    return isinstance(value, dict) and "theirs" in value


def read(value: Any, origin: str) -> Circuit:
    """Nodes with their scores, all at one site."""
    addresses, n = list(value["theirs"]), len(value["theirs"])
    site = Site.parse(addresses[0].partition("/")[0])
    unit = np.array([int(a.partition("/")[2]) for a in addresses])
    columns = {"site": np.zeros(n, int), "unit": unit, "position": np.full(n, -1), "patch_mean": np.zeros(n)}
    return Circuit((site,), {site: 32}, **columns, score=np.array(list(value["theirs"].values())))
