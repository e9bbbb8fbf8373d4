"""A circuit for each cluster: found on two thirds of its contexts, judged on the others, beside a random one.

There are no patch prompts. What a unit would be otherwise is zero, or what it is in contexts of other clusters, one drawn for
each (`resample`), or their mean.
Source: Marks et al. 2024, section 5 and appendix (zero ablation). Differs: judged on members that the circuit was not found
on, by each kind of ablation that is asked for, beside random circuits of its size and depth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.metrics import log_probability
from clew.models import Model
from clew.models.likelihood import log_softmax
from clew.studies.atlas.checkers import changed, counterparts, exchanged
from clew.studies.atlas.clustering import Clustering
from clew.studies.atlas.contexts import Contexts
from clew.studies.atlas.options import LEAST, Otherwise, Wiring
from clew.verbs import find, verify


def items(given: Contexts, clustering: Clustering, members: int, seed: int) -> Iterator[dict[str, Any]]:
    """For each cluster with members enough what its circuit is made from, as plain JSON."""
    for cluster in range(clustering.k):
        index = clustering.members(cluster)
        if len(index) < 2 * LEAST:
            continue
        rng = np.random.default_rng([seed, cluster])
        chosen: list[int] = rng.permutation(index)[:members].tolist()
        judged = max(LEAST, len(chosen) // 3)
        outside = np.flatnonzero(clustering.which != cluster)
        others = [int(rng.choice(_as_long(given, outside, i))) for i in chosen]
        yield {
            "cluster": cluster,
            "contexts": [given.prompt(i) for i in chosen],
            "answers": given.answer[chosen].tolist(),
            "others": [given.prompt(i)[-int(given.length[j]) :] for i, j in zip(others, chosen, strict=True)],
            "found_on": len(chosen) - judged,
        }


def _as_long(given: Contexts, outside: np.ndarray, i: int) -> np.ndarray:
    """Contexts of other clusters that have as many tokens."""
    fitting = outside[given.length[outside] >= given.length[i]]
    if not len(fitting):
        raise ValueError(f"no context of another cluster has {given.length[i]} tokens; give contexts of one length")
    return fitting


def circuit_of(view: Model, item: Mapping[str, Any], *, wiring: Wiring, seed: int = 0) -> dict[str, Any]:
    """The circuit of one cluster, what it is worth, and what its checkers say, as plain JSON."""
    view, task = view.sharing(), _behaviour(item)
    first, *_ = wiring.otherwise
    found = find(view, _posed(task, first), by=wiring.by, baseline=_baseline(first), positions=False, seed=seed)
    kept = found.top(wiring.nodes)
    rows = list[dict[str, Any]]()
    for kind in wiring.otherwise:
        how = {"by": "controls", "pool": found, "draws": wiring.draws, "seed": seed}
        report = verify(view, _posed(task, kind), kept, ablation="patch" if kind == "resample" else kind, **how)
        rows += [{**row, "otherwise": kind} for row in report.to_json()["rows"]]
    if wiring.wired:
        kept = _wired(view, _posed(task, first), kept, wiring.wired)
    return {
        "cluster": item["cluster"],
        "circuit": kept.to_json(),
        "scored": len(found),
        "rows": rows,
        "checks": checks(view, item),
    }


def _behaviour(item: Mapping[str, Any]) -> Behaviour:
    asked = zip(item["contexts"], item["others"], item["answers"], strict=True)
    pairs = [Pair(tuple(clean), tuple(other), (answer,)) for clean, other, answer in asked]
    return Behaviour(f"cluster {item['cluster']}", tuple(pairs), log_probability, split=item["found_on"])


def _posed(task: Behaviour, kind: Otherwise) -> Behaviour:
    return task.without_patches() if kind == "zero" else task


def _baseline(kind: Otherwise) -> str:
    """By other contexts one by one, whose average is their mean, where units are scored at first order."""
    return "zero" if kind == "zero" else "patch"


def _wired(view: Model, task: Behaviour, kept: Circuit, n: int) -> Circuit:
    """The circuit with the edges among its strongest nodes, which stand first."""
    strongest = find(view, task, kept.top(n), by="edges")
    return Circuit.from_json({**kept.to_json(), "edges": strongest.to_json()["edges"]})


def checks(view: Model, item: Mapping[str, Any]) -> dict[str, Any]:
    """What becomes of the answers where beginnings are exchanged, and where one word is changed.

    Returns: for each rule of how many contexts (`n`), the share of answers that still are the likeliest token (`kept`), and
    by how much their mean log-probability falls (`drop`, in nats).
    """
    table = counterparts(view.tokenizer)
    contexts, answers = item["contexts"], item["answers"]
    beginnings = [exchanged(ids, other) for ids, other in zip(contexts, item["others"], strict=True)]
    words = [(i, made[1]) for i, ids in enumerate(contexts) if (made := changed(ids, table)) is not None]
    before, _ = _asked(view, contexts, answers)
    told = dict[str, Any]()
    for name, rows in (("beginnings", list(enumerate(beginnings))), ("words", words)):
        if not rows:
            told[name] = {"n": 0, "kept": None, "drop": None}
            continue
        index = [i for i, _ in rows]
        after, top = _asked(view, [ids for _, ids in rows], [answers[i] for i in index])
        told[name] = {"n": len(rows), "kept": float(top.mean()), "drop": float((before[index] - after).mean())}
    return told


def _asked(view: Model, prompts: Sequence[Sequence[int]], answers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """log p(answer), and whether it is the likeliest token, of each prompt."""
    given, logs, top = Contexts.of(prompts, answers), np.empty(len(answers)), np.empty(len(answers))
    for index, ids, real, answer in given.batches():
        with torch.no_grad():
            run = view.run(ids, real=real, logits=1)
        assert run.logits is not None
        told, answer = log_softmax(run.logits[:, -1]), answer.to(run.logits.device)
        logs[index] = told.gather(1, answer[:, None])[:, 0].double().cpu().numpy()
        top[index] = (told.argmax(-1) == answer).cpu().numpy()
    return logs, top
