"""What property tests draw from: texts that are hard to keep, small circuits of every kind."""

import numpy as np
from hypothesis import strategies as st

from clew.circuits.circuit import ANYWHERE, ERROR, OUTPUT, Circuit
from clew.circuits.kind import Kind
from clew.labels import Labels
from clew.sites import Site

ODD = "\"'\\,;\t\n\r\x0b\x0c\x1c\x85\u2028\u2029\ufeff\u200d{}[]<>& aé漢🧵👩‍🔬\u0301"
"""Quotes, every character that some reader takes for the end of a line, marks, and letters outside of every plane."""
TEXT = st.text(st.sampled_from(ODD), max_size=12)
SAID = TEXT.map("x".__add__)
"""A text that is not empty."""
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
SITES = tuple(Site("resid", layer) for layer in range(3))
UNITS = 5


def column(draw: st.DrawFn, values: st.SearchStrategy, n: int, kind: type = float) -> np.ndarray:
    return np.array(draw(st.lists(values, min_size=n, max_size=n)), kind)


@st.composite
def circuits(draw: st.DrawFn, score: st.SearchStrategy = NUMBER, max_nodes: int = 8) -> Circuit:
    """A circuit of features, of distinct nodes in forward order, whose edges go forward or into the metric."""
    node = st.tuples(st.integers(0, 2), st.integers(ERROR, UNITS - 1), st.integers(ANYWHERE, 3))
    nodes = sorted(draw(st.lists(node, unique=True, max_size=max_nodes)))
    n = len(nodes)
    ends = [(s, t) for s in range(n) for t in [OUTPUT, *range(s + 1, n)]]
    edges = draw(st.lists(st.sampled_from(ends), unique=True, max_size=12)) if ends else []
    at = np.array(nodes, np.int64).reshape(-1, 3)
    wires = np.array(edges, np.int64).reshape(-1, 2)
    maybe = score | st.just(float("nan"))
    return Circuit(
        SITES,
        dict.fromkeys(SITES, UNITS),
        site=at[:, 0],
        unit=at[:, 1],
        position=at[:, 2],
        score=column(draw, score, n),
        patch_mean=column(draw, maybe, n),
        score_error=column(draw, maybe, n),
        source=wires[:, 0],
        target=wires[:, 1],
        weight=column(draw, score, len(edges)),
        weight_error=column(draw, maybe, len(edges)),
        labels=Labels.of(
            draw(
                st.dictionaries(
                    st.sampled_from([f"resid.{i}/{u}" for i in range(3) for u in range(UNITS)]),
                    TEXT.filter(str.strip),
                    max_size=3,
                )
            )
        ),
        kind=Kind(length=4, in_metric_units=draw(st.booleans())),
        details=draw(st.dictionaries(TEXT, JSON, max_size=2)),
        provenance=draw(st.dictionaries(TEXT, JSON, max_size=2)),
    )
