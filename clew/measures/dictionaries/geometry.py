"""The geometry of a dictionary's directions: coherence, which sparse codes it makes unique, and the norms of codes.

Sources: "Towards Atoms of Large Language Models" (arXiv:2509.20784) for the atomic inner product, q* and uniqueness;
Lee et al. 2025 (arXiv:2503.24277) for the norms of codes under quasi-orthogonality.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from clew.data.text.windows import Windows
from clew.dictionaries import Dictionary
from clew.measures._documents import Documents, ratio
from clew.measures.dictionaries._cosines import Coherence, coherence, directions
from clew.measures.dictionaries._kept import kept, placed
from clew.models import Model
from clew.report import Report, Row

Q = np.linspace(0, 1, 10001)
WIDEST = 512
"""Active units of a position beyond which its Gram matrix is not taken apart."""


def geometry(model: Model, windows: Windows, dictionary: Dictionary, *, sample: int = 1000) -> Report:
    """Coherence, q*, uniqueness, isometry and code norms of a dictionary, with intervals over documents.

    Rows `of` "plain" use the dot product; "atomic" uses u' S v with S = (mean y y')^-1 over the text, y what flows at
    the site that the dictionary writes. Directions have length one in either. With K the number of active units of a
    position:

    - coherence: the largest |cos| of two directions; "max cosine" the largest cos; "mean max cosine" the mean over units
      of the largest cos with another unit: redundancy.
    - q*: the largest q for which the q-quantile of |cos| over pairs of units is below 1 / (2 K_q - 1), K_q the q-quantile
      of K over positions. Unique: the share of units whose largest |cos| is below 1 / (2 mean K - 1).
    - isometry: mean over positions of the largest |eigenvalue - 1| of the Gram matrix of the active directions: what
      restricted isometry bounds for every set, measured on the sets that occur.
    - norm ratio: mean ||f||² / ||z||², z = decode(f) without its bias, f in units of directions of length one. For
      directions with |cos| up to epsilon, ||f||² lies between ||z||² / (1 + epsilon (K - 1)) and
      ||z||² / (1 - epsilon (K - 1)). Inside bounds: share of positions; with epsilon the coherence it is 1 by theorem,
      with the 99 % quantile it is a finding. Bounded above: share where the upper bound is finite.
      "epsilon at least": mean over positions of | ||z||² / ||f||² - 1 | / (K - 1), the epsilon needed to explain it.

    Args: sample: positions, spread over the text, of which isometry is measured.
    Cost: one run to the site, and twice units² / 2 cosines in blocks.
    Raises: ValueError for a dictionary of heads, whose units have many directions.
    """
    dictionary = placed(model, dictionary)
    rows, here = directions(dictionary), Documents()
    length, plain = rows.norm(dim=1), coherence(rows)
    bounds = {"coherence": plain.top, "99 % of pairs": float(plain.quantile(np.array([0.99]))[0])}
    every, met, chosen = max(1, windows.tokens // max(1, sample)), 0, []
    sizes: list[Tensor] = []
    owners: list[Tensor] = []
    second = torch.zeros(dictionary.d_out, dictionary.d_out, dtype=torch.float64)
    for (some,) in kept(model, windows, dictionary):
        code = dictionary.encode(some.read)
        active = dictionary.fires(code).sum(1)
        y = some.value.cpu().double()
        second += y.T @ y
        here.add(some.document, n=torch.ones(len(y)), k=active)
        _add_norms(here, some.document, (code * length).cpu().double(), dictionary.write(code).cpu().double(), bounds)
        sizes.append(active.cpu())
        owners.append(some.document)
        for i in range(-met % every, len(y), every):
            chosen.append((int(some.document[i]), code[i].nonzero()[:, 0].cpu()))
        met += len(y)
    atomic_rows, rank = _whitened(rows, second / met)
    atomic = coherence(atomic_rows)
    k = torch.cat(sizes)
    counts, where = k.unique(return_inverse=True)
    here.count("sizes", torch.cat(owners), where, len(counts))
    known = {"plain": (rows, plain), "atomic": (atomic_rows, atomic)}
    found = [row for of, (_, seen) in known.items() for row in _coherence_rows(here, seen, counts.double().numpy(), of)]
    skipped = sum(len(units) > WIDEST for _, units in chosen)
    for of, (some_rows, _) in known.items():
        found += _isometry_rows(chosen, some_rows.cpu().double(), of)
    found += _norm_rows(here, bounds)
    notes = [
        f"{met} positions of {len(here)} documents; mean L0 {float(k.double().mean()):.3g}",
        f"epsilon is {bounds['coherence']:.3g} (coherence) or {bounds['99 % of pairs']:.3g} (99 % of pairs)",
        "q* and unique are resampled through the number of active units alone; the inner product stays that of the text",
        "one number for the weights, or for the inner product of the whole text, has no interval of its own",
    ]
    if rank < dictionary.d_out:
        notes.append(
            f"the text spans {rank} of {dictionary.d_out} dimensions; the atomic inner product is that of these"
        )
    if silent := int((length == 0).sum()):
        notes.append(f"{silent} units write nothing and are left out of all cosines")
    if skipped:
        notes.append(f"isometry leaves out {skipped} of {len(chosen)} positions, of more than {WIDEST} active units")
    title = f"geometry of {dictionary.n_units} {dictionary.kind} units at {dictionary.writes} in {model.name}"
    return Report(title, tuple(found), tuple(notes))


def _whitened(rows: Float[Tensor, "unit d"], second: Float[Tensor, "d d"]) -> tuple[Float[Tensor, "unit rank"], int]:
    """Rows whose dot products are atomic inner products, by the pseudo-inverse of the second moment; and its rank."""
    size, axes = torch.linalg.eigh(second)
    spanned = size > size[-1] * 1e-12
    root = axes[:, spanned] / size[spanned].sqrt()
    return (rows.cpu().double() @ root).to(rows), int(spanned.sum())


def _add_norms(here: Documents, document: Tensor, f: Tensor, z: Tensor, bounds: dict[str, float]) -> None:
    """Sums over positions with an active unit, for each epsilon."""
    f2, z2, others = f.square().sum(1), z.square().sum(1), (f != 0).sum(1) - 1
    on = (f2 > 0) & (z2 > 0)
    document, f2, z2, others = document[on.cpu()], f2[on], z2[on], others[on]
    many = others > 0
    needed = (z2 / f2 - 1).abs() / others.clamp(min=1)
    here.add(document, on=torch.ones(len(f2)), ratio=f2 / z2, many=many.double(), needed=needed * many)
    for name, epsilon in bounds.items():
        spread = epsilon * others
        close = 1e-4 * f2  # float32 codes
        inside = (f2 * (1 + spread) >= z2 - close) & (f2 * (1 - spread) <= z2 + close)
        here.add(document, **{f"inside {name}": inside.double(), f"finite {name}": (spread < 1).double()})


def _norm_rows(here: Documents, bounds: dict[str, float]) -> Iterator[Row]:
    sums = here.sums()
    yield here.row("norm ratio", sums.mean("ratio", "on"))
    for name in bounds:
        yield here.row("inside bounds", sums.mean(f"inside {name}", "on"), f"epsilon: {name}")
        yield here.row("bounded above", sums.mean(f"finite {name}", "on"), f"epsilon: {name}")
    yield here.row("epsilon at least", sums.mean("needed", "many"))


def _coherence_rows(here: Documents, seen: Coherence, counts: Float[np.ndarray, " size"], of: str) -> Iterator[Row]:
    sums = here.sums()
    values = {
        "coherence": seen.top,
        "max cosine": seen.nearest.max(),
        "mean max cosine": seen.nearest.mean(),
    }
    for name, value in values.items():
        yield Row(name, float(value), float("nan"), float("nan"), of, examples=len(here))
    coherent = seen.quantile(Q)
    reached = np.cumsum(sums["sizes"], axis=1)
    stable = np.empty(len(reached))
    for i, row in enumerate(reached):
        k = counts[np.searchsorted(row / row[-1], Q - 1e-12).clip(max=len(counts) - 1)]
        holds = int((coherent < _bound(k)).sum())  # the left side rises with q and the right side falls
        stable[i] = Q[holds - 1] if holds else 0.0
    yield here.row("q*", stable, of)
    limit = _bound(ratio(sums["k"], sums["n"]))
    unique = np.searchsorted(np.sort(seen.largest), limit) / len(seen.largest)
    yield here.row("unique", unique, of)


def _bound(k: np.ndarray) -> np.ndarray:
    """1 / (2 K - 1), for one active unit or more."""
    return 1 / (2 * np.maximum(k, 1) - 1)


def _isometry_rows(chosen: list[tuple[int, Tensor]], rows: Float[Tensor, "unit d"], of: str) -> Iterator[Row]:
    sampled, rows = Documents(), F.normalize(rows, dim=1)
    for document, units in chosen:
        active = rows[units][rows[units].norm(dim=1) > 0]
        if 0 < len(active) <= WIDEST:
            off = (torch.linalg.eigvalsh(active @ active.T) - 1).abs().max()
            sampled.add(torch.tensor([document]), n=torch.ones(1), off=off[None])
    if len(sampled):
        yield sampled.row("isometry", sampled.sums().mean("off"), of)
