"""From clusters and circuits to the entries of an atlas: what is alike is told, and what is nearly one is joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from clew.circuits.circuit import ERROR, Circuit
from clew.report import Report, Row
from clew.studies.atlas._sklearn import sklearn, sparse
from clew.studies.atlas.clustering import Clustering
from clew.studies.atlas.contexts import Contexts
from clew.studies.atlas.entry import Check, Entry, Example, Found
from clew.studies.atlas.names import names
from clew.studies.atlas.quality import qualities

NEAR, SAME = 5, 0.9
"""How many like circuits are told of, and the cosine from which two are one."""
ANSWERS, EXAMPLES = 5, 8


def assembled(
    given: Contexts,
    sources: Sequence[int],
    clustering: Clustering,
    vectors: Float[np.ndarray, "context dim"],
    circuits: Mapping[int, tuple[Circuit, Mapping[str, Any]]],
    tokenizer: Any,
) -> tuple[Entry, ...]:
    """The entries, in the order of the clusters.

    Args: sources: of each document. circuits: by cluster, with all that `circuit_of` gave.
    """
    words = {int(i): str(tokenizer.decode([int(i)])) for i in np.unique([*given.ids.ravel(), *given.answer])}
    named, quality = names(given, clustering, words), qualities(given, clustering, vectors)
    near, same = alike({k: circuit for k, (circuit, _) in circuits.items()})
    made = list[Entry]()
    for k, at in enumerate(coordinates(vectors, clustering)):
        index = clustering.members(k)
        good, said = quality[k], named[k]
        made.append(
            Entry(
                id=k,
                name=said.said,
                usual=said.usual,
                fit=(_number(said.precision), _number(said.recall)),
                size=good.size,
                documents=good.documents,
                silhouette=_number(good.silhouette),
                entropy=good.entropy,
                ngrams=good.ngrams,
                trivial=good.trivial,
                answers=tuple((words[a], n) for a, n in Counter(given.answer[index].tolist()).most_common(ANSWERS)),
                examples=tuple(_example(given, int(i), sources, tokenizer) for i in index[:EXAMPLES]),
                at=at,
                circuit=found_of(*circuits[k]) if k in circuits else None,
                near=near.get(k, ()),
                same_as=same.get(k),
            )
        )
    return tuple(made)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _example(given: Contexts, i: int, sources: Sequence[int], tokenizer: Any) -> Example:
    answer = str(tokenizer.decode([int(given.answer[i])]))
    return Example(str(tokenizer.decode(given.prompt(i))), answer, sources[int(given.document[i])])


def found_of(circuit: Circuit, made: Mapping[str, Any]) -> Found:
    """What an entry keeps of a circuit, and of what `circuit_of` gave with it."""
    return Found(
        nodes=tuple((node.address, float(f"{node.score:.4g}")) for node in circuit.top(len(circuit))),
        scored=made["scored"],
        edges=len(circuit.weight),
        rows=tuple(map(_row, made["rows"])),
        checks={name: Check(**check) for name, check in made["checks"].items()},
    )


def _row(held: Mapping[str, Any]) -> Row:
    plain = {name: value for name, value in held.items() if name != "otherwise"}
    (row,) = Report.from_json({**Report("", ()).to_json(), "rows": [plain]}).rows
    of = ", ".join(filter(None, (row.of, held["otherwise"])))
    return Row(row.measure, row.value, row.low, row.high, of, row.nodes, row.examples, row.unit)


def coordinates(vectors: Float[np.ndarray, "context dim"], clustering: Clustering) -> list[tuple[float, float]]:
    """Where each cluster stands on the map: its mean direction on the first two principal components of all of them."""
    centres = np.stack([vectors[clustering.members(k)].mean(0) for k in range(clustering.k)])
    centres = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    flat = sklearn("decomposition").PCA(2, random_state=0).fit_transform(centres)
    flat = flat / max(1e-12, float(np.abs(flat).max()))
    return [(round(float(x), 4), round(float(y), 4)) for x, y in flat]


def alike(
    circuits: Mapping[int, Circuit],
) -> tuple[dict[int, tuple[tuple[int, float], ...]], dict[int, int]]:
    """The like circuits of each, and those that are joined: with the first, which is the largest, of all that are nearly one.

    Circuits are compared by the cosine of their scores over units; error nodes, which are of every site, are left out.
    """
    which = sorted(circuits)
    if len(which) < 2:
        return {}, {}
    addresses = dict[str, int]()
    row, column, value = list[int](), list[int](), list[float]()
    for i, k in enumerate(which):
        circuit = circuits[k]
        for node in circuit.keep(circuit.unit != ERROR):
            row.append(i)
            column.append(addresses.setdefault(node.address, len(addresses)))
            value.append(node.score)
    table = sparse("csr_matrix")((value, (row, column)), shape=(len(which), max(1, len(addresses))))
    table = sklearn("preprocessing").normalize(table)
    cosine = np.asarray((table @ table.T).todense())
    np.fill_diagonal(cosine, -2)
    near = dict[int, tuple[tuple[int, float], ...]]()
    same = dict[int, int]()
    for i, k in enumerate(which):
        order = np.argsort(-cosine[i], kind="stable")[:NEAR]
        near[k] = tuple((which[j], round(float(cosine[i, j]), 4)) for j in order if cosine[i, j] > 0)
        first = [which[j] for j in np.flatnonzero(cosine[i, :i] >= SAME) if which[j] not in same]
        if first:
            same[k] = first[0]
    return near, same
