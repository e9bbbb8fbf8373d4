"""The table of families: each kind of causal language model that the installed transformers knows, opened and checked.

For each, a tiny random model in which every kind of block occurs (recipes/tiny_families.py) is opened, all promises of
selfcheck are tried at all its sites, and a sample of the sites is checked by surgery (recipes/surgery.py), which has nothing
of selfcheck. Each is done in a process of its own, on one thread, with so much memory and time and no more. What is done is
kept, so a run that was killed goes on; when clew or this recipe changes, all is done anew.

Writes docs/results/families.json, with what was measured; the short form that clew ships, clew/models/families.json; and the
table in docs/models.md. All of them take about twenty minutes of one core; some by their types:

    python recipes/families.py [TYPE ...]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import re
import resource
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import surgery
import tiny_families
import torch
import transformers

import clew
from clew.files import cache_folder, read_any_json, write_json, write_text
from clew.models.families import FILE, Families, Family, Lack
from clew.models.model import Model
from clew.models.selfcheck import Finding, cached_selfcheck
from clew.near import near
from clew.progress import Progress
from clew.scale.map import map

ROOT = Path(__file__).parent.parent
RESULT, PAGE = ROOT / "docs" / "results" / "families.json", ROOT / "docs" / "models.md"
MARKS = "<!-- the table of families -->", "<!-- its end -->"
MEMORY, SECONDS = 4 << 30, 400
"""What the process of one family may take: bytes of data, and seconds."""

START = "forkserver"
"""How its process begins."""
LOADED = ["clew.models.open", "transformers.generation", "transformers.models.mixtral.modeling_mixtral"]
"""What every process has from the start."""

Row = dict[str, Any]


# One family.


def looked_at(kind: str) -> Row:
    """What holds of a tiny model of a type, in plain JSON."""
    row: Row = {
        "type": kind,
        "made": tiny_families.CAUSAL[kind],
        "kind": "causal",
        "sites": {},
        "lacks": [],
        "checks": {},
    }
    try:
        module = tiny_families.build(kind)
    except Exception as error:
        return row | {"verdict": "not built", "why": _in_words(error)}
    try:
        model = clew.open(module)
    except ValueError as error:
        return row | {"verdict": "refused", "why": _reason(str(error))}
    claims = list(surgery.checked(model))
    wrong = [str(claim) for claim in claims if not claim.holds]
    row["checks"] = dict(Counter(f"{claim.what}, {claim.address.partition('.')[0]}" for claim in claims if claim.holds))
    row["sites"] = dict(Counter(site.part for site in model.body.taps if model.body.holds(site)))
    row["lacks"] = lacks = [*_missing(model), *_refused(cached_selfcheck(model.body).findings)]
    if wrong:
        return row | {"verdict": "wrong", "why": "; ".join(wrong)}
    return row | {"verdict": "partly" if lacks else "exact", "why": ""}


def _missing(model: Model) -> list[Row]:
    """Parts that have no place in some of the blocks, by the reason, in which a block's number is left out."""
    found = Counter((site.part, _any_block(why)) for site, why in model.body.missing.items())
    return [{"what": part, "sites": n, "why": why} for (part, why), n in found.items()]


def _refused(findings: Iterable[Finding]) -> list[Row]:
    return [
        {"what": f.name, "sites": len(f.sites), "why": f.refused, "found": dict(f.sites) or f.measured}
        for f in findings
        if not f.holds
    ]


def _any_block(why: str) -> str:
    return re.sub(r"(?<=[a-z])\.\d+(?=[. ]|$)", ".N", why)


def _reason(said: str) -> str:
    """Why nothing could be inferred, without what is the same for all."""
    inferred = re.search(r"none could be inferred: (.*?)\. To add one", said, re.DOTALL)
    return _any_block(inferred[1] if inferred else said)


def _in_words(error: BaseException) -> str:
    """An error in one line; where it tells of another one, that."""
    lines = [line.strip() for line in f"{type(error).__name__}: {str(error).strip()}".splitlines()]
    inner = next((i for i in reversed(range(len(lines))) if re.match(r"\w+Error: ", lines[i])), 0)
    return " ".join(filter(None, lines[inner:]))[:300]


# Each in a process of its own.


