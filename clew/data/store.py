"""A store: activations of many sites over one text, recorded in one pass, on disk in shards.

A shard is one safetensors file over a fixed run of windows of the text: `tokens` and one half-precision tensor
[token, d] per site. Shards are written whole and in order, so a killed recording goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from clew.data.text import windows
from clew.files import read_json, write_json, write_whole
from clew.models import Model
from clew.sites import Site

FORMAT, VERSION = "clew store", 1
SHARD = 256
"""Windows per shard."""


@dataclass(frozen=True)
class Store:
    """Recorded activations; opened by `Store.load`, made by `record`."""

    folder: Path
    about: dict[str, Any]
    """How it was recorded: model, sites, tokens, context, hash of the text."""

    @classmethod
    def load(cls, folder: str | Path) -> Store:
        """Open what `record` wrote. Raises: ValueError naming the file and what is wrong with it."""
        store = cls(Path(folder), read_json(Path(folder) / "store.json", FORMAT))
        if len(store.shards) != store.about["shards"]:
            raise ValueError(
                f"{folder} holds {len(store.shards)} of {store.about['shards']} shards; record again with the same arguments "
                "to go on where it stopped"
            )
        return store

    @property
    def sites(self) -> list[Site]:
        return [Site.parse(s) for s in self.about["sites"]]

    @property
    def shards(self) -> list[Path]:
        return sorted(self.folder.glob("shard-*.safetensors"))

    def __len__(self) -> int:
        return int(self.about["tokens"])

    def __getitem__(self, site: Site | str) -> Float[Tensor, "token d"]:
        """All activations of one site, float32, in the order of the text."""
        site = Site.parse(site)
        if site not in self.sites:
            raise KeyError(f"{site} was not recorded in {self.folder}; recorded were {', '.join(self.about['sites'])}")
        return torch.cat([self._tensor(path, str(site)).float() for path in self.shards])

    @property
    def tokens(self) -> Int[Tensor, " token"]:
        """The token at each recorded position."""
        return torch.cat([self._tensor(path, "tokens") for path in self.shards])

    def _tensor(self, path: Path, name: str) -> Tensor:
        try:
            with safe_open(path, framework="pt") as file:
                return file.get_tensor(name)
        except Exception as error:
            raise ValueError(f"{path} is no whole shard of a store ({error}); remove it and record again") from error


def record(
    model: Model,
    texts: Iterable[str],
    *,
    sites: Sequence[Site | str],
    to: str | Path,
    tokens: int = 100_000,
    context: int = 64,
    skip: int = 1,
    batch: int = 2048,
    progress: Callable[[int, int], None] | None = None,
) -> Store:
    """Run a text once and keep what flows at the sites.

    Args:
        texts: each is cut into windows that start where a sentence starts and never cross two texts.
        sites: recorded in the same pass, which stops at the last of them.
        to: the folder; a recording that was killed there goes on where it stopped.
        tokens: how many positions to record, to the end of a window; fewer if the text is shorter.
        context: longest window, in tokens.
        skip: leave out this many first positions of a window: the first token is an attention sink whose
            norm is far from all others.
        batch: tokens that run at once.
        progress: called with (recorded, wanted).

    Returns: the Store. Raises: ValueError when the folder holds a recording made otherwise.
    """
    folder, chosen = Path(to), sorted(model.body.site(s) for s in sites)
    cut = list(_enough(windows(texts, lambda text: model.tokenizer(text)["input_ids"], context), tokens, skip))
    if not cut:
        raise ValueError("there is nothing to record: the text gave no window of two tokens or more")
    about = {
        "format": FORMAT, "version": VERSION, "model": model.name, "weights": model.body.fingerprint,
        "sites": [str(s) for s in chosen], "context": context, "skip": skip,
        "tokens": sum(len(w) - skip for w in cut), "shards": -(-len(cut) // SHARD),
        "text": hashlib.sha256(json.dumps(cut).encode()).hexdigest()[:16],
    }  # fmt: skip
    plan = folder / "store.json"
    if plan.exists() and read_json(plan, FORMAT) != about:
        raise ValueError(
            f"{folder} holds another recording ({read_json(plan, FORMAT)}); choose another folder or remove it"
        )
    write_json(plan, about)
    recorded = 0
    for number, first in enumerate(range(0, len(cut), SHARD)):
        some = cut[first : first + SHARD]
        path = folder / f"shard-{number:05d}.safetensors"
        if not path.exists():
            tensors = _run(model, chosen, some, skip, batch)
            write_whole(path, lambda place, tensors=tensors: save_file(tensors, place))
        recorded += sum(len(w) - skip for w in some)
        if progress:
            progress(recorded, about["tokens"])
    return Store.load(folder)


def _narrow(x: Tensor) -> Tensor:
    """Half precision, unless a value would not fit."""
    return x.half() if bool((x.abs() < 65_000).all()) else x.float()


def _enough(cut: Iterator[list[int]], tokens: int, skip: int) -> Iterator[list[int]]:
    """Windows until there are `tokens` positions to record."""
    total = 0
    for window in cut:
        if total >= tokens:
            return
        if len(window) > skip:
            total += len(window) - skip
            yield window


def _run(model: Model, sites: list[Site], some: list[list[int]], skip: int, batch: int) -> dict[str, Tensor]:
    """Activations of some windows, [token, d] per site, in the order of the windows."""
    kept: dict[str, list[Tensor]] = {str(s): [torch.empty(0)] * len(some) for s in sites}
    order = sorted(range(len(some)), key=lambda i: len(some[i]))
    while order:
        longest = len(some[order[-1]])
        rows, order = order[-max(1, batch // longest) :], order[: -max(1, batch // longest)]
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        real = torch.zeros(len(rows), longest, dtype=torch.bool)
        for row, i in enumerate(rows):
            ids[row, longest - len(some[i]) :] = torch.tensor(some[i])
            real[row, longest - len(some[i]) :] = True
        trace = model.run(ids, real=real, read=sites, keep=0)
        for site in sites:
            for row, i in enumerate(rows):
                kept[str(site)][i] = _narrow(trace[site][row, longest - len(some[i]) + skip :]).cpu()
    ids = torch.cat([torch.tensor(w[skip:], dtype=torch.int32) for w in some])
    return {"tokens": ids, **{name: torch.cat(parts) for name, parts in kept.items()}}
