"""Second moments: how the input of a linear map is spread on ordinary text, C = E[k kᵀ].

Closed-form editors (ROME, MEMIT, ...) weigh every change of a map by C, so that what the map does on ordinary text stays.
C depends on the model, the place and the text only, so it is worked out once, from any text, and kept in the cache.

Few samples make a poor C: its small eigenvalues come out too small and its large ones too large. So the estimate is
shrunk towards the sphere of the same trace, by the share that would be best if tokens were independent (Ledoit and Wolf
2004, J. Multivariate Analysis 88(2), for a second moment about 0):

    S = Σ k kᵀ / n,   μ = tr S / p,   ρ = min(1, (Σ ‖k‖⁴ / n − ‖S‖²) / ((n − 1) ‖S − μ I‖²)),   C = (1 − ρ) S + ρ μ I

which needs no more than three sums over the text: n, Σ k kᵀ and Σ ‖k‖⁴. Differs: n − 1 where they have n, so that the
error of S is estimated without bias. Tokens of one text do resemble each other, so ρ errs to the small side.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from clew.data.text.windows import Windows
from clew.files import cache_folder, check_whole, entry, parse_json, spared, typed
from clew.models import Model
from clew.models.likelihood import meeting
from clew.progress import Tell
from clew.sites import Site, Weight
from clew.tensors import check_finite, check_held, read_tensors, write_tensors

FORMAT = "clew second moment 1"
COUNTS = ("batches", "samples")
"""Of an unfinished run: whole numbers among its sums."""
SAVED_EVERY = 60.0
"""Seconds after which an unfinished run is saved."""


@dataclass(frozen=True, eq=False)
class Moment:
    """The second moment of what one linear map reads. Two of them of the same map add up: `a + b` is of both texts."""

    gram: Float[Tensor, "in in"]
    """Σ k kᵀ over the samples, float64."""
    fourth: float
    """Σ ‖k‖⁴ over the samples."""
    samples: int
    """Tokens that were read."""
    shrink: bool | float = True
    """How much to shrink: True for the estimated share, False for not at all, or the share itself."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Whose it is: model, weights, config, site, text; plain JSON."""

    @cached_property
    def shrinkage(self) -> float:
        """ρ, from 0 (the plain mean of k kᵀ) to 1 (the sphere of the same trace)."""
        if not isinstance(self.shrink, bool):
            return float(self.shrink)
        if not self.shrink:
            return 0.0
        size = self._size
        apart = size - float(self.gram.trace() / self.samples) ** 2 / len(self.gram)  # ‖S − μ I‖²
        noise = (self.fourth / self.samples - size) / max(1, self.samples - 1)  # of ‖S − E S‖², an unbiased estimate
        return max(0.0, noise / apart) if self.samples > 1 and noise < apart else 1.0

    @cached_property
    def matrix(self) -> Float[Tensor, "in in"]:
        """C, shrunk; float64. Positive definite whenever the shrinkage is above 0."""
        mean = self.gram / self.samples
        sphere = mean.trace() / len(mean) * torch.eye(len(mean), dtype=mean.dtype)
        return (1 - self.shrinkage) * mean + self.shrinkage * sphere

    @property
    def participation(self) -> float:
        """(tr S)² / ‖S‖²: how many directions carry S, the large ones above all; free, as no spectrum is worked out.

        Of n independent Gaussian samples the mean squared error of S is (participation + 1) / n of ‖S‖².
        """
        return float(self.gram.trace() / self.samples) ** 2 / self._size

    @cached_property
    def effective_rank(self) -> float:
        """exp of the entropy of the spectrum of S, as shares of its trace (Roy and Vetterli 2007); at least `participation`.

        Costs an eigendecomposition.
        """
        share = torch.linalg.eigvalsh(self.gram).clamp(min=0) / self.gram.trace()
        return float(torch.special.entr(share).sum().exp())

    @property
    def hash(self) -> str:
        """A hash of what the matrix was made of, for provenance."""
        value = [dict(self.about), self.samples, self.fourth, float(self.gram.sum()), self.shrink]
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def _size(self) -> float:
        """‖S‖²."""
        return float(self.gram.square().sum()) / self.samples**2

    def __add__(self, other: Moment) -> Moment:
        differ = [k for k in ("weights", "config", "site") if self.about.get(k) != other.about.get(k)]
        if self.gram.shape != other.gram.shape or differ:
            raise ValueError(
                f"{self!r} and {other!r} are of different maps (other {', '.join(differ) or 'width'}), so they do not add up"
            )
        parts = [p for m in (self, other) for p in m.about.get("parts", [m.about.get("text")])]
        about = {**{k: v for k, v in self.about.items() if k != "text"}, "parts": parts}
        return Moment(
            self.gram + other.gram, self.fourth + other.fourth, self.samples + other.samples, self.shrink, about
        )

    def __repr__(self) -> str:
        return (
            f"Moment({self.about.get('site')} of {self.about.get('model')}, {len(self.gram)} wide, "
            f"{self.samples} samples, participation {self.participation:.1f}, shrinkage {self.shrinkage:.3g})"
        )


