"""clew index: read a text once and write down where every unit of some dictionaries fires."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from clew.apps._layers import at_layers
from clew.apps.cli._groups import Machine, unfolded
from clew.apps.cli._reading import Cutting, Running, Texts
from clew.apps.cli._terminal import Json, Several, aside, say, telling, working
from clew.apps.cli._thin import say_if_thin

VIEWS = ("neurons", "heads", "experts", "components")


@unfolded
@dataclass(frozen=True)
class Kept:
    """What is kept of the firings."""

    keep: Literal["all", "top"] = "all"
    """All of them, by unit and by document; or of each unit the largest and a sample, in a small store."""
    top: int = 100
    """How many of the largest of each unit that store keeps, on each side of zero."""
    sample: int = 8
    """And how many at random of each octave of sizes."""
    seed: int = 0
    """Of the order of the documents and of the sample."""


def index(
    model: str,
    dictionaries: str,
    /,
    *texts: str,
    to: Path,
    layers: Annotated[tuple[int, ...], Several] = (),
    tokens: int = 100_000,
    kept: Kept = Kept(),
    read: Texts = Texts(),
    cutting: Cutting = Cutting(),
    running: Running = Running(),
    json: Json = False,
) -> None:
    """Index a text: where every unit fires, how often, and what is near it; `clew units` looks into it.

    Interrupted, the same command goes on where it stopped; processes that torchrun starts share the work.

    Parameters
    ----------
    model
        A bundled name (`clew models`), a folder, a GGUF file or a hub id.
    dictionaries
        A file, a folder or a pack (`clew dictionaries`), or neurons, heads, experts or components; several with commas
        between.
    texts
        Files or folders of text, `wikipedia`, or hub:OWNER/NAME, as for `clew record`.
    to
        The folder of the index.
    layers
        Of the dictionaries those at these layers alone, as in 11 15: time and room grow with their number.
    tokens
        How many positions to read.
    """
    if not texts:
        raise ValueError("name a text to read after the dictionaries: a file, a folder, wikipedia, or hub:OWNER/NAME")
    opened = Machine(running.run_dtype, running.device).open(model)
    import clew

    with working("opening the dictionaries"):
        every = [d for name in dictionaries.split(",") for d in _named(opened, name)]
        chosen = at_layers(every, layers, dictionaries)
    with working("reading and cutting the text"):
        windows = (cutting.chats if read.chat else cutting.windows)(read.read(texts), opened.tokenizer, tokens)
    how: Any = {"keep": kept.keep, "top": kept.top, "sample": kept.sample, "seed": kept.seed, "batch": running.batch}
    try:
        with telling(f"indexing {len(chosen)} sites") as tell:
            found = clew.index(opened, chosen, windows, to=to, progress=tell, **how)
    except KeyboardInterrupt:
        aside(f"what is done stays in {to}; the same command goes on where it stopped")
        raise
    if found is None:
        aside(f"this process has done its share of {to}; the index is whole when the others have done theirs")
        return
    value = _summary(found, to)
    what = f"{value['firings']:,} firings at {value['positions']:,} positions of {len(chosen)} sites"
    say(f"{what} in {value['bytes'] / 1e6:,.1f} MB, saved as {to}", value, json)
    say_if_thin(found)


def _named(model: Any, name: str) -> list[Any]:
    """Dictionaries by a word or a path."""
    import clew

    if name not in VIEWS or Path(name).exists():
        return clew.Dictionary.load(name)
    return list(getattr(model, name)().dictionaries.values())


def _summary(found: Any, to: Path) -> dict[str, Any]:
    counts = {str(site): found.summary(site).count for site in found.sites}
    sites = {site: {"units": len(count), "silent": int((count == 0).sum())} for site, count in counts.items()}
    return {
        "index": str(to),
        "positions": found.about["positions"],
        "documents": len(found.documents) - 1,
        "sites": sites,
        "firings": sum(int(count.sum()) for count in counts.values()),
        "bytes": sum(path.stat().st_size for path in to.rglob("*") if path.is_file()),
        "keep": found.about["keep"],
    }
