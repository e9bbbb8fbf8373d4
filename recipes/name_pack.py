"""What the units of the pack for SmolLM2-135M fire on: rules, tested on text that they were not made from.

Text: 100,000 tokens of leads of English Wikipedia articles (CC BY-SA 4.0; `wikipedia_leads`, fetched at run time), mixed by a
seed. Every unit gets the best rule of two clauses at most, of words alone, found and chosen on four fifths of the documents
and scored on the last. A unit keeps its name if the rule predicts its strength there better than the rule of another unit
that fires as often, and than the rule of a unit of a random dictionary (random directions, the same centre and K) does for
that unit: the 95 % intervals of both differences of r lie above zero. Writes packs/clew_packs/smollm2-135m/*.labels.json.gz
and docs/results/names.json. Half an hour for the two indexes and five minutes a site on two quiet cores. A site is not
made again where names.json says that it was made by the same settings, dictionary and version of clew.

    python recipes/name_pack.py WORK [--sites resid.3 resid.9]      WORK keeps the indexes, 1.5 GB
    python recipes/name_pack.py --tiny                              a few units of one site, in a minute; nothing is kept
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import clew
from clew.data.text.texts import shuffled_texts, wikipedia_leads
from clew.data.text.windows import cut
from clew.dictionaries import Dictionary
from clew.dictionaries.topk import TopK
from clew.explain.floors.random_unit import random_unit as clew_floor
from clew.files import read_any_json, write_json
from clew.labels import Label, Labels
from clew.progress import Progress

PACK = Path(__file__).parent.parent / "packs" / "clew_packs" / "smollm2-135m"
RESULT = Path(__file__).parent.parent / "docs" / "results" / "names.json"
MODEL, TOKENS, CLAUSES, DIGITS = "smollm2-135m", 100_000, 2, 3
AMONG = 300
"""Units of the random dictionary."""
WAY = "made with"
"""Under this name a site's file in WORK says how it was made."""
KEPT = ("all", "above shuffled", "above random_unit")
"""What of the scores goes into the file."""


def random_like(dictionary: Any) -> TopK:
    """A dictionary of random directions with the centre, the width and the K of a learned one."""
    site, shape = dictionary.writes, dictionary.W_dec.shape
    draw = torch.Generator().manual_seed(1000 + (site.layer or 0))
    rows = torch.nn.functional.normalize(torch.randn(shape, generator=draw), dim=1)
    return TopK(
        site, W_enc=rows.T.contiguous(), W_dec=rows, b_dec=dictionary.b_dec.float(), centred=True, k=dictionary.k
    )


def indexes(work: Path, dictionaries: Sequence[Dictionary], tokens: int) -> tuple[clew.Index, clew.Index]:
    """Where the units of the pack fire, and those of random dictionaries, in the same text."""
    model = clew.open(MODEL)
    windows = cut(shuffled_texts(wikipedia_leads()), model.tokenizer, context=64, limit=tokens)
    made: list[clew.Index] = []
    for name, some in (("pack", dictionaries), ("random", [random_like(d) for d in dictionaries])):
        found = clew.index(model, some, windows, to=work / name, progress=Progress(f"indexing, {name}"))
        assert found is not None
        made.append(found)
    return made[0], made[1]


def random_unit(case: Any, others: Any, explain: Any, *, random: Any = None) -> Any:
    """The floor of that name, of so few units that each is explained once."""
    return clew_floor(case, others, explain, random=random, among=AMONG)


def named(site: str, pack: clew.Index, random: clew.Index, made: str, n: int | None) -> tuple[Labels, dict[str, Any]]:
    """The names of a site's units that hold, and what became of all of them."""
    units = [f"{site}/{unit}" for unit in range(pack.units(clew.Site.parse(site)))][:n]
    said = clew.explain(
        pack,
        units,
        scorers=("detection", "simulation"),
        floors=("shuffled", random_unit),
        random=random,
        to=pack.labels,
        progress=Progress(f"names of {site}"),
        below=(),
        sides=False,
        clauses=CLAUSES,
    )
    found = {unit: labels for unit, labels in said.items() if labels}
    kept = {unit: tuple(map(short, labels)) for unit, labels in found.items() if holds(labels[0])}
    scores = {name: mean([score(labels[0], *name.split(", ")) for labels in found.values()]) for name in SCORES}
    told = {"site": site, "units": len(units), "with a rule": len(found), "named": len(kept), **scores}
    return Labels(kept, {site: made}), told


SCORES = tuple(f"{measure}, {of}" for measure in ("detection AUROC", "simulation r") for of in KEPT)


def score(label: Label, measure: str, of: str) -> float:
    return next((row.value for row in label.scores if (row.measure, row.of) == (measure, of)), float("nan"))


def holds(label: Label) -> bool:
    """Whether it predicts strength better than either floor, by its interval."""
    above = [row for row in label.scores if row.measure == "simulation r" and row.of in KEPT[1:]]
    return len(above) == 2 and all(row.low > 0 for row in above)


def short(label: Label) -> Label:
    """With the scores that are shown, in as many digits as they have."""
    rows = [row for row in label.scores if row.of in KEPT]
    numbers = ("value", "low", "high")
    return replace(label, scores=tuple(replace(r, **{n: round(getattr(r, n), DIGITS) for n in numbers}) for r in rows))


def mean(values: list[float]) -> float | None:
    known = [value for value in values if value == value]
    return round(sum(known) / len(known), DIGITS) if known else None


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    head = list(rows[0]) if rows else []
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(str(row[name]) for name in head) + " |" for row in rows)])


def way(dictionary: Dictionary, tokens: int) -> dict[str, Any]:
    """What the names of a site depend on."""
    settings = {"tokens": tokens, "clauses": CLAUSES, "among": AMONG}
    return {**settings, "dictionary": dictionary.fingerprint, "clew": clew.__version__}


def known() -> dict[str, dict[str, Any]]:
    """What became of each site so far, and how it was made."""
    return {row["site"]: row for row in read_any_json(RESULT)["rows"]} if RESULT.exists() else {}


def run(work: Path, sites: Sequence[str], tokens: int, n: int | None) -> None:
    every = {str(d.writes): d for d in Dictionary.load(MODEL)}
    chosen = sites or list(every)
    pack, random = indexes(work, list(every.values()) if n is None else [every[s] for s in chosen], tokens)
    ways = {site: way(dictionary, tokens) for site, dictionary in every.items()}
    for site in chosen:
        file = PACK / f"{site}.labels.json.gz"
        if n is None and file.exists() and known().get(site, {}).get(WAY) == ways[site]:
            continue
        labels, row = named(site, pack, random, every[site].fingerprint, n)
        if n is not None:
            print(table([row]))
            return
        labels.save(file)
        rows = {**known(), site: row | {WAY: ways[site]}}
        write_json(RESULT, {"model": MODEL, "rows": [rows[one] for one in every if one in rows]})
    print(table([{name: cell for name, cell in row.items() if name != WAY} for row in known().values()]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?", type=Path)
    parser.add_argument("--sites", nargs="*", default=[])
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    if args.tiny:
        with tempfile.TemporaryDirectory() as folder:
            run(Path(folder), ["resid.3"], 4000, 8)
    elif args.work is None:
        parser.error("say where the indexes shall lie: python recipes/name_pack.py WORK")
    else:
        run(args.work, args.sites, TOKENS, None)
