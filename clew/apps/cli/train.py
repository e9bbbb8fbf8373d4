"""clew train: learn dictionaries from recorded activations, or from a model while it reads a text."""

from __future__ import annotations

import json as jsonlib
import os
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from clew.apps.cli._options import options_of
from clew.apps.cli._terminal import Json, Several, aside, bar, open_lens, say, working


@options_of("training.objectives", {"--plans": ""})
def train(
    source: str,
    /,
    *,
    sites: Annotated[tuple[str, ...], Several] = (),
    by: str = "topk",
    writes: Annotated[tuple[str, ...], Several] = (),
    units: Annotated[tuple[int, ...], Several] = (2304,),
    plans: Path | None = None,
    to: Path,
    steps: int,
    batch: int = 4096,
    parts: int = 1,
    text: Annotated[tuple[str, ...], Several] = (),
    tokens: int | None = None,
    context: int = 64,
    seeds: Annotated[tuple[int, ...], Several] = (0,),
    fast_forward: int = 0,
    save_every: float = 300.0,
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
    sites
        Where, such as resid.3; all sites of the store by default.
    by
        The objective: a file of clew/training/objectives.
    writes
        For transcoders, the site that each of `sites` is to predict, in the same order.
    units
        How many units; several numbers make several dictionaries.
    plans
        A JSON file of any mix: [{"by": "topk", "reads": "resid.3", "options": {"units": 4608, "k": 32}}, ...], with
        "writes", "seed" and "name" where they are wanted; "reads" is a list for a crosscoder. Then --sites, --by and
        the objective's options are left out.
    to
        The folder for the dictionaries, log.jsonl and checkpoints.
    steps
        How many batches to learn from.
    batch
        Rows in a batch.
    parts
        Work through a batch in so many parts, to save memory.
    text
        Files or folders for a model to read, or `wikipedia`.
    tokens
        How much of the text.
    context
        Longest window of the text in tokens.
    seeds
        Where each dictionary starts; several make several dictionaries.
    fast_forward
        Every so many steps, repeat the last step while the loss falls.
    save_every
        Seconds between checkpoints.
    device
        Where to learn: cpu, cuda, cuda:1.
    log
        Also log to wandb, trackio or mlflow.
    """
    import clew
    from clew.readings.store import Store
    from clew.training import tracker

    chosen = _plans(plans) if plans else []
    folder = Path(source) / "store.json"
    if folder.exists():
        held: Any = Store.load(source)
        wanted = (
            sorted({str(s) for p in sites for s in held.sites if fnmatch(str(s), p)})
            if sites
            else [str(s) for s in held.sites]
        )
    else:
        held, wanted = _live(source, sites, writes, chosen, text, tokens, context, device)
    if not chosen:
        reads = wanted or list(sites)
        ends: list[Any] = list(writes) or [None] * len(reads)
        if len(ends) != len(reads):
            raise ValueError(f"--writes names {len(ends)} sites for {len(reads)} of --sites; give one for each")
        chosen = [
            clew.Plan(by, read, write, {"units": n, **options}, seed)
            for (read, write), n, seed in product(zip(reads, ends, strict=True), units, seeds)
        ]
    tracks = [tracker(name, to.name) for name in log if not int(os.environ.get("RANK", "0"))]
    with bar(f"learning {len(chosen)} dictionaries") as tell:

        def told(step: int, of: int, numbers: dict[str, float]) -> None:
            tell(step, of)
            for track in tracks:
                track(step, of, numbers)

        try:
            made = clew.train(
                held,
                chosen,
                to=to,
                steps=steps,
                batch=batch,
                parts=parts,
                device=device,
                save_every=save_every,
                fast_forward=fast_forward,
                progress=told,
            )
        except KeyboardInterrupt:
            aside(f"what was learnt so far is saved in {to}; the same command goes on from there")
            raise
    if int(os.environ.get("RANK", "0")):
        return  # the first process speaks for all
    value = [
        {"file": f"{p.title}.safetensors", "units": d.n_units, **d.meta["trained"]["last"]}
        for p, d in zip(chosen, made, strict=True)
    ]
    lines = [
        f"  {v['file']}  {v['units']} units, {v.get('l0', 0):.1f} active, {v.get('unexplained', v['loss']):.3f} unexplained"
        for v in value
    ]
    what = "dictionary" if len(made) == 1 else "dictionaries"
    say(f"{len(made)} {what} in {to}\n" + "\n".join(lines), {"folder": str(to), "dictionaries": value}, json)


def _plans(path: Path) -> list[Any]:
    import clew

    try:
        return [clew.Plan(**plan) for plan in jsonlib.loads(path.read_text(encoding="utf-8"))]
    except (jsonlib.JSONDecodeError, TypeError) as error:
        raise ValueError(
            f"{path} is no list of plans ({error}); one looks like "
            '{"by": "topk", "reads": "resid.3", "options": {"units": 4608, "k": 32}}'
        ) from error


def _live(
    model: str,
    sites: tuple[str, ...],
    writes: tuple[str, ...],
    chosen: list[Any],
    text: tuple[str, ...],
    tokens: int | None,
    context: int,
    device: str | None,
) -> tuple[Any, list[str]]:
    """Activations of a model while it reads, and the sites."""
    if not text:
        raise ValueError(
            f"{model} is no store (there is no {model}/store.json), so it is a model: give it a --text to read"
        )
    opened = open_lens(model, device=device)
    from itertools import chain

    from clew.apps.cli.record import matching, named_texts
    from clew.data.text.windows import cut
    from clew.readings.source import Live

    reads = [str(s) for s in matching(opened, sites)] if sites else []
    every = {*reads, *writes, *(str(s) for p in chosen for s in (*p.inputs, *p.outputs))}
    if not every:
        raise ValueError("say at which sites of the model to learn: --sites resid.3 resid.7, or resid.*")
    with working("reading and cutting the text"):
        windows = cut(
            chain.from_iterable(named_texts(t) for t in text), opened.tokenizer, context=context, limit=tokens
        )
    return Live(opened, windows, sites=sorted(every)), reads
