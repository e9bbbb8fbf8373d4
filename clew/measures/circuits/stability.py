"""Stability: would the same search find the same circuit on other prompts, with another seed, in other words?

Overlap (Jaccard, IoU) of the strongest nodes and edges of two runs, beside what two random sets of that size share.
Sources: halves of the prompts in complementary pairs, and the share of them that chooses a node: stability selection
(Meinshausen and Buehlmann 2010; Shah and Samworth 2013); IoU over seeds: Bhaskar et al. 2024 (arXiv:2406.16778).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._overlap import (
    alike,
    chance_jaccard,
    edge_ids,
    jaccard,
    node_ids,
    on_union,
    placed,
    spread,
    strongest,
    usable,
)
from clew.measures.circuits._rerun import Rerun
from clew.models import Model
from clew.progress import Loops, Tell
from clew.report import Report, Row
from clew.statistics.intervals import wilson
from clew.statistics.ranks import spearman


def stability(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    search: str | Callable[..., Circuit] | None = None,
    sizes: Sequence[int] = (10, 30, 100),
    draws: int = 5,
    seeds: Sequence[int] = (0, 1, 2),
    baseline: str | None = None,
    paraphrases: Sequence[Behaviour] = (),
    held_out: bool = True,
    seed: int = 0,
    progress: Tell | None = None,
) -> Report:
    """Search again and again, and compare what is found.

    - "halves": the prompts are split at random into two halves, `draws` times; the two runs of a split are compared.
      Half the prompts make a noisier search than all of them, so this is a lower bound for the circuit itself.
    - "seeds": the method's own chance, on all prompts. - "paraphrases": other words for the same task.

    Args:
        search: the method, by name or itself; by default that which found the circuit, with its options.
        sizes: the n nodes of largest |score|, and the n edges of largest |weight| where the search draws edges.
        draws: how many times the prompts are split; 0 leaves "halves" out.
        seeds: those to run the method with, if it has a `seed`; fewer than two leave "seeds" out.
        baseline: for the runs over seeds; with "resample" they differ in the examples that stand for "otherwise".
        paraphrases: behaviours of the same task, compared with this one and each other by unit, without positions; by
            default the prompts of each case (`Pair.case`), where there are several.
        held_out: search on the training half, as `find` does; of the paraphrases too.
        seed: draws the splits. progress: told after each search.

    Returns: a Report. overlap: mean Jaccard overlap over the compared pairs of runs; chance overlap: that of two random
    sets of n of the nodes that either run scored (exact, hypergeometric). correlation: Spearman's of all scores, a
    node that a run leaves out counting as 0; by chance 0. stable share: how many of n nodes are among the top n in at
    least nine tenths of the halves. stability of a node: the share of halves in which it is among the top n (chance
    is n over the scored nodes), for the top n of `circuit` at the smallest size, with a Wilson interval. Other
    intervals are the central 95 % over the compared pairs (`examples` counts them), or of the chance itself.
    Costs: 2 draws + seeds + paraphrases searches.
    Raises: ValueError where the circuit does not say how it was found.
    """
    again = Rerun.of(circuit, search)
    on = half(behaviour, "train", held_out)
    notes = [f"searched by {_name(again)} on {len(on)} prompts of {behaviour.name}"]
    loops = Loops(progress)
    kinds = (
        partial(_halves, draws=draws, seed=seed),
        partial(_seeds, seeds=seeds, baseline=baseline),
        partial(_paraphrases, given=paraphrases, held_out=held_out),
    )
    made = [kind(again, model, on, notes=notes, loops=loops) for kind in loops.over(kinds)]
    runs = [found for found in made if found is not None]
    if not runs:
        raise ValueError(f"there is nothing to compare: {'; '.join(notes[1:])}")
    rows = [row for found in runs for row in found.rows(sizes)]
    if runs[0].of == "halves":
        rows += _of_nodes(runs[0], circuit, sizes)
    return Report(
        f"{behaviour.name} on {model.name}: is the search stable?",
        tuple(rows),
        tuple(notes),
        {"prompts": on.provenance},
    )


@dataclass(frozen=True)
class Repeats:
    """Circuits that one search found under one kind of change, and which of them are compared."""

    of: str
    circuits: Sequence[Circuit]
    pairs: Sequence[tuple[int, int]]

    def rows(self, sizes: Sequence[int]) -> Iterator[Row]:
        """Overlaps by size, beside chance, of nodes and of edges where every run has some; correlation of scores."""
        nodes, scores = node_ids(self.circuits), [c.score for c in self.circuits]
        yield from self._overlaps("node", nodes, scores, sizes)
        unions = [on_union([nodes[i], nodes[j]], [scores[i], scores[j]])[1] for i, j in self.pairs]
        correlations = [spearman(*table) for table in unions]
        mean = float(np.mean(correlations))
        yield Row("correlation", mean, *spread(correlations), self.of, unions[0].shape[1], len(self.pairs))
        if all(len(c.weight) for c in self.circuits):
            yield from self._overlaps("edge", edge_ids(self.circuits), [c.weight for c in self.circuits], sizes)

    def _overlaps(
        self, unit: str, ids: Sequence[np.ndarray], scores: Sequence[np.ndarray], sizes: Sequence[int]
    ) -> Iterator[Row]:
        what = "edge " if unit == "edge" else ""
        pool = round(np.mean([len(np.union1d(ids[i], ids[j])) for i, j in self.pairs]))
        for n in usable(sizes, min(map(len, ids))):
            tops = [strongest(i, s, n) for i, s in zip(ids, scores, strict=True)]
            overlaps = [jaccard(tops[i], tops[j]) for i, j in self.pairs]
            mean = float(np.mean(overlaps))
            yield Row(f"{what}overlap", mean, *spread(overlaps), self.of, n, len(overlaps), unit)
            yield Row(f"chance {what}overlap", *chance_jaccard(n, n, pool), self.of, n, unit=unit)


def _halves(
    search: Rerun, model: Model, on: Behaviour, *, draws: int, seed: int, notes: list[str], loops: Loops
) -> Repeats | None:
    """Runs on both halves of random splits; the halves of one split are compared."""
    if draws < 1:
        return None
    if len(on) < 2:
        notes.append("no halves: there is one prompt")
        return None
    random, half, found = np.random.default_rng(seed), len(on) // 2, []
    for _ in loops.over(range(draws)):
        order = random.permutation(len(on))
        found += [search(model, _some(on, np.sort(part))) for part in (order[:half], order[half:])]
    return Repeats("halves", alike(found, search.circuit), [(i, i + 1) for i in range(0, len(found), 2)])


def _seeds(
    search: Rerun,
    model: Model,
    on: Behaviour,
    *,
    seeds: Sequence[int],
    baseline: str | None,
    notes: list[str],
    loops: Loops,
) -> Repeats | None:
    """Runs that differ in the method's seed."""
    if len(seeds) < 2:
        return None
    if not search.takes("seed"):
        notes.append(f"no seeds: {_name(search)} has no seed")
        return None
    options = {} if baseline is None else {"baseline": baseline}
    found = [search(model, on, seed=s, **options) for s in loops.over(seeds)]
    if all(np.array_equal(c.score, found[0].score) for c in found):
        notes.append("the seed changes nothing here; baseline='resample' draws other examples by it")
    return Repeats("seeds", alike(found, search.circuit), list(combinations(range(len(found)), 2)))


