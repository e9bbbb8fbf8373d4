"""clew train: learn dictionaries from recorded activations, or from a model while it reads a text."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from clew.apps.cli._evidence import Text
from clew.apps.cli._groups import Machine, unfolded
from clew.apps.cli._options import options_of
from clew.apps.cli._terminal import Json, Several, aside, say, telling
from clew.files import check_names, entries, entry, entry_or, read_any_json, typed
from clew.progress import NOTHING

PLAN = ("by", "reads", "writes", "options", "seed", "name")
"""What a plan in a file may say."""


@unfolded
@dataclass(frozen=True)
class Wanted:
    """Which dictionaries are learnt."""

    sites: Annotated[tuple[str, ...], Several] = ()
    """Where, such as resid.3; all sites of the store by default."""
    writes: Annotated[tuple[str, ...], Several] = ()
    """For transcoders, the site that each of `sites` is to predict, in the same order."""
    units: Annotated[tuple[int, ...], Several] = (2304,)
    """How many units; several numbers make several dictionaries."""
    seeds: Annotated[tuple[int, ...], Several] = (0,)
    """Where each dictionary starts; several make several dictionaries."""
    plans: Path | None = None
    """A JSON file of any mix: [{"by": "topk", "reads": "resid.3", "options": {"units": 4608, "k": 32}}, ...], with
    "writes", "seed" and "name" where they are wanted; "reads" is a list for a crosscoder. Then --sites, --by and
    the objective's options are left out."""

    def crossed(self, by: str, held: Sequence[str], options: Mapping[str, Any]) -> list[Any]:
        """A plan for every site with every number of units and every seed. Raises: ValueError for ends of other number."""
        import clew

        reads = held or self.sites
        ends: Sequence[Any] = self.writes or [None] * len(reads)
        if len(ends) != len(reads):
            raise ValueError(f"--writes names {len(ends)} sites for {len(reads)} of --sites; give one for each")
        return [
            clew.Plan(by, read, write, {"units": n, **options}, seed)
            for (read, write), n, seed in product(zip(reads, ends, strict=True), self.units, self.seeds)
        ]


@dataclass(frozen=True)
class Read(Text):
    """What a model reads while one learns from it."""

    text: Annotated[tuple[str, ...], Several] = ()
    """Files or folders for a model to read, or `wikipedia`."""
    tokens: int | None = None
    """How much of the text."""
    context: int = 64
    """Longest window of the text in tokens."""


@unfolded
@dataclass(frozen=True)
class Loop:
    """How it is learnt."""

    batch: int = 4096
    """Rows in a batch."""
    parts: int = 1
    """Work through a batch in so many parts, to save memory."""
    fast_forward: int = 0
    """Every so many steps, repeat the last step while the loss falls."""
    save_every: float = 300.0
    """Seconds between checkpoints."""


@options_of("training.objectives", {"--plans": ""})
def train(
    source: str,
    /,
    *,
    by: str = "topk",
    wanted: Wanted = Wanted(),
    to: Path,
    steps: int,
    loop: Loop = Loop(),
    read: Read = Read(),
    device: str | None = None,
    log: Annotated[tuple[str, ...], Several] = (),
    json: Json = False,
    **options: Any,
) -> None:
    """Learn dictionaries, all in one run: every site with every number of units and every seed.

    Interrupted, the same command goes on where its last checkpoint stands. More options come from the objective:
    `clew train STORE --by NAME --help`. Under torchrun, gradients are averaged over the processes.

    Parameters
    ----------
    source
        The folder of a store (`clew record`), or a model to run while learning; then give --text.
    by
        The objective: a file of clew/training/objectives.
    to
        The folder for the dictionaries, log.jsonl and checkpoints.
    steps
        How many batches to learn from.
    device
        Where to learn: cpu, cuda, cuda:1.
    log
        Also log to wandb, trackio or mlflow.
    """
    import clew
    from clew.training import tracker

    plans = _plans(wanted.plans) if wanted.plans else []
    held, sites = _source(source, wanted, plans, read, Machine(device=device))
    plans = plans or wanted.crossed(by, sites, options)
    first = not int(os.environ.get("RANK", "0"))
    tracks = [tracker(name, to.name) for name in log] if first else []
    with telling(f"learning {len(plans)} dictionaries") as tell:

        def told(step: int, of: int, numbers: Mapping[str, float] = NOTHING, /) -> None:
            for one in (tell, *tracks):
                one(step, of, numbers)

        try:
            made = clew.train(held, plans, to=to, steps=steps, device=device, progress=told, **asdict(loop))
        except KeyboardInterrupt:
            aside(f"what was learnt so far is saved in {to}; the same command goes on from there")
            raise
    if first:  # it speaks for all processes
        _say(plans, made, to, json)


