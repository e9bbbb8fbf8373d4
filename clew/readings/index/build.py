"""One pass over a text that writes down where every unit of some dictionaries fires.

First the text is read in chunks, its documents in a shuffled order, so that any number of chunks is a fair sample of it. A
chunk depends on nothing but its number, is written whole, and is the index by document. Then, without the model, chunks
become rows of units (`shards`). What is killed at any point goes on where it stopped, to the same bytes; processes that
torchrun started share the chunks, and the last of them to be done makes the rows.
"""

from __future__ import annotations

# torch and transformers leave arguments of their methods without a type:
# pyright: reportUnknownMemberType=false
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.data.text.windows import Windows
from clew.dictionaries import Dictionary
from clew.doors import door
from clew.evidence import Given
from clew.models import Model
from clew.models.trace import as_read
from clew.progress import Tell
from clew.readings._recording import check_same, groups, is_whole, made_in, plant, windows_of
from clew.readings.index._firings import Firings, by_token, narrow
from clew.readings.index._plan import (
    FORMAT,
    PARTS,
    PLAN,
    VERSION,
    Keep,
    chunk_path,
    chunks_kept,
    is_thin,
    missing,
    read_plan,
)
from clew.readings.index._text import TEXT, WORDS, Text, arranged, save_words, words_of, write_arrays
from clew.readings.index.index import Index
from clew.readings.index.parts import Part, Stays, keep_part, live, part_of, stacked, stays_of
from clew.readings.index.shards import make_shards
from clew.readings.source import harvest, place
from clew.scale.alone import alone
from clew.scale.budget import at_once
from clew.sites import Site, Weight

CODES = 56
"""As how many copies of them the codes of some tokens count in the budget of memory: 38 MB each. What is smaller than 32 MiB
malloc cuts out of its heap, and what is kept of each step would leave holes there that the next step does not fit in."""
AT_ONCE = 1 << 22
"""Firings of units that fire everywhere, sorted at once."""