def _paraphrases(
    search: Rerun,
    model: Model,
    on: Behaviour,
    *,
    given: Sequence[Behaviour],
    held_out: bool,
    notes: list[str],
    loops: Loops,
) -> Repeats | None:
    """Runs on other words for the same task, or on the cases of one behaviour."""
    if given:
        tasks = [on, *(half(other, "train", held_out) for other in given)]
        found = [c.everywhere() if placed(c) else c for c in (search(model, task) for task in loops.over(tasks))]
    else:
        cases = sorted({p.case for p in on.pairs})
        if len(cases) < 2:
            return None
        index = {case: np.flatnonzero([p.case == case for p in on.pairs]) for case in cases}
        notes.append("paraphrases are the cases " + ", ".join(f"{case} ({len(i)})" for case, i in index.items()))
        found = alike([search(model, _some(on, i)) for i in loops.over(index.values())], search.circuit)
    return Repeats("paraphrases", found, list(combinations(range(len(found)), 2)))


def _of_nodes(halves: Repeats, circuit: Circuit, sizes: Sequence[int]) -> Iterator[Row]:
    """How often the halves choose a node: how many are chosen nearly always, and each of the circuit's strongest."""
    circuit = circuit if placed(halves.circuits[0]) else circuit.everywhere()
    own, *ids = node_ids([circuit, *halves.circuits])
    draws = len(ids)
    shown = usable(sizes, min(map(len, ids)))
    for n in shown:
        tops = [strongest(i, c.score, n) for i, c in zip(ids, halves.circuits, strict=True)]
        _, times = np.unique(np.concatenate(tops), return_counts=True)
        yield Row(
            "stable share", float((times >= 0.9 * draws).sum() / n), float("nan"), float("nan"), "halves", n, draws
        )
    n = shown[0]
    tops = [strongest(i, c.score, n) for i, c in zip(ids, halves.circuits, strict=True)]
    best = np.argsort(-np.abs(circuit.score), kind="stable")[:n]
    for node, one in zip(circuit.keep(best), own[best], strict=True):
        share = float(np.mean([one in top for top in tops]))
        yield Row("stability", share, *wilson(share, draws), f"{node.address} {node.label}".strip(), n, draws)


def _some(behaviour: Behaviour, index: np.ndarray) -> Behaviour:
    """Some of the prompts, all of them to search on."""
    return replace(behaviour, pairs=tuple(behaviour.pairs[i] for i in index), split=len(index))


def _name(search: Rerun) -> str:
    return getattr(search.method, "__name__", "the method given").replace("_", " ")
