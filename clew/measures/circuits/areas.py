"""Areas: one number for a whole ranking of nodes or edges, over circuits of growing size.

f(C_k) = (m(C_k) - m(empty)) / (m(whole) - m(empty)), C_k the best share k of what is ranked, empty the model on the
pair's patch prompt. Source: MIB (Mueller et al. 2025, arXiv:2504.13151), section 3. There CPR ranks by signed score and
CMD by |score|, so the two describe different circuits; here each is given for both rankings.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np

from clew.circuits.circuit import OUTPUT, Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.finder import load
from clew.measures.circuits._areas import capped_cpr, check_sizes, cmd, cpr, no_signal, weights
from clew.measures.circuits._parts import judged
from clew.measures.circuits._trial import Trial
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.progress import Tell
from clew.readings.ablation import Ablation
from clew.report import Report, Row
from clew.sites import Site

SIZES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
Select = Callable[..., Circuit]
Curve = Callable[[np.ndarray], np.ndarray]
"""f at every size, over some examples."""
FLAT = 0.05
"""A curve below this carries nothing."""
SIGNED, ABSOLUTE = "signed", "absolute"
AREAS = {
    "CPR": (cpr, False, (SIGNED, ABSOLUTE)),
    "CMD": (cmd, False, (ABSOLUTE, SIGNED)),
    "CPR over log k": (cpr, True, (SIGNED, ABSOLUTE)),
    "CMD over log k": (cmd, True, (ABSOLUTE, SIGNED)),
    "CPR of min(f, 1)": (capped_cpr, False, (SIGNED, ABSOLUTE)),
}
"""What each area is, whether over log k, and its rows in order: first the ranking for which MIB reports it."""


def areas(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    sizes: Sequence[float] = SIZES,
    select: str | Select = "top",
    ablation: Ablation | str = Ablation(),
    tolerance: float = 0.05,
    held_out: bool = True,
    seed: int = 0,
    progress: Tell | None = None,
) -> Report:
    """CPR, CMD and their log-k areas for a ranking, by signed and by absolute score, with bootstrap intervals.

    Args:
        circuit: all scored edges of a component circuit, or all scored nodes of the view (of `model.components()` for
            heads and MLPs). k counts shares of all edges there are, or of these nodes.
        sizes: shares k, rising; MIB's ten. The circuit of share k has the whole part of k times their number.
        select: how n are chosen: a file of clew/circuits/selection, or a function (circuit, n, *, signed) -> Circuit, such as
            functools.partial(ratio, rho=0.5). What it returns is judged, also where that is fewer than n.
        ablation: as for `faithfulness`; to the patch prompt, as in MIB, by default.
        tolerance: f above 1 + tolerance is called overshoot.
        held_out: measure on the behaviour's test half; False measures on all that is given.
        progress: as for `faithfulness`.

    Returns: a Report with the areas and the largest f of both rankings; what a ranking without signal gets at these
    sizes; "f" at every size, with how many `nodes` (edges where those are ranked) were judged there: no more than have a
    score, and fewer where a selection finds fewer. `provenance["forwards"]` counts passes over the prompts: at most one
    for each size and ranking beside those of the two ends. f at k = 1 is computed, not put in.
    Differs from MIB: nodes are counted as nodes, not by their edges; the embedding stays clean when nodes are judged,
    and is not ranked.
    Raises: ValueError for sizes that do not rise, a behaviour without patch prompts, or a circuit of other units.
    """
    k = check_sizes(sizes)
    used = half(behaviour, "test", held_out)
    how = Ablation.of(ablation)
    how = replace(how, kind="patch") if how.kind is None and how.constants is None else how
    trial = trial_of(model, used, circuit, ablation=how, seed=seed, progress=progress, circuits=2 * len(k))
    ranked = _ranked(trial, circuit)
    if not trial.size(ranked):
        raise ValueError(f"the circuit has no {trial.unit}s to rank; give all scored ones, as a method returns them")
    choose, name = _selection(select), select if isinstance(select, str) else getattr(select, "__name__", "a function")
    total = trial.total(ranked)
    n = [int(share * total + 1e-9) for share in k]
    known = {0: trial.empty}
    trial.expected = 2 + 2 * sum(0 < count < total for count in n) + (total in n)
    curves, judged_at = dict[str, Curve](), dict[str, list[int]]()
    for of in (SIGNED, ABSOLUTE):
        curves[of], judged_at[of] = _curve(trial, ranked, total, n, partial(choose, signed=of == SIGNED), known)
    f = {of: curve(np.arange(len(trial.whole))) for of, curve in curves.items()}
    small = (k < 0.5) & (np.array(n) < trial.size(ranked))
    trunk = _dropped_trunk(trial, ranked) if _drops_a_trunk(small, f) else {}
    return Report(
        f"{behaviour.name} on {model.name}: {trial.size(ranked)} {trial.unit}s, chosen by {name}",
        (*_rows(trial, curves, k, judged_at, seed), *(_bare("dropped trunk", v, name) for name, v in trunk.items())),
        (*trial.notes, *_notes(trial, circuit, ranked, k, f, tolerance), *_trunk_notes(trunk, trial)),
        {"forwards": trial.forwards},
    )


def _curve(
    trial: Trial, ranked: Circuit, total: int, n: Sequence[int], choose: Select, known: dict[int, np.ndarray]
) -> tuple[Curve, list[int]]:
    """f at every size, and how many were judged there; `known` holds the metrics without anything and with everything."""
    chosen = {count: ranked if count == total else choose(ranked, count) for count in dict.fromkeys(n)}
    fresh = [count for count in chosen if count not in known]
    metrics = known | dict(zip(fresh, trial.circuit_metrics((chosen[count], False) for count in fresh), strict=True))
    known |= {total: metrics[total]} if total in metrics else {}
    judged = [trial.size(chosen[count]) for count in n]
    table = np.stack([*(metrics[count] for count in n), trial.whole, trial.empty])

    @cache  # the bootstrap of every row draws the same examples
    def drawn(index: bytes) -> np.ndarray:
        mean = table[:, np.frombuffer(index, np.int64)].mean(1)
        return (mean[:-2] - mean[-1]) / (mean[-2] - mean[-1])

    return lambda i: drawn(i.tobytes()), judged


def _selection(select: str | Select) -> Select:
    """The function of that name. Raises: ValueError for one that cannot be asked for n by sign."""
    choose = load("circuits.selection", select) if isinstance(select, str) else select
    try:
        inspect.signature(choose).bind(None, 1, signed=True)
    except TypeError as error:
        raise ValueError(
            f"select={select!r} cannot be called as (circuit, n, signed=...): {error}; choose 'top', 'greedy' or 'ilp' "
            "or bind the rest, as in functools.partial(ratio, rho=0.5)"
        ) from error
    return choose


def _ranked(trial: Trial, circuit: Circuit) -> Circuit:
    """What is ranked: all edges, or the nodes that the trial ablates, without edges, which a selection would choose."""
    return circuit if trial.unit == "edge" else judged(trial, circuit).keep_edges(np.zeros(0, np.int64))


def _rows(
    trial: Trial, curves: Mapping[str, Curve], k: np.ndarray, judged: Mapping[str, Sequence[int]], seed: int
) -> Iterator[Row]:
    examples = len(trial.whole)

    def row(measure: str, of: str, statistic: Callable[[np.ndarray], float], count: int | None = None) -> Row:
        def value(i: np.ndarray) -> float:
            return statistic(curves[of](i))

        ends = trial.interval(value)
        return Row(measure, value(np.arange(examples)), *ends, of, count, trial.prompts, trial.unit)

    for measure, (area, log, rankings) in AREAS.items():
        for of in rankings:
            yield row(measure, of, partial(area, weights(k, log=log)))
    for of in curves:
        yield row("largest f", of, lambda f: float(f.max()))
    for measure, (area, log, _) in AREAS.items():
        yield _bare(measure, area(weights(k, log=log), no_signal(k)), "no signal")
    for of, sizes in judged.items():
        for size, count in enumerate(sizes):
            yield row("f", of, partial(_at, size), count)


def _at(size: int, f: np.ndarray) -> float:
    return float(f[size])


def _bare(measure: str, value: float, of: str) -> Row:
    """A number without an interval."""
    return Row(measure, value, float("nan"), float("nan"), of)


# Warnings.


def _notes(
    trial: Trial, circuit: Circuit, ranked: Circuit, k: np.ndarray, f: Mapping[str, np.ndarray], tolerance: float
) -> Iterator[str]:
    yield f"{trial.forwards} forwards over the prompts; k counts shares of {trial.total(ranked)} {trial.unit}s"
    if (missing := trial.total(ranked) - trial.size(ranked)) > 0:
        yield f"{missing} {trial.unit}s have no score and are never chosen, so f at k = 1 is that of those that have one"
        if (whole := k[k * trial.total(ranked) + 1e-9 >= trial.size(ranked)]).size and whole[0] < 1:
            yield (
                f"from k = {whole[0]:g} on every circuit is that of all {trial.size(ranked)} that have a score, so the areas "
                "are not those of a whole ranking; give every score, as the method returns them"
            )
    if len(ranked) < len(circuit):
        yield f"{len(circuit) - len(ranked)} nodes are not ranked: the embedding stays clean, and errors do not count"
    if (left_out := k[np.floor(k * trial.total(ranked) + 1e-9) < 1]).size:
        yield f"up to k = {left_out[-1]:g} not one of the {trial.total(ranked)} {trial.unit}s fits in, so f = 0 there"
    for of in f:
        best = int(f[of].argmax())
        if f[of][best] > 1 + tolerance:
            yield (
                f"overshoot: f = {f[of][best]:.2f} at k = {k[best]:g}, {of} ranking; what works against the behaviour "
                "is left out, which CPR rewards, so read the area of min(f, 1) and CMD of the same ranking beside it"
            )


def _drops_a_trunk(small: np.ndarray, f: Mapping[str, np.ndarray]) -> bool:
    """Whether nothing gets through at small sizes when signs rank, and something does when sizes rank."""
    return bool(small.any() and (f[SIGNED][small] < FLAT).all() and (f[ABSOLUTE][small] >= FLAT).any())


def _dropped_trunk(trial: Trial, ranked: Circuit) -> dict[str, float]:
    """The three strongest negative edges out of the input (or any edges, or nodes), by name."""
    if trial.unit == "node":
        index = _strongest_negative(ranked.score, np.ones(len(ranked), bool))
        names = [node.address for node in ranked.keep(index)]
        return dict(zip(names, ranked.score[index].tolist(), strict=True))
    embed = [i for i, site in enumerate(ranked.sites) if site == Site("embed")]
    out_of_input = np.isin(ranked.site[ranked.source], embed)
    index = _strongest_negative(ranked.weight, out_of_input)
    index = index if len(index) else _strongest_negative(ranked.weight, ~out_of_input)
    address = [node.address for node in ranked]
    ends = zip(ranked.source[index].tolist(), ranked.target[index].tolist(), strict=True)
    names = [f"{address[u]} -> {'logits' if v == OUTPUT else address[v]}" for u, v in ends]
    return dict(zip(names, ranked.weight[index].tolist(), strict=True))


def _strongest_negative(value: np.ndarray, among: np.ndarray) -> np.ndarray:
    index = np.flatnonzero(among & (value < -1e-3 * np.abs(value).max()))  # less is rounding
    return index[np.argsort(value[index], kind="stable")[:3]]


def _trunk_notes(trunk: Mapping[str, float], trial: Trial) -> Iterator[str]:
    if trunk:
        named = ", ".join(f"{name} (score {score:.3g})" for name, score in trunk.items())
        yield (
            f"f stays under {FLAT} below k = 0.5 in the signed ranking but not in the absolute one: the signed ranking "
            f"drops a trunk {trial.unit}: {named}. A gradient at the clean point alone is often saturated there: "
            "score along a path (integrated gradients), or rank by |score|"
        )