@door()
def index(
    model: Model,
    dictionaries: Dictionary | Iterable[Dictionary],
    texts: Given | Iterable[Given] | Windows,
    *,
    to: str | Path,
    tokens: int | None = None,
    keep: Keep = "all",
    top: int = 100,
    sample: int = 8,
    seed: int = 0,
    batch: int = 2048,
    chunk: int = 8192,
    progress: Tell | None = None,
) -> Index | None:
    """Run texts once and write down where every unit fires.

    Args:
        dictionaries: any number, at most one that writes each site: autoencoders, transcoders, the identity (neurons) or a
            partition (heads, whose firing is the norm of what they write). `model.dictionaries.values()` are those of a view.
        texts: cut into windows as `clew.cut` does by default; or windows that are cut already.
        to: the folder; an indexing that was killed there goes on where it stopped.
        tokens: how many positions to read, as `clew.record` does.
        keep: "all" firings, by unit and by document; or of each unit the "top" alone, with a sample, so that the store is
            small (what else fires in the windows of these stays too). Of units that fire everywhere, as neurons and heads
            do, the top and the sample are all that is ever kept, and what is counted.
        top: how many of the largest are kept on each side of zero. sample: and how many at random of each octave of sizes.
        seed: of the order of the documents and of the samples.
        batch: tokens that run at once; a GPU wants more.
        chunk: about how many positions share a file.
        progress: called with (read, wanted) of this process.

    Returns: the Index; None while other processes have not done their share.
    Raises: ValueError when the folder holds an index made otherwise, or another process is at it.

    >>> found = clew.index(model, sae, text, to="fires")
    >>> found.units("resid.2") == sae.n_units
    True
    """
    if min(top, sample, chunk - 1) < 0:
        raise ValueError(
            f"top={top}, sample={sample}, chunk={chunk}: what is kept is 0 or more, and a chunk of 1 or more"
        )
    if keep not in get_args(Keep):
        raise ValueError(f"an index cannot keep {keep!r}; choose from {', '.join(get_args(Keep))}")
    view = model.through(*([dictionaries] if isinstance(dictionaries, Dictionary) else dictionaries))
    if not view.dictionaries:
        raise ValueError("name at least one dictionary whose units are looked for")
    windows, folder, (rank, world) = arranged(windows_of(model, texts, tokens), seed), Path(to), place(None, None)
    parts, text = groups(windows, chunk), Text.of(windows)
    about = {
        "format": FORMAT,
        "version": VERSION,
        **made_in(model),
        "sites": {str(site): _said(dictionary) for site, dictionary in view.dictionaries.items()},
        "keep": keep,
        "top": top,
        "sample": sample,
        "seed": seed,
        "tokens": len(text.tokens),
        "positions": windows.tokens,
        "chunk": chunk,
        "chunks": len(parts),
        "policy": dict(windows.policy),
    }
    first = [int(windows.starts[part[0]]) for part in parts]
    share = range(rank * len(parts) // world, (rank + 1) * len(parts) // world)
    mine = [(number, first[number], windows.take(parts[number])) for number in share]
    if begun := (folder / PLAN).exists():
        check_same(folder, about, read_plan(folder), "index")
    done = begun and not missing(folder, about) and _are_whole(folder, about)
    with nullcontext() if done else alone(folder, "indexing", lock=f".{rank}.lock"):
        if not done:
            plant(folder / PLAN, about, read_plan, "index")
            _save_text(folder, text, model.tokenizer)
            _write(view, mine, share, folder, about, text, batch, progress)
    return finished(folder, about, text, view.dictionaries)


def finished(
    folder: Path, about: Mapping[str, Any], text: Text, dictionaries: Mapping[Site, Dictionary] | None = None
) -> Index | None:
    """Make the rows that are missing, once all chunks are there; None while they are not."""
    read = all(_is_read(folder, about, site) for site in missing(folder, about))
    if not read and missing(folder, about):  # which another process may have made in the meantime
        return None
    with alone(folder, "sorting", lock=".sorting.lock", wait=True):
        for site in missing(folder, about):
            make_shards(folder, site, about, text, (dictionaries or {}).get(Site.parse(site)))
        shutil.rmtree(folder / PARTS, ignore_errors=True)
    return Index.load(folder)


def _is_read(folder: Path, about: Mapping[str, Any], site: str) -> bool:
    """Whether all chunks have been looked at for a site."""
    if not is_thin(about, site):
        return _are_whole(folder, about)
    return sum(end - first for first, end in live(folder, site)) == about["chunks"]


def _are_whole(folder: Path, about: Mapping[str, Any]) -> bool:
    """Whether all chunks are there that are kept."""
    return all(is_whole(chunk_path(folder, number)) for number in range(chunks_kept(about)))


def _said(dictionary: Dictionary) -> dict[str, Any]:
    """What the plan says of a site."""
    return {
        "reads": str(dictionary.reads),
        "kind": dictionary.kind,
        "unit": dictionary.unit,
        "units": dictionary.n_units,
        "everywhere": dictionary.exact,
        "fingerprint": dictionary.fingerprint,
    }


def _save_text(folder: Path, text: Text, tokenizer: Any) -> None:
    if not is_whole(folder / TEXT):
        text.save(folder)
    if not (folder / WORDS).exists():
        save_words(folder, words_of(tokenizer, text.tokens))


def _write(
    view: Model,
    chunks: Sequence[tuple[int, int, Windows]],
    share: range,
    folder: Path,
    about: Mapping[str, Any],
    text: Text,
    batch: int,
    progress: Tell | None,
) -> None:
    """Read the chunks that are missing; the disk writes one while the model runs the next."""
    done, wanted, due = 0, sum(some.tokens for _, _, some in chunks), _Due(folder, about)
    with ThreadPoolExecutor(1) as writer:
        last: Future[Any] | None = None
        for number, first, some in chunks:
            if sites := due.sites(number):
                found = _chunk(view, sites, first, some, about, text, batch)
                if last:
                    last.result()
                last = writer.submit(save_chunk, folder, about, text, (number, first), share, found)
            done += some.tokens
            if progress:
                progress(done, wanted)
        if last:
            last.result()


class _Due:
    """What was not there of an index when a process began with it."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self._folder, self._sites = folder, about["sites"]
        self._thin = {site: live(folder, site) for site in missing(folder, about) if is_thin(about, site)}
        self._whole = [site for site in self._sites if not is_thin(about, site)]

    def sites(self, number: int) -> list[str]:
        """Those that a chunk has still to be read for."""
        whole = self._whole if self._whole and not is_whole(chunk_path(self._folder, number)) else []
        thin = [site for site, runs in self._thin.items() if not any(a <= number < b for a, b in runs)]
        return [site for site in self._sites if site in (*whole, *thin)]


def save_chunk(
    folder: Path,
    about: Mapping[str, Any],
    text: Text,
    at: tuple[int, int],
    share: range,
    found: Mapping[str, Firings | Part],
) -> None:
    """Write down what fires in a chunk, or what stays of it.

    Args: at: its number and its first token. share: the chunks of this process.
    """
    number, first = at
    whole = [one.tensors(site) for site, one in found.items() if isinstance(one, Firings) and not is_thin(about, site)]
    if whole:
        path = chunk_path(folder, number)
        path.parent.mkdir(exist_ok=True)
        write_arrays(path, {name: array for tensors in whole for name, array in tensors.items()})
    for site, one in found.items():
        if is_thin(about, site):
            stays = stays_of(about, site, text)
            if isinstance(one, Firings):
                one = part_of(one.unit, one.token + first, one.value, about["sites"][site]["units"], stays)
            keep_part(folder, site, one, number, share, stays)


def _chunk(
    view: Model,
    sites: Sequence[str],
    first: int,
    windows: Windows,
    about: Mapping[str, Any],
    text: Text,
    batch: int,
) -> dict[str, Firings | Part]:
    """What fires in some windows, or what stays of it. Args: first: which token of the text is their first."""
    dictionaries = {site: view.dictionaries[Site.parse(site)] for site in sites}
    rows = harvest(view, windows, sorted({d.reads for d in dictionaries.values()}), batch)
    at, found = windows.kept.nonzero()[:, 0].numpy(), dict[str, Firings | Part]()
    for site, dictionary in dictionaries.items():
        x = as_read(rows[dictionary.reads], dictionary)
        if dictionary.exact:
            found[site] = _everywhere(view, dictionary, x, at + first, stays_of(about, site, text))
        else:
            found[site] = _where(dictionary, x, at, len(windows.flat))
    return found


def _where(dictionary: Dictionary, x: Tensor, at: Int[np.ndarray, " row"], tokens: int) -> Firings:
    """Where the units of a learned dictionary fire. Args: at: which token each row is of, and of how many."""
    units, first, parts = dictionary.n_units, 0, list[tuple[Tensor, Tensor, Tensor]]()
    for some in x.split(at_once(units, copies=32 if x.is_cuda else CODES)):
        parts.append(_fired(dictionary, some, first))
        first += len(some)
    row, unit, value = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return by_token(at[row], unit, narrow(_finite(value, dictionary)), tokens, units)


def _fired(dictionary: Dictionary, x: Tensor, first: int) -> tuple[Tensor, Tensor, Tensor]:
    """(row, unit, value) of what fires in some rows, of which the number of the first is given."""
    with torch.inference_mode():
        code = dictionary.encode(x)
        row, unit = dictionary.fires(code).nonzero(as_tuple=True)
        return row.cpu() + first, unit.cpu(), code[row, unit].float().cpu()


def _everywhere(view: Model, dictionary: Dictionary, x: Tensor, place: Int[np.ndarray, " row"], stays: Stays) -> Part:
    """What stays of units that fire at every token. Args: place: which token of the text each row is of."""
    with torch.inference_mode():
        code = _finite(_sizes(view, dictionary, x).float().cpu().numpy(), dictionary)
    step = max(1, AT_ONCE // max(1, len(code)))
    parts = list[Part]()
    for first in range(0, dictionary.n_units, step):
        some = np.ascontiguousarray(code[:, first : first + step].T)
        unit, row = np.nonzero(some)
        parts.append(part_of(unit, place[row], narrow(some[unit, row]), len(some), stays))
    return stacked(parts)


def _sizes(view: Model, dictionary: Dictionary, x: Float[Tensor, "token d"]) -> Float[Tensor, "token unit"]:
    """How strongly each unit of an exact dictionary fires: its coordinate, or of several the norm of what they write."""
    code = dictionary.encode(x)
    if code.shape[-1] == dictionary.n_units:
        return code
    groups = torch.arange(dictionary.n_units, device=code.device)
    owner = dictionary.unfold(groups.to(code)).round().long()
    matrix = None
    if dictionary.writes.part == "head" and not dictionary.writes.stack:
        matrix = view.body.linear(Weight(f"out.{dictionary.writes.layer}")).matrix().to(code)
    parts = (
        code[:, owner == unit] if matrix is None else code[:, owner == unit] @ matrix[:, owner == unit].T
        for unit in groups
    )
    return torch.stack([part.norm(dim=-1) for part in parts], dim=-1)


def _finite(value: Float[np.ndarray, "..."], dictionary: Dictionary) -> Float[np.ndarray, "..."]:
    if not np.isfinite(value).all():
        raise ValueError(
            f"what units fire with at {dictionary.writes} is not finite; open the model in a wider dtype, such as float32"
        )
    return value
