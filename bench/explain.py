"""Are planted meanings named, is chance left alone, how fast are units explained, and what do rules predict of real units?

Run:  python bench/explain.py [--tokens 60000] [--seeds 3]                    (2 minutes on one core)
      python bench/explain.py --index FOLDER [--random FOLDER] [--units 100]   (15 minutes; an index as clew.index makes it)

Planted: clew/data/planted/meanings.py. A tenth of the places of a meaning are silent and a twentieth of the firings stray.
Named right: F1 of rule and meaning above .9 on the documents that were not looked at, strong places counted as such. Wrongly
confident: a rule that is not said to hold in part, below .8, or of a unit that fires by chance. In its own words: the same
predicates. Real: units drawn at random among those with 50 firings, on the side on which they sum to more; each score beside
the rule of another unit (shuffled), the unit's firings at random tokens explained anew (permuted), and a unit of a random
dictionary (--random, an index of the same text) that fires as often. Above: share of units whose 95 % interval lies above.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bench._log import log
from clew.data.planted.meanings import Meanings, meanings
from clew.data.predicates import Clause, Rule, Table
from clew.explain.explainers.rules import rules
from clew.explain.floors.permuted import permuted
from clew.explain.floors.random_unit import random_unit
from clew.explain.floors.shuffled import shuffled
from clew.explain.scorers.detection import detection
from clew.explain.scorers.simulation import simulation
from clew.firings import Firings
from clew.readings.unseen import UNSEEN, Case, Unseen, scored
from clew.sites import Site

RIGHT, WRONG = 0.9, 0.8
FIRINGS = 50
FLOORS = ("shuffled", "permuted", "random unit")


def agreement(planted: Meanings, found: Rule, meaning: Rule, unseen: np.ndarray) -> float:
    """F1 on unseen tokens."""
    said = (found(planted.table, planted.firings) > 0) & unseen
    due = meaning(planted.table, planted.firings) * unseen
    both = due * said
    precision, recall = (both > 0).sum() / max(1, said.sum()), both.sum() / max(1e-9, due.sum())
    return 2 * precision * recall / max(1e-9, precision + recall)


def same_words(found: Rule, meaning: Rule) -> bool:
    """Whether both have the same clauses, in whatever order."""
    return {plain(clause) for clause in found.clauses} == {plain(clause) for clause in meaning.clauses}


def plain(clause: Clause) -> frozenset[tuple[str, frozenset[str], str, bool]]:
    return frozenset((p.family, frozenset(p.values), p.at, p.negated) for p in clause.predicates)


def on_planted(tokens: int, seeds: int) -> None:
    """The table by kind, and what the search costs."""
    counts: dict[str, np.ndarray] = {}
    spent, units = 0.0, 0
    for seed in range(seeds):
        planted = meanings(tokens, seed=seed)
        text = planted.table.text
        unseen = text.parts(3, 1, 1)[text.document] == UNSEEN
        addresses = [planted.address(i) for i in range(len(planted.truth))]
        start = time.process_time()
        found = [of_unit[0] for of_unit in rules(planted.firings, addresses, planted.table).values()]
        spent, units = spent + time.process_time() - start, units + len(addresses)
        for rule, meaning in zip(found, planted.truth, strict=True):
            same = agreement(planted, rule, meaning.rule, unseen) if meaning.rule else 0.0
            wrong = bool(rule) and not rule.partial and same < WRONG
            told = (1, same > RIGHT, same_words(rule, meaning.rule), not rule, bool(rule) and rule.partial, wrong)
            counts[meaning.kind] = counts.get(meaning.kind, np.zeros(6, int)) + np.array(told, int)
    meant = sum(count for kind, count in counts.items() if kind != "chance")
    rows = [(kind, *map(str, count)) for kind, count in counts.items()]
    rows.append(("all that mean something", *map(str, meant)))
    rows.append(("share of them", "", *(f"{n / meant[0]:.3f}" for n in meant[1:])))
    head = ("kind", "units", "named right", "in its own words", "no rule", "in part", "wrongly confident")
    every = sum(counts.values())
    remark = f"Wrongly confident of all units: {every[5] / every[0]:.3f}. {speed(spent, units)}"
    log(f"Rules: planted meanings, {seeds} texts of {tokens:,} tokens", [head, *rows], remark)


def on_index(firings: Firings, sites: Sequence[str], n: int, random: Firings | None) -> None:
    """The table by site, with intervals over units, and one of what is said of a few."""
    table, draw = Table.of(firings), np.random.default_rng(0)
    unseen, rows, said, spent, total = Unseen(firings, table), [], [], 0.0, 0
    for site in map(Site.parse, sites):
        order = [int(u) for u in draw.permutation(firings.units(site))]
        units = [f"{site}/{u}" for u in order if len(firings.row(site, u).place) >= FIRINGS][:n]
        start = time.process_time()
        found = rules(firings, units, table, sides=False)
        spent, total = spent + time.process_time() - start, total + len(units)
        cases = [Case(found[unit][0], unseen, unit) for unit in units]
        rows += [(str(site), *row) for row in judged(cases, random)]
        said += [(case.unit, str(case.explanation)) for case in cases[:8]]
    floors = FLOORS if random is not None else FLOORS[:-1]
    head = (
        "site",
        "score",
        "rules",
        *floors,
        *(f"above {name}" for name in floors),
        "above all",
        "units",
        "no rule",
        "in part",
    )
    log("Rules: units of a pack", [head, *rows], f"{len(table.text):,} tokens. {speed(spent, total)}")
    log("Rules: what is said of some of them", [("unit", "rule"), *said])


def speed(spent: float, units: int) -> str:
    """What explaining takes, without scores."""
    return f"{spent / units:.3f} CPU-seconds a unit, {2 * 3600 * units / spent:,.0f} units an hour on two cores."


def judged(cases: Sequence[Case], random: Firings | None) -> list[tuple[str, ...]]:
    """A row for each score: means over units, and the share of units whose interval lies above each floor, and above all."""

    def again(where: Unseen, unit: str, side: int) -> Rule:
        return rules(where.firings, [unit], where.table, sides=False)[unit][0]

    judges, able = (detection, simulation), [case for case in cases if case.explanation]
    floors = [[shuffled(case, able, again) for case in cases], [permuted(case, able, again) for case in cases]]
    if random is not None:
        floors.append([random_unit(case, able, again, random=random) for case in cases])
    mine = [scored(case, judges) for case in cases]
    under = [[scored(case, judges) for case in of if case is not None] for of in floors]
    none = sum(not case.explanation for case in cases)
    part = sum(bool(case.explanation) and case.explanation.partial for case in cases)
    made = []
    for i, row in enumerate(mine[0]):
        value, low = (np.array([getattr(one[i], name) for one in mine]) for name in ("value", "low"))
        floor = [np.array([one[i].value for one in of]) for of in under]
        above = [low > values for values in floor]
        cells = [mean(value), *map(mean, floor), *(f"{a.mean():.2f}" for a in (*above, np.all(above, axis=0)))]
        made.append((f"{row.measure}, {row.of}", *cells, str(len(cases)), str(none), str(part)))
    return made


def mean(values: np.ndarray) -> str:
    """Mean over units and its 95 % interval."""
    values = values[np.isfinite(values)]
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3f} ± {half:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=60_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--random", type=Path)
    parser.add_argument("--sites", nargs="+", default=["resid.3", "resid.9", "resid.15", "resid.21"])
    parser.add_argument("--units", type=int, default=100)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.index is None:
        on_planted(given.tokens, given.seeds)
    else:
        from clew.readings.index.index import Index

        random = Index.load(given.random) if given.random else None
        on_index(Index.load(given.index), given.sites, given.units, random)


if __name__ == "__main__":
    main()
