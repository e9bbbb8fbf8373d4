"""clew models: what can be opened by name, and of which families models can be opened."""

from __future__ import annotations

from typing import Any

from clew.apps.cli._terminal import Flag, Json, aside, say, table


def models(name: str | None = None, /, *, families: Flag = False, json: Json = False) -> None:
    """List the models that come by name from the package index, or every family of models and what holds in it.

    Parameters
    ----------
    name
        With --families, only those in whose name this occurs, and why what they lack is not there.
    families
        Every type of model that transformers knows: exact, partly, refused or not built. What holds in a model of yours
        `clew check` measures.
    """
    if name is not None and not families:
        raise ValueError(f"{name!r} goes with --families; a model is looked at by `clew check {name}`")
    if families:
        _say_families(name, json)
        return
    from clew.finder import names
    from clew.models.bundled import BUNDLED

    rows = [(name, bundled.licence, bundled.description) for name, bundled in BUNDLED.items()]
    written = names("models.architectures")
    value = [{"name": name, "licence": licence, "description": words} for name, licence, words in rows]
    said = f"{table(rows)}\n\nfamilies: {', '.join(written)}"
    say(said, {"models": value, "families": written}, json)
    if not json:
        aside("a folder, a GGUF file or a hub id can stand wherever a model is asked for")
        aside(
            "families with a record of their own are named here; clew models --families lists all, most of them inferred"
        )


def _say_families(name: str | None, json: bool) -> None:
    from clew.models.families import families

    found = families() if name is None else families().named(name)
    counts = ", ".join(f"{n} {verdict}" for verdict, n in found.counts.items() if n)
    head = ("type", "kind", "", "sites", "checks", "not there (at how many sites), or why")
    rows = [(r.type, r.kind, r.verdict, *map(_number, (sum(r.sites.values()), r.checks)), r.said) for r in found.rows]
    whys = [] if name is None else [line for row in found.rows for line in _whys(row)]
    with_what = f"{counts}; tiny random models of transformers {found.transformers}, torch {found.torch}"
    say("\n".join([table([head, *rows]), "", *whys, with_what]), found.to_json(), json)


def _whys(row: Any) -> list[str]:
    """What a family lacks, by the reason, and an empty line at the end."""
    lines = [f"{row.type}: no {', '.join(map(str, lacks))}: {why}" for why, lacks in row.reasons.items()]
    return [*lines, ""] if lines else []


def _number(n: int) -> str:
    return str(n) if n else ""
