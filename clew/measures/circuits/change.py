"""Change: what became of a behaviour and its circuit in a later checkpoint, or a quantised, pruned or tuned child.

The same search is run in both models, on the same prompts and in the same dictionaries, so that unit 17 of a site is
the same direction in both. How much two runs of one search differ anyway is told by halves of the prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._overlap import alike, edge_ids, jaccard, node_ids, on_union, strongest, usable
from clew.measures.circuits._prompt_groups import PromptGroups
from clew.measures.circuits._rerun import Rerun
from clew.measures.circuits._trial import Trial
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.readings.ablation import Ablation
from clew.report import Report, Row
from clew.statistics.ranks import spearman


def change(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    child: Model,
    of: str = "child",
    search: str | Callable[..., Circuit] | None = None,
    sizes: Sequence[int] = (10, 30, 100),
    groups: int = 16,
    shown: int = 5,
    ablation: Ablation | str = Ablation(),
    held_out: bool = True,
    seed: int = 0,
) -> Report:
    """Compare a circuit in a model (the parent) with what the same search finds in another (its child).

    Args:
        child: with the parent's sites and widths, or some of them; its own view is left, and it is seen through the
            parent's dictionaries where they fit. For several children add up the reports.
        of: what the child is called in the table: "int8", "step 1000".
        search: the method, by name or itself; by default that which found the circuit, with its options.
        sizes: the n nodes of largest |score| (and n edges, where the search draws edges) whose overlap is measured.
        groups: into how many groups of prompts the search is run; the spread over them gives the intervals of scores.
            Scores must be means over prompts, as those of all gradient methods are. At most one for each prompt.
        shown: how many nodes to name of those that lost and of those that gained the most.
        ablation, held_out, seed: as for `faithfulness`. Searched on the training half, judged on the other.

    Returns: a Report of child - parent throughout.
    - metric, metric change: on the prompts judged; intervals over prompts, drawn for both models together.
    - overlap, correlation: Jaccard of the n strongest nodes, Spearman's of all scores. Beside them what halves of the
      prompts give: the parent with itself, and the parent with the child; a child that is no further from the parent
      than the parent from itself has not changed as far as these prompts can tell.
    - changed nodes: how many scores changed at p < 0.05. lost, gained: the scores' change, by node; p: of that change,
      by flipping parent and child at random in each group, for the largest of all nodes (Westfall and Young 1993), so
      that it needs no correction. change, of a layer: the change summed over the layer's nodes.
    - faithfulness of the circuit given and of as many of the child's strongest nodes, in both models.
    Costs: 4 searches, and 6 forwards.
    Raises: ValueError for a child of another vocabulary, or without a site of the view.
    """
    if of == "parent":
        raise ValueError("of='parent' is what the model itself is called in the table; call the child otherwise")
    circuit.kind.check_ablatable()
    notes: list[str] = []
    parent, child = _same_view(model, child, notes)
    on, judged = half(behaviour, "train", held_out), half(behaviour, "test", held_out)
    _check_tokens(parent, child, judged)
    again = Rerun.of(circuit, search)
    whole = alike([again(parent, on), again(child, on)], circuit)
    dealt = PromptGroups.run(replace(again, wiring=None), (parent, child), on, groups, whole[0], seed)
    notes += dealt.notes(whole[0])
    rows = [
        *_overlaps(whole, sizes, of),
        *dealt.halves(sizes, of),
        *dealt.changes(shown, of),
        *dealt.layers(of),
    ]
    if not circuit.kind.by_edges:
        circuit = circuit.keep(np.array([circuit.sites[i] in parent.dictionaries for i in circuit.site], bool))
    trials = {
        name: trial_of(one, judged, circuit, ablation=ablation, seed=seed)
        for name, one in (("parent", parent), (of, child))
    }
    before, after = trials.values()
    rows = [*_metrics(before, after, of), *rows]
    for what, one in (("circuit given", circuit), (f"{of}'s circuit", before.largest(whole[1], before.size(circuit)))):
        for where, trial in trials.items():
            share, every = trial.share(trial.circuit_metric(one)), np.arange(len(trial.whole))
            ends = trial.interval(share)
            rows.append(
                Row(
                    "faithfulness",
                    share(every),
                    *ends,
                    f"{what} in {where}",
                    trial.size(one),
                    trial.prompts,
                    trial.unit,
                )
            )
    notes += [f"{name}: {note}" for name, trial in trials.items() for note in trial.notes]
    return Report(
        f"{behaviour.name}: from {model.name} to {of}", tuple(rows), tuple(notes), {"prompts": behaviour.provenance}
    )


def _metrics(before: Trial, after: Trial, of: str) -> Iterator[Row]:
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


def _overlaps(whole: Sequence[Circuit], sizes: Sequence[int], of: str) -> Iterator[Row]:
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


def _same_view(parent: Model, child: Model, notes: list[str]) -> tuple[Model, Model]:
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


def _check_tokens(parent: Model, child: Model, behaviour: Behaviour) -> None:
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