def alone(kind: str) -> Row:
    """The same, in a process that takes no other down; one that dies or takes too long is wrong."""
    context = multiprocessing.get_context(START)
    context.set_forkserver_preload(LOADED)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(kind, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(SECONDS) else _fallen(kind, f"it takes more than {SECONDS} seconds")
    except EOFError:
        process.join()
        return _fallen(kind, f"its process ended by {process.exitcode}")
    finally:
        process.kill()
        process.join()
        process.close()


def _send(kind: str, to: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as place:
        os.environ["CLEW_CACHE"] = place  # nothing that was found before
        try:
            row = looked_at(kind)
        except BaseException as error:
            row = _fallen(kind, _in_words(error))
    to.send(row)


def _fallen(kind: str, why: str) -> Row:
    made = tiny_families.CAUSAL[kind]
    return {
        "type": kind,
        "made": made,
        "kind": "causal",
        "sites": {},
        "lacks": [],
        "checks": {},
        "verdict": "wrong",
        "why": why,
    }


# All of them.


def short(rows: Iterable[Mapping[str, Any]]) -> Families:
    """The form that clew ships, without what was measured."""
    made = tuple(
        Family(
            **{name: row[name] for name in ("type", "made", "kind", "verdict", "sites", "why")},
            lacks=tuple(Lack(one["what"], one["sites"], one["why"]) for one in row["lacks"]),
            checks=sum(row["checks"].values()),
        )
        for row in rows
    )
    return Families(transformers.__version__, torch.__version__.partition("+")[0], made)


def table(families: Families) -> str:
    """Markdown: how many there are of each verdict, and a row for each family."""
    counts = ", ".join(f"**{n} {verdict}**" for verdict, n in families.counts.items())
    lines = [
        f"Of {len(families.rows)} types of transformers {families.transformers}: {counts} (torch {families.torch}).",
        "",
        "| type | kind | | sites | not there, and at how many sites of the tiny model; or why | checks |",
        "|---|---|---|---|---|---|",
    ]
    for row in families.rows:
        lacks = "; ".join(f"{_what(lacks)}: {why}" for why, lacks in row.reasons.items())
        said = (row.why or lacks).replace("|", "\\|").replace("<", "&lt;")
        cells = [
            f"`{row.type}`",
            row.kind,
            row.verdict,
            str(sum(row.sites.values()) or ""),
            said,
            str(row.checks or ""),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _what(lacks: Iterable[Lack]) -> str:
    return ", ".join(f"`{one.what}`{f' ({one.sites})' * bool(one.sites)}" for one in lacks)


def on_page(page: str, made: str) -> str:
    """The page with this table between its marks."""
    before, rest = page.split(MARKS[0])
    return f"{before}{MARKS[0]}\n\n{made}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}"


def _sources() -> str:
    """A hash of all that decides what is found."""
    files = [
        *Path(__file__).parent.glob("*families.py"),
        Path(surgery.__file__),
        *Path(clew.__file__).parent.rglob("models/**/*.py"),
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()[:12]


def run(kinds: list[str]) -> Families:
    """Look at these types, those that are done already left out, and write what is found."""
    if strange := [kind for kind in kinds if kind not in tiny_families.CAUSAL]:
        raise ValueError(
            f"{strange[0]!r} is no type of causal language model; {near(strange[0], tiny_families.CAUSAL)}"
        )
    about = {"transformers": transformers.__version__, "torch": torch.__version__, "sources": _sources()}
    place = cache_folder("families") / "-".join(about.values()).replace("+", "-")
    found = map(alone, kinds, folder=place, about=about, retry=True, progress=Progress("families")).whole("table")
    before = read_any_json(RESULT) if RESULT.exists() else {"transformers": ""}
    others = kinds != list(tiny_families.CAUSAL) and before["transformers"] == transformers.__version__
    held: dict[str, Row] = {row["type"]: row for row in (*(before["rows"] if others else ()), *found)}
    rows = [held[kind] for kind in sorted(held)]
    write_json(RESULT, {"transformers": transformers.__version__, "torch": torch.__version__, "rows": rows})
    families = short(rows)
    families.save(FILE)
    if PAGE.exists():
        write_text(PAGE, on_page(PAGE.read_text(encoding="utf-8"), table(families)))
    return families


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("types", nargs="*", help="of which types, all by default")
    asked = parser.parse_args()
    every = run(asked.types or list(tiny_families.CAUSAL))
    for row in every.rows:
        if row.type in (asked.types or tiny_families.CAUSAL):
            print(row.type, row.verdict, row.said)
    print(json.dumps(every.counts))
