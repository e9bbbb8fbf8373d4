"""clew bench: searches for circuits side by side, on units, behaviours and selections, with what each of them costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from clew.apps.cli._groups import PLANTED, WORKERS, Asked, Machine, unfolded
from clew.apps.cli._terminal import Json, Several, aside, quiet, say, telling
from clew.scale.workers import Workers


@unfolded
@dataclass(frozen=True)
class Compared:
    """What is set side by side."""

    behaviours: Annotated[tuple[str, ...], Several] = ()
    """Names (`clew behaviours`) or files; ioi and agreement/simple by default."""
    units: Annotated[tuple[str, ...], Several] = ("edges", "components")
    """What is ranked: edges (between components), components, heads, neurons, features."""
    searches: Annotated[tuple[str, ...], Several] = (
        "eap",
        "eap_ig_inputs",
        "attribution_patching",
        "integrated_gradients_inputs",
    )
    """Files of clew/methods, with options as in eap_ig_inputs:steps=10; by default a few of some forwards and backwards.
    One that ranks none of the units is left out."""
    select: Annotated[tuple[str, ...], Several] = ("top",)
    """How circuits are chosen from scores: files of clew/circuits/selection, with options as in ratio:rho=0.7, joined as in
    bootstrap+ratio."""
    through: Annotated[tuple[Path, ...], Several] = ()
    """Files or folders of dictionaries for features; those that clew ships for the model by default."""
    sizes: Annotated[tuple[float, ...], Several] = ()
    """Sizes of the circuits, as shares of what is ranked; ten from 0.001 to 1 by default."""

    def named(self) -> tuple[list[str], list[Any], list[Any]]:
        """Units, searches and selections. Raises: ValueError for what is none, before anything is run."""
        from clew.circuits.ranked import UNITS
        from clew.near import near
        from clew.studies.comparison.searches import Search
        from clew.studies.comparison.selections import selection

        units = _listed(self.units)
        if unknown := [unit for unit in units if unit not in UNITS]:
            raise ValueError(f"{unknown[0]!r} is no unit; {near(unknown[0], UNITS)}")
        searches = _fitting([Search.named(text) for text in _listed(self.searches)], units)
        return units, searches, [selection(text) for text in _listed(self.select)]


@dataclass(frozen=True)
class Halves(Asked):
    """What is asked of each behaviour."""

    examples: int | None = 40
    """How many prompt pairs at most: half to find on, half to judge on."""


def bench(
    what: Literal["circuits"],
    /,
    *,
    model: str,
    compared: Compared = Compared(),
    seed: int = 0,
    out: Path = Path("bench.json"),
    html: Path | None = None,
    asked: Halves = Halves(),
    machine: Machine = Machine(),
    workers: WORKERS = Workers(),
    json: Json = False,
) -> None:
    """Run searches for circuits side by side and judge them on held-out prompts: one table, with intervals and costs.

    Interrupted, the same command goes on where it stood: every finished cell is in --out. What fails is a row that says
    why, and is tried again. Lists are separated by spaces or commas.

    Parameters
    ----------
    what
        What is compared.
    model
        As for `clew find`; or planted/induction, planted/ioi, whose true circuits are known.
    seed
        For the random ranking, the bootstrap, and searches that draw.
    out
        The file of finished cells.
    html
        Write a page of the results here.
    """
    from clew.apps.pages.comparison import bench_page
    from clew.files import write_text
    from clew.studies.comparison.results import Results, as_json
    from clew.studies.comparison.table import bench_table

    start = partial(_made, model, compared, seed, asked, machine)
    results, made = Results.at(out), start()
    try:
        cells = _here(made, results) if workers.on == "here" else _elsewhere(made, start, out, workers)
    except KeyboardInterrupt:
        aside(f"what was finished is saved in {out}; the same command goes on from there")
        raise
    if html:
        write_text(html, bench_page(cells))
    shown = f"\n\nsaved as {out}" + (f"; open {html} in a browser" if html else "")
    say(bench_table(cells) + shown, as_json(cells), json)


def _made(model: str, compared: Compared, seed: int, asked: Halves, machine: Machine) -> Any:
    """The comparison; also in a worker, where there is one."""
    from clew.measures.circuits.areas import SIZES
    from clew.studies.comparison.circuits import Bench

    units, searches, selects = compared.named()
    opened, tasks, truth = _posed(model, _listed(compared.behaviours), asked, machine)
    dictionaries = _dictionaries(opened, compared.through) if "features" in units else ()
    return Bench(opened, tasks, units, searches, selects, dictionaries, truth, compared.sizes or SIZES, seed)


def _here(made: Any, results: Any) -> list[Any]:
    """The cells, one search after the other in this process."""
    cells = []
    with _told(len(made.jobs)) as tell:
        for job, done in made.run(results):
            tell(str(job), _said(done))
            cells += done
    return cells


def _elsewhere(made: Any, start: Any, out: Path, workers: Workers) -> list[Any]:
    """The cells, from workers."""
    from clew.studies.comparison.results import Results
    from clew.studies.comparison.spread import spread

    with telling("searches") as tell:
        done = spread(start, [str(job) for job in made.jobs], out, workers, progress=tell)
    for one in done.aside:
        aside(f"{one.item}: {one.error}")
    return made.cells(Results.at(out))


def _listed(given: Sequence[str]) -> list[str]:
    """A list of words, however it was separated, each once."""
    return list(dict.fromkeys(word for text in given for word in text.split(",") if word))


def _fitting(searches: Sequence[Any], units: Sequence[str]) -> list[Any]:
    """The searches that rank one of the units; says which do not. All of them where that leaves none."""
    fit = [search for search in searches if any(search.fits(unit) for unit in units)]
    for search in searches if fit else ():
        if search not in fit:
            aside(f"{search.text} ranks none of {', '.join(units)} and is left out")
    return fit or list(searches)


def _posed(model: str, behaviours: Sequence[str], asked: Asked, machine: Machine) -> tuple[Any, dict[str, Any], Any]:
    """The model, what it is asked by name (or why it cannot be asked that), and the true circuit where it is known."""
    from clew.finder import load

    if model.startswith(PLANTED):
        name = model.removeprefix(PLANTED)
        if behaviours or asked.metric or machine != Machine():
            raise ValueError(f"{model} brings its one behaviour, in float64 on the CPU; leave its options out")
        planted = load("data.planted", name)(n=asked.examples)
        return planted.model, {planted.behaviour.name: planted.behaviour}, planted.circuit
    names = list(behaviours) or ["ioi", "agreement/simple"]
    for name in names:
        _check_named(name)
    opened = machine.open(model)
    tasks: dict[str, Any] = {}
    for name in names:
        try:
            tasks[name] = asked.behaviour(name, opened)
        except ValueError as error:
            aside(f"{name}: {error}")
            tasks[name] = str(error)
    return opened, tasks, None


def _check_named(name: str) -> None:
    """Raises: ValueError for what is neither a behaviour of ours nor a file, before anything is run."""
    import clew
    from clew.near import near

    known = clew.Behaviour.available()
    if name.replace("-", "_") not in known and not name.startswith("hf://") and not Path(name).exists():
        raise ValueError(f"{name!r} is neither a behaviour nor a file; {near(name, known)}")


def _dictionaries(model: Any, paths: Sequence[Path]) -> list[Any]:
    """Those that the user named, or the pack of that model."""
    import clew
    from clew.dictionaries.packs import packs, what_there_is

    if not paths and model.name not in packs():
        raise ValueError(
            f"features need dictionaries, and there is no pack for {model.name} ({what_there_is()}); name some by --through, "
            "or leave features out of --units"
        )
    return [d for path in paths or [Path(model.name)] for d in clew.Dictionary.load(path)]


def _said(cells: Sequence[Any]) -> str:
    """What came of one search, in a few words."""
    areas = ("failed" if c.failed else f"{c.rows('CPR over log k', 'signed')[0].value:.3f}" for c in cells)
    return "CPR over log k " + ", ".join(f"{c.select} {area}" for area, c in zip(areas, cells, strict=True))


@contextmanager
def _told(of: int) -> Iterator[Any]:
    """Says on stderr what came of every search as it is done, in a terminal over a bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("searches"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    hidden = quiet.get() or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("searches", total=of)

        def tell(job: str, result: str) -> None:
            progress.advance(task)
            aside(f"{job}: {result}")

        yield tell
