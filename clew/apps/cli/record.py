"""clew record: run a text once and keep what flows at some sites, to train dictionaries from."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, Literal

from clew.apps.cli._groups import Machine
from clew.apps.cli._reading import Cutting, Running, Texts
from clew.apps.cli._terminal import Json, Several, aside, say, telling, working


def record(
    model: str,
    /,
    *texts: str,
    sites: Annotated[tuple[str, ...], Several],
    to: Path,
    tokens: int = 100_000,
    read: Texts = Texts(),
    cutting: Cutting = Cutting(),
    dtype: Literal["float16", "bfloat16", "int8", "float32"] = "float16",
    running: Running = Running(),
    json: Json = False,
) -> None:
    """Record activations of a text; interrupted, the same command goes on where it stopped.

    Parameters
    ----------
    model
        A bundled name (`clew models`), a folder, a GGUF file or a hub id.
    texts
        Files or folders (txt, md, jsonl, json, parquet, also as .gz or .xz), `wikipedia` (the leads of 10,000
        articles), or hub:OWNER/NAME, a data set of the hub.
    sites
        What to record, such as resid.3, or resid.* for all layers.
    to
        The folder of the store.
    tokens
        How many positions to record.
    dtype
        On disk; int8 takes half the room of float16.
    """
    if not texts:
        raise ValueError("name a text to record, before --sites: a file, a folder, wikipedia, or hub:OWNER/NAME")
    if cutting.roles and not read.chat:
        raise ValueError("--roles is about conversations; give --chat with it")
    opened = Machine(running.run_dtype, running.device).open(model)
    from clew.readings.store import record as recorded

    chosen, cut = matching(opened, sites), cutting.chats if read.chat else cutting.windows
    with working("reading and cutting the text"):
        windows = cut(read.read(texts), opened.tokenizer, tokens)
    try:
        with telling(f"recording {len(chosen)} sites") as tell:
            store = recorded(opened, windows, sites=chosen, to=to, dtype=dtype, batch=running.batch, progress=tell)
    except KeyboardInterrupt:
        aside(f"what is done stays in {to}; the same command goes on where it stopped")
        raise
    if store.world > 1:
        aside(f"process {store.rank} of {store.world} has recorded its share in {to}")
        return
    value = _summary(store, to, dtype)
    text = f"{len(store):,} positions of {len(value['lost'])} sites in {value['bytes'] / 1e6:,.1f} MB, saved as {to}"
    say(f"{text}\n{dtype} lost at most {max(value['lost'].values()):.1e} of a site's variance", value, json)


def _summary(store: Any, to: Path, dtype: str) -> dict[str, Any]:
    lost = {str(site): share for site, share in store.lost.items()}
    return {
        "store": str(to),
        "sites": list(lost),
        "tokens": len(store),
        "shards": len(store.shards),
        "bytes": sum(path.stat().st_size for path in store.shards),
        "dtype": dtype,
        "lost": lost,
        "policy": dict(store.policy),
    }


def matching(model: Any, patterns: Sequence[str]) -> list[Any]:
    """The sites that addresses and patterns such as resid.* name. Raises: ValueError for one that names none."""
    from clew.sites import PATTERNS

    found = set()
    for pattern in patterns:
        some = [s for s in model.sites() if s.part not in PATTERNS and fnmatch(str(s), pattern)]
        found |= set(some or [model.body.site(pattern)])  # which says what is wrong with it
    return sorted(found)
