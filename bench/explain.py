"""Are planted meanings named, is chance left alone, how fast are units explained, and what do rules predict of real units?

Run:  python bench/explain.py [--tokens 60000] [--seeds 3]                    (2 minutes on one core)
      python bench/explain.py --index FOLDER [--units 100]                     (5 minutes; an index as clew.index makes it)

Planted: clew/data/planted/meanings.py. A tenth of the places of a meaning are silent and a twentieth of the firings stray.
Named right: F1 of rule and meaning above .9 on the documents that were not looked at, strong places counted as such. Wrongly
confident: a rule that is not said to hold in part, below .8, or of a unit that fires by chance. In its own words: the same
predicates. Real: units drawn at random among those with 50 firings, on the side on which they sum to more; each score beside
the rule of another unit (shuffled) and the unit's firings at random tokens, explained anew (permuted).
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
from clew.explain.floors.shuffled import shuffled
from clew.explain.scorers.detection import detection
from clew.explain.scorers.simulation import simulation
from clew.firings import Firings
from clew.readings.unseen import UNSEEN, Case, Unseen, scored

RIGHT, WRONG = 0.9, 0.8


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


def on_index(firings: Firings, n: int, seed: int) -> None:
    """The table by site, with intervals over units."""
    table, random = Table.of(firings), np.random.default_rng(seed)
    unseen, rows, spent, total = Unseen(firings, table), [], 0.0, 0
    for site in firings.sites:
        drawn = [int(u) for u in random.permutation(firings.units(site)) if len(firings.row(site, int(u)).place) >= 50][
            :n
        ]
        start = time.process_time()
        cases = [
            Case(rules(firings, [f"{site}/{u}"], table, sides=False)[f"{site}/{u}"][0], unseen, f"{site}/{u}")
            for u in drawn
        ]
        spent, total = spent + time.process_time() - start, total + len(drawn)
        rows += [(str(site), *row) for row in judged(cases)]
    head = (
        "site",
        "score",
        "rules",
        "shuffled",
        "permuted",
        "above shuffled",
        "above permuted",
        "units",
        "no rule",
        "in part",
    )
    remark = f"{len(table.text):,} tokens. {speed(spent, total)}"
    log("Rules: units of a pack", [head, *rows], remark)


def speed(spent: float, units: int) -> str:
    """What explaining takes, without scores."""
    return f"{spent / units:.3f} CPU-seconds a unit, {2 * 3600 * units / spent:,.0f} units an hour on two cores."


def judged(cases: Sequence[Case]) -> list[tuple[str, ...]]:
    """A row for each score."""

    def again(where: Unseen, unit: str, side: int) -> Rule:
        return rules(where.firings, [unit], where.table, sides=False)[unit][0]

    judges = (detection, simulation)
    able = [case for case in cases if case.explanation]
    floors = {
        "shuffled": [shuffled(case, able, again) for case in cases],
        "permuted": [permuted(case, able, again) for case in cases],
    }
    mine = [scored(case, judges) for case in cases]
    beneath = {name: [scored(case, judges) for case in of] for name, of in floors.items()}
    made = []
    for i, row in enumerate(mine[0]):
        value = np.array([one[i].value for one in mine])
        low = np.array([one[i].low for one in mine])
        under = {name: np.array([one[i].value for one in of]) for name, of in beneath.items()}
        cells = [mean(value), *(mean(v) for v in under.values())]
        cells += [f"{np.nanmean(low > v):.2f}" for v in under.values()]
        none = sum(not case.explanation for case in cases)
        part = sum(bool(case.explanation) and case.explanation.partial for case in cases)
        made.append((f"{row.measure} {row.of}", *cells, str(len(cases)), str(none), str(part)))
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
    parser.add_argument("--units", type=int, default=100)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.index is None:
        on_planted(given.tokens, given.seeds)
    else:
        from clew.readings.index.index import Index

        on_index(Index.load(given.index), given.units, 0)


if __name__ == "__main__":
    main()