def second_moment(
    model: Model,
    weights: Sequence[Weight | str],
    windows: Windows,
    *,
    shrink: bool | float = True,
    least: float = 10.0,
    cache: bool = True,
    tokens: int = 2048,
    progress: Tell | None = None,
) -> dict[Weight, Moment]:
    """C = E[k kᵀ] of the input k of each weight, over the positions of a text that count.

    One pass reads all weights, and stops at the last of them; weights that read the same site share one moment. Products
    are taken in float32 (float64 for a model in float64) and summed in float64.

    Args:
        weights: addresses such as "down.3"; each needs a site that holds what it reads.
        windows: any ordinary text; some ten thousand tokens will do for a small model.
        shrink: True for the estimated share, False for none, or the share itself, from 0 to 1.
        least: how many samples there must be for each direction that carries C (its `participation`); at 10 the
            expected squared error is a tenth of ‖C‖². 0 takes any number.
        cache: keep the sums under $CLEW_CACHE, by the weights, the config, the site and the text; a run that was
            stopped goes on where it was. A model with edits in force at sites is never cached.
        tokens: how many run at once.
        progress: called with the tokens read so far and those in all.

    Returns: a Moment per weight, under its address, in the order given; matrices float64 on the CPU, in² values each.
    Raises: ValueError for a weight that reads no site, or too few samples.

    >>> second_moment(model, ["down.3"], text)[Weight("down.3")].matrix.shape
    torch.Size([24, 24])
    """
    if not isinstance(shrink, bool) and not 0 <= shrink <= 1:
        raise ValueError(f"shrink={shrink}: give True, False, or a share from 0 to 1")
    maps = [model.body.linear(weight) for weight in weights]
    if blind := [m.weight for m in maps if m.reads is None]:
        raise ValueError(
            f"no site holds what {blind[0]} reads; choose among q, k, v, out, down, as in 'down.3', or unembed"
        )
    sites = sorted({m.reads for m in maps if m.reads is not None})
    if not sites:
        raise ValueError("name at least one weight, as in 'down.3'")
    cache = cache and not model.activation_edits
    abouts = {site: _about(model, windows, site) for site in sites}
    found: dict[Site, Moment] = {}
    with spared():
        found |= {site: _load(about) for site, about in abouts.items() if cache and _file(about).exists()}
    if missing := {site: about for site, about in abouts.items() if site not in found}:
        found |= _collect(model, windows, missing, tokens, cache, progress)
    moments = {m.weight: replace(found[m.reads], shrink=shrink) for m in maps if m.reads is not None}
    for weight, moment in moments.items():
        if moment.samples < least * moment.participation:
            raise ValueError(
                f"{moment.samples} samples are too few for the second moment of what {weight} reads: its weight lies on "
                f"{moment.participation:.0f} directions, and each takes {least:g}; give more text (a budget sets half of it "
                "aside)"
            )
    return moments


def _about(model: Model, windows: Windows, site: Site) -> dict[str, Any]:
    """What the sums depend on."""
    return {
        "model": model.name,
        "weights": model.body.fingerprint,
        "config": model.body.config_hash,
        "site": str(site),
        "width": model.body.widths[site],
        "text": windows.policy["hash"],
    }


