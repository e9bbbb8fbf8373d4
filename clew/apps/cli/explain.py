"""clew explain: what units fire on, as rules that run or in words, and what they do, tested on text it was not made from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any

from clew.apps._cards import as_tested
from clew.apps.cli._asking import Asking, foretold
from clew.apps.cli._groups import WORKERS, Studied, unfolded
from clew.apps.cli._options import options_of
from clew.apps.cli._terminal import Json, Several, aside, say, table, telling
from clew.apps.cli._thin import say_if_thin
from clew.scale.workers import Workers

ADD = {
    "asks": "asks a language model; add --asks ADDRESS",
    "model": "runs the model whose units these are; add --model MODEL",
}
"""What an explainer or a scorer does with what it was not given, and the option that gives it."""
SHOWN = 8
"""How many units are listed."""


@unfolded
@dataclass(frozen=True)
class Scored:
    """How explanations are tested."""

    scorers: Annotated[tuple[str, ...], Several] = ()
    """Files of clew/explain/scorers: what tests an explanation on documents that it was not made from. By default detection
    and simulation, or intervention of what units do (`--by effects`)."""
    floors: Annotated[tuple[str, ...], Several] = ("shuffled",)
    """Files of clew/explain/floors: what is scored beside it, to be compared."""
    windows: int | None = None
    """In how many windows in which a unit fires scorers look, at most: costs grow with it."""


@options_of("explain.explainers")
def explain(
    index: Path,
    circuit: Path | None = None,
    /,
    *,
    by: str = "rules",
    units: Annotated[tuple[str, ...], Several] = (),
    scored: Scored = Scored(),
    workers: WORKERS = Workers(),
    studied: Studied = Studied(),
    asking: Asking = Asking(),
    to: Path | None = None,
    json: Json = False,
    **options: Any,
) -> None:
    """Explain the units of a circuit, or units by their addresses, from an index; the labels are kept in the index.

    Killed, the same command goes on where it stopped.

    Parameters
    ----------
    index
        What `clew index` wrote.
    circuit
        What `clew find` saved: its units at the sites of the index are explained and named in it.
    by
        How: a file of clew/explain/explainers.
    units
        Addresses to explain instead, as resid.3/17.
    to
        Where the circuit with its names goes; by default beside the one given, as NAME.named.json.
    """
    if circuit is not None and units:
        raise ValueError("give a circuit or --units, not both")
    if circuit is None and not units:
        raise ValueError("say what to explain: a circuit after the index, or --units ADDRESS")
    import clew
    from clew.circuits.circuit import Circuit

    opened = clew.Index.load(index)
    found = Circuit.load(circuit) if circuit else None
    wanted = wanted_units(opened, found, units)
    _check_given(by, scored.scorers, {"asks": asking.asks, "model": studied.model})
    say_if_thin(opened)
    how = {"by": by, "scorers": scored.scorers or None, "floors": scored.floors, "windows": scored.windows, **options}
    if workers.on != "here":
        _spread(index, opened, wanted, how, workers)
    made = partial(clew.explain, opened, wanted, model=studied.open(), **how)
    asks = asking.open(by, scored.scorers)
    if asks is not None:
        foretold(asks, lambda one: made(asks=one))
    with telling(f"explaining {len(wanted)} units") as tell:
        labels = made(asks=asks, to=opened.labels, progress=tell)
    if asks is not None:
        aside(f"{asks.name} was asked: {asks.count}")
    rows = [(unit, label.text, as_tested(label)) for unit, of_unit in labels.items() for label in of_unit]
    silent = [unit for unit in wanted if not labels.get(unit)]
    lines = [table(rows)] if rows else []
    if silent:
        lines.append(f"nothing that holds was found for {len(silent)} of {len(wanted)} units: {_some(silent)}")
    if "shuffled" in scored.floors and (alone := _alone(labels)):
        aside(
            f"no floor shuffled for {_some(alone)}: there is no other explanation to exchange; explain more units at once"
        )
    saved = None
    if found is not None and circuit is not None:
        saved = found.explained(labels).save(to or circuit.with_suffix(".named.json"))
        lines.append(f"saved as {saved}")
    value = {"labels": labels.to_json(), "silent": silent, "saved": str(saved) if saved else None}
    say("\n".join(lines), value, json)


def _spread(path: Path, index: Any, units: Sequence[str], how: dict[str, Any], workers: Workers) -> None:
    """Have workers find and score the rules, so that the call in this process finds them done."""
    import clew
    from clew.studies.explaining.spread import spread

    with ExitStack() as said:
        spread(
            partial(clew.Index.load, path),
            index,
            units,
            how,
            workers,
            progress=lambda part: said.enter_context(telling(f"{part} of {len(units)} units, in workers")),
        )


def wanted_units(opened: Any, circuit: Any, units: Sequence[str]) -> list[str]:
    """The addresses to explain: those that were named, or of a circuit's units those at sites of the index.

    Raises: ValueError where none of them is.
    """
    if circuit is None:
        return list(units)
    from clew.circuits.circuit import ERROR

    known = set(opened.sites)
    here = [node for node in circuit if node.unit != ERROR]
    if known.isdisjoint(node.site for node in here):
        sites, indexed = (", ".join(map(str, one.sites)) for one in (circuit, opened))
        raise ValueError(f"no unit of the circuit is at a site of the index: it is of {sites}, the index of {indexed}")
    if left := {str(node.site) for node in here if node.site not in known}:
        aside(f"left out: the units at {', '.join(sorted(left))}, which are not in the index")
    return list(dict.fromkeys(node.address.partition("@")[0] for node in here if node.site in known))


def _check_given(by: str, scorers: Sequence[str], given: dict[str, str | None]) -> None:
    """Raises: ValueError for an explainer or a scorer that cannot do without what was not given, naming the option."""
    from clew.finder import load
    from clew.signatures import options_of

    for function in (load("explain.explainers", by), *(load("explain.scorers", one) for one in scorers)):
        for name, default in options_of(function).items():
            if default is Parameter.empty and name in ADD and given[name] is None:
                raise ValueError(f"{function.__name__} {ADD[name]}")


def _alone(labels: Any) -> list[str]:
    """Units with a score that the floor `shuffled` would be compared with, and no such floor."""
    scored = [(unit, {row.of for row in label.scores}) for unit, of_unit in labels.items() for label in of_unit]
    return list(dict.fromkeys(unit for unit, of in scored if of & {"all", "windows"} and "shuffled" not in of))


def _some(units: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    return ", ".join(units[:SHOWN]) + f" and {len(units) - SHOWN:,} more" * (len(units) > SHOWN)
