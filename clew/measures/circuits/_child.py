"""A parent and its child on one behaviour: the same view of both, and what two searches and two trials say of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.measures.circuits._overlap import edge_ids, jaccard, node_ids, on_union, strongest, usable
from clew.measures.circuits._trial import Trial
from clew.models import Model
from clew.report import Row
from clew.statistics.ranks import spearman


def check_name(of: str) -> None:
    """Raises: ValueError for a child that is called as the parent is."""
    if of == "parent":
        raise ValueError("of='parent' is what the model itself is called in the table; call the child otherwise")


def metrics(before: Trial, after: Trial, of: str) -> Iterator[Row]:
    """The behaviour in both models, and its change on the same prompts."""
    n = before.prompts
    columns = {
        ("metric", "parent"): before.whole,
        ("metric", of): after.whole,
        ("metric change", of): after.whole - before.whole,
    }
    for (measure, name), column in columns.items():
        ends = before.interval(lambda i, column=column: float(column[i].mean()))
        yield Row(measure, float(column.mean()), *ends, name, None, n)


def overlaps(whole: Sequence[Circuit], sizes: Sequence[int], of: str) -> Iterator[Row]:
    """What the two searches on all prompts share."""
    kinds = [("", "node", node_ids(whole), [c.score for c in whole])]
    if all(len(c.weight) for c in whole):
        kinds.append(("edge ", "edge", edge_ids(whole), [c.weight for c in whole]))
    for what, unit, ids, values in kinds:
        for n in usable(sizes, min(map(len, ids))):
            overlap = jaccard(*(strongest(i, v, n) for i, v in zip(ids, values, strict=True)))
            yield Row(f"{what}overlap", overlap, float("nan"), float("nan"), of, n, unit=unit)
        table = on_union(ids, values)[1]
        correlation = spearman(*table)
        yield Row(f"{what}correlation", correlation, float("nan"), float("nan"), of, table.shape[1], unit=unit)


def same_view(parent: Model, child: Model, notes: list[str]) -> tuple[Model, Model]:
    """Both through the parent's dictionaries that fit the child. Raises: ValueError where none does."""
    widths = child.body.widths
    fit, odd = [], []
    for site, d in parent.dictionaries.items():
        fits = widths.get(d.reads) == d.d_in and widths.get(d.writes) == d.d_out
        (fit if fits else odd).append((site, d))
    if not fit:
        raise ValueError(
            f"{child.name} has none of the sites of {parent.name} at the same width, so no dictionary fits both and their "
            "circuits cannot be compared unit by unit"
        )
    if odd:
        notes.append(f"left out in both, for they do not fit the child: {', '.join(str(site) for site, _ in odd)}")
    dictionaries = [d for _, d in fit]
    return parent.through(*dictionaries) if odd else parent, child.through(*dictionaries)


def check_tokens(parent: Model, child: Model, behaviour: Behaviour) -> None:
    """Raises: ValueError where the prompts are not the same tokens to both."""
    theirs, ours = list(behaviour.batches(parent)), list(behaviour.batches(child))
    if len(theirs) != len(ours) or not all(
        torch.equal(a.clean.cpu(), b.clean.cpu()) and torch.equal(a.answers.cpu(), b.answers.cpu())
        for a, b in zip(theirs, ours, strict=True)
    ):
        raise ValueError(
            f"the prompts of {behaviour.name} are other tokens to {child.name} than to {parent.name}; compare models of "
            "one tokenizer"
        )


def faithful(trials: Mapping[str, Trial], circuits: Iterable[tuple[str, Circuit]]) -> Iterator[Row]:
    """The faithfulness of each circuit in each of the two."""
    for what, one in circuits:
        for where, trial in trials.items():
            share, every = trial.share(trial.circuit_metric(one)), np.arange(len(trial.whole))
            ends, size = trial.interval(share), trial.size(one)
            yield Row("faithfulness", share(every), *ends, f"{what} in {where}", size, trial.prompts, trial.unit)


def judged_in(parent: Model, circuit: Circuit) -> Circuit:
    """The nodes of a circuit at sites of the view; a circuit of components as it is."""
    if circuit.kind.by_edges:
        return circuit
    return circuit.keep(np.array([circuit.sites[i] in parent.dictionaries for i in circuit.site], bool))