def _say(plans: Sequence[Any], made: Sequence[Any], to: Path, json: bool) -> None:
    """The dictionaries and what their last batch said of them."""
    value = [
        {"file": f"{p.title}.safetensors", "units": d.n_units, **d.meta["trained"]["last"]}
        for p, d in zip(plans, made, strict=True)
    ]
    lines = [
        f"  {v['file']}  {v['units']} units, {v.get('l0', 0):.1f} active, {v.get('unexplained', v['loss']):.3f} unexplained"
        for v in value
    ]
    what = "dictionary" if len(made) == 1 else "dictionaries"
    say(f"{len(made)} {what} in {to}\n" + "\n".join(lines), {"folder": str(to), "dictionaries": value}, json)


def _plans(path: Path) -> list[Any]:
    import clew

    looks = (
        '; it is no list of plans, of which one looks like {"by": "topk", "reads": "resid.3", "options": {"units": 99}}'
    )
    if not isinstance(listed := read_any_json(path, looks), list):
        raise ValueError(f"{path} holds a {type(listed).__name__}{looks}")
    return [clew.Plan(**_checked(plan, f"{path}: entry {i}")) for i, plan in enumerate(listed)]


def _checked(plan: Any, place: str) -> dict[str, Any]:
    """The fields of a plan. Raises: ValueError for one that is unknown, missing or of another kind."""
    check_names(typed(plan, place, dict), PLAN, place)
    entry(plan, "by", str, origin=place)
    for name in ("reads", "writes"):
        several = type(plan.get(name)) is not str and (name == "reads" or plan.get(name) is not None)
        if several and not entries(plan, name, str, origin=place):
            raise ValueError(f"{place}: {name} is empty; name a site, or several")
    for name, kind in (("options", dict), ("seed", int), ("name", str)):
        entry_or(plan, name, kind, {}, origin=place)
    return plan


def _source(source: str, wanted: Wanted, plans: Sequence[Any], read: Text, machine: Machine) -> tuple[Any, list[str]]:
    """What is learnt from, a store or a model while it reads, and the sites of it that were named."""
    if not (Path(source) / "store.json").exists():
        return _live(source, wanted, plans, read, machine)
    from clew.readings.store import Store

    held = Store.load(source)
    if not wanted.sites:
        return held, [str(s) for s in held.sites]
    return held, sorted({str(s) for p in wanted.sites for s in held.sites if fnmatch(str(s), p)})


def _live(model: str, wanted: Wanted, plans: Sequence[Any], read: Text, machine: Machine) -> tuple[Any, list[str]]:
    """Activations of a model while it reads, and the sites."""
    if not read.text:
        raise ValueError(
            f"{model} is no store (there is no {model}/store.json), so it is a model: give it a --text to read"
        )
    opened = machine.open(model)
    from clew.apps.cli.record import matching
    from clew.readings.source import Live

    reads = [str(s) for s in matching(opened, wanted.sites)] if wanted.sites else []
    every = {*reads, *wanted.writes, *(str(s) for p in plans for s in (*p.inputs, *p.outputs))}
    if not every:
        raise ValueError("say at which sites of the model to learn: --sites resid.3 resid.7, or resid.*")
    return Live(opened, read.windows(opened), sites=sorted(every)), reads
