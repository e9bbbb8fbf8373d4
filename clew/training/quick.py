"""Dictionaries within minutes: one recording pass over a text for all sites, then one TopK fit per site.

Good enough to find circuits with on a laptop; every fitted dictionary is saved when it is done, so a killed
run goes on with the next site, and a second run only loads.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from clew.data.store import Store, record
from clew.dictionaries import Dictionary
from clew.models import Model
from clew.sites import Site
from clew.training.topk import topk

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, of)."""


def quick_dictionaries(
    model: Model,
    texts: Iterable[str],
    *,
    sites: Sequence[Site | str],
    to: str | Path,
    units: int = 2304,
    k: int = 16,
    tokens: int = 100_000,
    context: int = 64,
    steps: int = 400,
    batch: int = 4096,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Dictionary]:
    """A TopK dictionary for each site, fitted on this text or loaded from an earlier run.

    Args:
        texts: read in order until `tokens` positions are recorded.
        sites: all recorded in one pass of the model.
        to: a folder; each setting and text gets a folder of its own in it.
        units, k, steps, batch, seed: as for `topk`. tokens, context: as for `record`.
        progress: called with (what is being done, done, of).

    Returns: the dictionaries in forward order; `meta` says how each was fitted.
    """
    chosen = sorted(model.body.site(s) for s in sites)
    texts = list(texts)
    how = {
        "weights": model.body.fingerprint, "units": units, "k": k, "tokens": tokens, "context": context,
        "steps": steps, "batch": batch, "seed": seed, "text": hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16],
    }  # fmt: skip
    folder = Path(to) / hashlib.sha256(json.dumps(how).encode()).hexdigest()[:12]
    files = {site: folder / f"{site}.safetensors" for site in chosen}
    missing = [site for site in chosen if not files[site].exists()]
    if missing:
        wanted = hashlib.sha256(" ".join(map(str, missing)).encode()).hexdigest()[:12]
        store = _recorded(model, texts, missing, folder / f"store-{wanted}", tokens, context, progress)
        for site in missing:
            fitted = topk(
                store[site], reads=site, units=units, k=k, steps=steps, batch=batch, seed=seed,
                progress=_told(progress, f"fitting {site}"),
            )  # fmt: skip
            fitted.meta |= how | {"model": model.name, "recorded": len(store)}
            fitted.save(files[site])
        for used in folder.glob("store-*"):
            shutil.rmtree(used)
    return [d for site in chosen for d in Dictionary.load(files[site])]


def _recorded(
    model: Model, texts: list[str], sites: list[Site], to: Path, tokens: int, context: int, progress: Progress | None
) -> Store:
    tell = (lambda done, of: progress(f"recording {len(sites)} sites", done, of)) if progress else None
    return record(model, texts, sites=sites, to=to, tokens=tokens, context=context, progress=tell)


def _told(progress: Progress | None, what: str) -> Callable[[int, int, float], None] | None:
    return (lambda step, of, loss: progress(f"{what}, {loss:.2f} unexplained", step, of)) if progress else None