def _collect(
    model: Model,
    windows: Windows,
    abouts: Mapping[Site, dict[str, Any]],
    tokens: int,
    cache: bool,
    progress: Tell | None,
) -> dict[Site, Moment]:
    """One pass over the text; with the cache, from where an earlier one was stopped."""
    on = torch.device("cpu") if model.device.type == "mps" else model.device  # which has no float64
    wide = torch.promote_types(model.body.dtype, torch.float32)
    part = _file({"tokens": tokens, "sites": list(abouts.values())}, ".part")
    state = _begun(part, abouts) if cache else {}
    grams = {
        site: state.get(str(site), torch.zeros(a["width"], a["width"]).double()).to(on) for site, a in abouts.items()
    }
    fourths = {site: float(state.get(f"{site} fourth", 0.0)) for site in abouts}
    done, samples, saved = int(state.get("batches", 0)), int(state.get("samples", 0)), time.monotonic()
    for number, batch in enumerate(windows.batches(tokens)):
        if number < done:
            continue
        trace = meeting(model, batch.ids, batch.real).run(batch.ids, real=batch.real, read=abouts, logits=0)
        keep = batch.keep.to(model.device)
        for site in abouts:
            k = trace[site][keep].to(wide)
            grams[site] += (k.T @ k).to(on, torch.float64)
            fourths[site] += float(k.square().sum(-1).to(on, torch.float64).square().sum())
        samples += int(batch.keep.sum())
        if progress:
            progress(samples, windows.tokens)
        if cache and time.monotonic() - saved > SAVED_EVERY:
            scalars = {f"{site} fourth": torch.tensor(fourths[site]).double() for site in abouts}
            counts = {"batches": torch.tensor(number + 1), "samples": torch.tensor(samples)}
            with spared():
                _write(part, {**{str(site): g.cpu() for site, g in grams.items()}, **scalars, **counts}, {})
            saved = time.monotonic()
    found = {site: Moment(grams[site].cpu(), fourths[site], samples, about=abouts[site]) for site in abouts}
    if cache:
        with spared():
            for moment in found.values():
                about = {**moment.about, "samples": samples, "fourth": moment.fourth}
                _write(_file(moment.about), {"gram": moment.gram}, about)
            part.unlink(missing_ok=True)
    return found


def _kept(part: Path, abouts: Mapping[Site, Mapping[str, Any]]) -> dict[str, Tensor]:
    """The sums of a run that was stopped. Raises: ValueError naming the file when it holds something else."""
    state = _read(part)[0]
    _check_sums(state, [*COUNTS, *(name for site in abouts for name in (str(site), f"{site} fourth"))], part)
    shapes = {str(site): (about["width"],) * 2 for site, about in abouts.items()}
    for name, tensor in state.items():
        if tuple(tensor.shape) != shapes.get(name, ()):
            raise ValueError(f"{name} in {part} has the shape {list(tensor.shape)}; remove the file")
    return state


def _file(about: Mapping[str, Any], suffix: str = "") -> Path:
    """Where the sums of these are kept."""
    name = hashlib.sha256(json.dumps([FORMAT, about], sort_keys=True).encode()).hexdigest()[:24]
    return cache_folder("second_moment") / f"{name}{suffix}.safetensors"


def _begun(part: Path, abouts: Mapping[Site, Mapping[str, Any]]) -> dict[str, Tensor]:
    """What a run that was stopped has kept; nothing where there is none, or another process has just finished it."""
    with spared():
        try:
            return _kept(part, abouts) if part.exists() else {}
        except ValueError:
            if part.exists():
                raise
    return {}


def _load(about: Mapping[str, Any]) -> Moment:
    """Raises: ValueError naming the file when it does not hold what its name says."""
    path = _file(about)
    tensors, said = _read(path)
    gram = tensors.get("gram", torch.empty(0))
    if gram.shape != (about["width"], about["width"]) or {k: said.get(k) for k in about} != about:
        raise ValueError(
            f"{path} should hold the second moment of {about['site']} of {about['model']}, {about['width']} wide; it holds "
            f"{list(gram.shape)} of {said.get('site')} of {said.get('model')}; remove the file"
        )
    _check_sums(tensors, ["gram"], path)
    check_whole(said, (*about, "samples", "fourth"), f"the head of {path}")
    samples = entry(said, "samples", int, origin=f"the head of {path}", at_least=1)
    return Moment(gram, entry(said, "fourth", float, origin=f"the head of {path}", at_least=0), samples, about=about)


def _check_sums(tensors: Mapping[str, Tensor], names: Sequence[str], path: Path) -> None:
    """Raises: ValueError naming the file that does not hold these sums."""
    check_held(tensors, names, str(path))
    for name, tensor in tensors.items():
        due = torch.int64 if name in COUNTS else torch.float64
        if tensor.dtype != due:
            raise ValueError(f"{name} in {path} is of {tensor.dtype}; {due} is due there; remove the file")
    check_finite(tensors, str(path))


def _write(path: Path, tensors: dict[str, Tensor], about: Mapping[str, Any]) -> None:
    write_tensors(path, tensors, {"format": FORMAT, "clew": json.dumps(dict(about))})


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, about = read_tensors(path)
    if about.get("format") != FORMAT:
        raise ValueError(f"{path} is not a {FORMAT!r} file but {about.get('format')!r}; remove it")
    return tensors, typed(parse_json(about.get("clew", "{}"), f"the head of {path}"), f"the head of {path}", dict)
