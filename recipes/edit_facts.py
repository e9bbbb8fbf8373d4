"""Facts edited in SmolLM2-135M: one, ten and a hundred at once, by MEMIT, by fine-tuning and by ROME one after the other.

Claim (Meng et al. 2023, arXiv:2210.07229): MEMIT holds where many facts are edited at once; ROME in sequence and fine-tuning
do not. Published for GPT-J on CounterFact, score of efficacy, paraphrases and neighbours: 10,000 edits, MEMIT 85.8; at 1,000
edits ROME in sequence has lost the neighbours.
Expected here: for one fact all write it, ROME and MEMIT sparing the neighbours and ordinary text; for a hundred MEMIT's score
above both others and its KL on ordinary text far below ROME's.
The facts are ours (capitals, languages, continents, kinds, opposites, ...), only those that the model knows, and a third of
all subjects is never edited and serves as neighbours. Sizes below a hundred are averaged over disjoint sets. With
`--relations FOLDER`, LRE's relation files (JSON) in it give a second table. All options are the editors' defaults, but for
two prefixes (none for ROME at a hundred) to save time; those of MEMIT were settled on 24 other facts. Seconds are without
the second moments.
Minutes: about 60 on one slow core; every finished row is kept in the cache folder, so that an interrupted run goes on.
`--tiny` takes two facts and few steps. Writes docs/results/edit_facts.json and edit_facts.md; prints the table.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import clew
from clew.data.facts.everyday import facts
from clew.data.facts.facts import Facts
from clew.data.text.texts import shuffled_texts, wikipedia_leads
from clew.data.text.windows import Windows, cut
from clew.files import cache_folder, write_json, write_text
from clew.measures.edits.locality import locality
from clew.measures.edits.success import success
from clew.readings.moments import second_moment

RESULTS = Path(__file__).parent.parent / "docs" / "results"
SIZES = ((1, 5), (10, 1), (100, 1))
"""How many facts at once, and in how many disjoint sets."""
PER_RELATION = 60
"""How many facts of a relation file the model is asked."""
EDITORS: dict[str, dict[str, Any]] = {
    "memit": {"contexts": 2},
    "fine_tune": {},
    "rome": {"contexts": 2},
}
BARE = {("rome", 100): {"contexts": 0}}
"""A hundred facts one after the other are edited without prefixes, to save time."""
TAKES_TEXT = ("memit", "rome")
COLUMNS = {
    "efficacy": "efficacy", "said": "greedy", "paraphrases": "generalisation", "neighbours": "right at neighbours",
    "unchanged": "specificity", "score": "score",
}  # fmt: skip
"""Of the table, by the measure of success that they show."""


def edited(
    model: clew.Model, some: Facts, by: str, text: Windows, held_out: Windows, options: dict[str, Any]
) -> dict[str, float]:
    """One set of facts edited in one way: every column, KL and loss increase on ordinary text, and seconds."""
    taken = {"text": text} if by in TAKES_TEXT else {}
    started = time.perf_counter()
    stack = clew.edit(model, some, by=by, **taken, **options)
    seconds = time.perf_counter() - started
    told = success(model, some, stack, controls=0)
    after = {row.measure: row.value for row in told.rows if row.of == "after"}
    away = {row.measure: row.value for row in locality(model, held_out, stack, controls=0).rows if row.of == "edited"}
    columns = {column: after[measure] for column, measure in COLUMNS.items()}
    return {**columns, "KL": away["KL"], "loss increase": away["loss increase"], "seconds": seconds}


def measured(
    model: clew.Model, known: Facts, sizes: Sequence[tuple[int, int]], text: Windows, held_out: Windows, kept: Path,
    quick: dict[str, Any],
) -> list[dict[str, Any]]:  # fmt: skip
    """A row for every editor and size; sets that are in `kept` already are not edited again."""
    done = json.loads(kept.read_text()) if kept.exists() else {}
    rows = []
    for size, sets in sizes:
        for by, options in EDITORS.items():
            options = options | BARE.get((by, size), {})
            found = []
            for i in range(sets):
                some = known.pick(range(i * size, (i + 1) * size))
                key = f"{by} {json.dumps(options | quick)} {some.hash}"
                if key not in done:
                    done[key] = edited(model, some, by, text, held_out, options | quick)
                    write_json(kept, done)
                found.append(done[key])
                print(
                    f"{known.name}, {size} at once, set {i + 1}: {by}",
                    {k: round(v, 3) for k, v in found[-1].items()},
                    flush=True,
                )
            mean = {column: sum(f[column] for f in found) / sets for column in found[0]}
            rows.append({"facts": size, "sets": sets, "editor": by, **{k: round(v, 4) for k, v in mean.items()}})
    return rows


def relations(model: clew.Model, folder: Path) -> Facts:
    """The facts that the model knows of all relation files in a folder, one of each relation in turn."""
    found: list[list[Any]] = []
    for path in sorted(folder.rglob("*.json")):
        try:
            found.append(list(Facts.load(path).first(PER_RELATION).known(model)))
        except ValueError as error:
            print(f"left out: {error}")
    longest = max(map(len, found), default=0)
    return Facts(f"relations of {folder.name}", tuple(r[i] for i in range(longest) for r in found if i < len(r)))


def chosen(model: clew.Model, n: int, folder: Path | None, relation: str | None) -> Iterator[Facts]:
    """Our own facts that the model knows, then those of the relation files, if any."""
    yield facts(n, model=model, relation=relation)
    if folder:
        yield relations(model, folder).first(n)


def table(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row for each number of facts and editor."""
    columns = [*COLUMNS, "KL", "seconds"]
    lines = [f"{name}\n", f"| facts | editor | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for row in rows:
        shown = " | ".join(f"{row[c]:.0f}" if c == "seconds" else f"{row[c]:.3f}" for c in columns)
        lines.append(f"| {row['facts']} | {row['editor'].replace('_', ' ')} | {shown} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--relations", type=Path, help="a folder of LRE's relation files")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    model = clew.open("smollm2-135m")
    texts = shuffled_texts(wikipedia_leads())
    text = cut(texts, model.tokenizer, limit=6000 if given.tiny else 20_000)
    held_out = cut(texts[5000:], model.tokenizer, limit=200 if given.tiny else 5000)
    second_moment(model, model.body.weights("down")[: model.n_layers // 4 + 1], text)
    sizes: Sequence[tuple[int, int]] = ((1, 1), (2, 1)) if given.tiny else SIZES
    quick = {"steps": 2} if given.tiny else {}
    most = max(size for size, _ in sizes)
    kept = cache_folder("edit_facts") / ("tiny.json" if given.tiny else "rows.json")
    tables = {}
    for known in chosen(model, most, given.relations, "capital" if given.tiny else None):
        fitting = [(size, n) for size, n in sizes if size * n <= len(known)]
        tables[known.name] = measured(model, known, fitting, text, held_out, kept, quick)
        print(table(known.name, tables[known.name]))
        if not given.tiny or given.out != RESULTS:
            write_json(given.out / "edit_facts.json", {"model": model.name, "editors": EDITORS, "tables": tables})
            write_text(given.out / "edit_facts.md", "\n\n".join(table(n, rows) for n, rows in tables.items()) + "\n")


if __name__ == "__main__":
    main()
