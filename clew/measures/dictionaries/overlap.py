"""What two dictionaries share: directions, firing sets, and what can be read of one site from the other's code.

Sources: matched cosines between runs of different seeds (Sharkey et al. 2022; Paulo and Belrose 2025,
arXiv:2501.16615); Jaccard indices of atoms: Leask et al. 2025 (arXiv:2505.17769).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from clew.data.text.windows import Windows
from clew.dictionaries import ITDA, Dictionary, Partition
from clew.measures._documents import Documents, Sums, ratio
from clew.measures.dictionaries._codes import Codes, firing_jaccard, ridge_map
from clew.measures.dictionaries._cosines import directions, nearest_cosines
from clew.measures.dictionaries._kept import explained, kept, placed
from clew.models import Model
from clew.report import Report, Row
from clew.scale.budget import at_once

MATCHED = 16384
"""Units up to which a one-to-one match is sought; its cost grows with their third power."""
SAME = 0.99999
"""Two ITDA atoms with a cosine above this are one atom."""


def overlap(
    model: Model,
    windows: Windows,
    dictionary: Dictionary,
    *,
    other: Dictionary,
    other_model: Model | None = None,
    matched: bool = True,
    ridge: float = 1e-3,
    seed: int = 0,
) -> Report:
    """Compare two dictionaries on one text; of two sites, or of two models with one vocabulary, too.

    - mean max cosine: mean over units of the largest cosine with a direction of the other dictionary, both ways;
      "above": share of units for which it exceeds .7 or .9. Matched cosine: the mean over a one-to-one match. Only
      where both write sites of one width.
    - firing Jaccard: mean over the units that fire of the Jaccard index of the positions at which the unit and its
      best partner fire, both ways; not for dictionaries whose units are never off.
    - atom Jaccard: of two ITDA dictionaries, the atoms in both over the atoms in either.
    - stitched FVU: share of the variance of one site that an affine map from the code of the other dictionary leaves,
      fitted by ridge regression on half of the documents (by `seed`) and judged on the rest; own FVU: what the site's
      own dictionary leaves there.
    - swapped FVU: of two dictionaries of one site and as many units, the FVU with each direction replaced by its match's.

    Args:
        other_model: where `other` lives; `model` itself by default.
        matched: seek the one-to-one match; needs scipy, and at most 16,384 units.
        ridge: in units of the mean sum of squares of a unit.

    Holds the active codes of the whole text in memory (some 40 bytes each) and what flows at both sites.
    Raises: ValueError for two models with different vocabularies; ImportError without scipy.
    """
    there = model if other_model is None else other_model
    if other_model is not None and other_model.tokenizer.get_vocab() != model.tokenizer.get_vocab():
        raise ValueError(
            f"{model.name} and {there.name} have different vocabularies, so one text is not the same tokens to both; "
            "compare models of one tokenizer"
        )
    mine, theirs = placed(model, dictionary), placed(there, other)
    rows: list[Row] = []
    notes: list[str] = []
    match = None
    if mine.d_out == theirs.d_out and not any(isinstance(d, Partition) for d in (mine, theirs)):
        rows, match = _directions(mine, theirs, matched, notes)
        if mine.writes != theirs.writes or there is not model:
            notes.append("cosines between directions of two sites mean something only where these share a basis")
    else:
        notes.append(
            f"no cosines: {mine.writes} is {mine.d_out} wide and {theirs.writes} {theirs.d_out}, or a unit has "
            "many directions"
        )
    alike = there is model and (mine.reads, mine.writes) == (theirs.reads, theirs.writes)
    swap = match if alike and mine.n_units == theirs.n_units else None
    text, swapped = _gather(model, there, windows, mine, theirs, swap)
    rows += [*_firing_rows(text, notes), *_stitched_rows(text, ridge, seed, notes)]
    if swap is not None:
        rows.append(swapped.row("swapped FVU", _fvu(swapped.sums())))
    documents = len(text.document.unique())
    rows = [row if row.examples else replace(row, examples=documents) for row in rows]
    notes.insert(0, f"{len(text.document)} positions of {documents} documents; weights alone have no interval")
    title = f"{mine.kind} at {mine.writes} in {model.name}, and {theirs.kind} at {theirs.writes} in {there.name}"
    return Report(title, tuple(rows), tuple(notes))


def _directions(
    mine: Dictionary, theirs: Dictionary, matched: bool, notes: list[str]
) -> tuple[list[Row], Int[Tensor, " unit"] | None]:
    """What the weights say; and the match, where it is one-to-one."""
    a, b = directions(mine).float(), directions(theirs).float()
    b = b.to(a.device)
    ways = dict(zip(("this in the other", "the other in this"), nearest_cosines(a, b), strict=True))
    rows = [_of_weights("mean max cosine", float(best.mean()), way) for way, best in ways.items()]
    for at in (0.7, 0.9):
        rows += [_of_weights(f"above {at}", float((best > at).double().mean()), way) for way, best in ways.items()]
    if isinstance(mine, ITDA) and isinstance(theirs, ITDA):
        shared = min(int((best > SAME).sum()) for best in ways.values())
        rows.append(_of_weights("atom Jaccard", shared / (len(a) + len(b) - shared)))
    if not matched or max(len(a), len(b)) > MATCHED:
        notes.append(
            f"no one-to-one match: {'as asked' if not matched else f'it takes too long beyond {MATCHED} units'}"
        )
        return rows, None
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError(
            "a one-to-one match needs scipy: pip install 'clew[probes]', or pass matched=False"
        ) from error
    cosines = (F.normalize(a, dim=1) @ F.normalize(b, dim=1).T).cpu().numpy()
    left, right = linear_sum_assignment(cosines, maximize=True)
    rows.append(_of_weights("matched cosine", float(cosines[left, right].mean())))
    return rows, torch.from_numpy(right) if len(a) == len(b) else None


def _of_weights(measure: str, value: float, of: str = "") -> Row:
    return Row(measure, value, float("nan"), float("nan"), of)


@dataclass(frozen=True)
class Side:
    """One dictionary over the whole text."""

    dictionary: Dictionary
    codes: Codes
    value: Float[Tensor, "token d"]
    left: Float[Tensor, " token"]
    """Squared length of what the dictionary leaves unexplained."""


@dataclass(frozen=True)
class Text:
    """Both dictionaries over the whole text."""

    sides: tuple[Side, Side]
    document: Int[Tensor, " token"]


def _gather(
    model: Model, there: Model, windows: Windows, mine: Dictionary, theirs: Dictionary, swap: Tensor | None
) -> tuple[Text, Documents]:
    """One pass over the text (one for each model, where there are two), and the sums of the swapped reconstruction."""
    tokens = at_once(max(mine.n_units, theirs.n_units))
    if there is model:
        passes = kept(model, windows, mine, theirs, tokens=tokens)
    else:
        two = (kept(m, windows, d, tokens=tokens) for m, d in ((model, mine), (there, theirs)))
        passes = ((*a, *b) for a, b in zip(*two, strict=True))
    swapped, documents, parts = Documents(), [], ([], [])
    exchanged = None if swap is None else _exchanged(mine, theirs, swap)
    for somes in passes:
        documents.append(somes[0].document)
        for side, (dictionary, some) in enumerate(zip((mine, theirs), somes, strict=True)):
            code = dictionary.encode(some.read)
            rebuilt = explained(dictionary, some.read, code)
            left = (some.value - rebuilt).double().square().sum(1)
            parts[side].append((code.cpu().to_sparse(), some.value.cpu(), left.cpu()))
            if side == 0 and exchanged is not None:
                error = rebuilt - dictionary.write(code) + code @ exchanged - some.value
                _add(swapped, some.document, error.double().square().sum(1), some.value)
    sides = []
    for dictionary, part in zip((mine, theirs), parts, strict=True):
        codes, values, left = zip(*part, strict=True)
        sides.append(Side(dictionary, Codes.gather(list(codes)), torch.cat(values), torch.cat(left)))
    return Text((sides[0], sides[1]), torch.cat(documents)), swapped


def _exchanged(mine: Dictionary, theirs: Dictionary, swap: Tensor) -> Float[Tensor, "unit d_out"]:
    """The other's matched directions at this dictionary's lengths: how units are scaled is a convention."""
    own, others = directions(mine), directions(theirs)
    return F.normalize(others[swap.to(others.device)], dim=1) * own.norm(dim=1, keepdim=True)


def _firing_rows(text: Text, notes: list[str]) -> Iterator[Row]:
    if any(side.dictionary.exact for side in text.sides):
        notes.append("no firing sets: the units of a dictionary that is exact are never off")
        return
    for way, (one, two) in {"this in the other": text.sides, "the other in this": text.sides[::-1]}.items():
        by, values = firing_jaccard(one.codes, two.codes, text.document)
        yield by.row("firing Jaccard", values, way, centred=True)  # resamples repeat documents, as for dead units


def _stitched_rows(text: Text, ridge: float, seed: int, notes: list[str]) -> Iterator[Row]:
    documents = text.document.unique()
    if len(documents) < 2:
        notes.append("no stitching: one document cannot be both fitted and judged")
        return
    order = documents[torch.randperm(len(documents), generator=torch.Generator().manual_seed(seed))]
    learn = torch.isin(text.document, order[: len(order) // 2])
    names = ("this site", "the other's site")
    for name, (target, source) in zip(names, (text.sides, text.sides[::-1]), strict=True):
        y = target.value.double()
        fit = ridge_map(source.codes.of(learn), y[learn], ridge=ridge)
        rebuilt = torch.sparse.mm(source.codes.of(~learn).with_constant(), fit)
        for measure, left in (
            ("stitched FVU", (rebuilt - y[~learn]).square().sum(1)),
            ("own FVU", target.left[~learn]),
        ):
            judged = Documents()
            _add(judged, text.document[~learn], left, y[~learn])
            yield judged.row(measure, _fvu(judged.sums()), name)


def _add(documents: Documents, document: Tensor, left: Tensor, y: Float[Tensor, "token d"]) -> None:
    y = y.double()
    documents.add(document, n=torch.ones(len(y)), left=left, y=y, y2=y.square().sum(1))


def _fvu(sums: Sums) -> Float[np.ndarray, " draw"]:
    return ratio(sums["left"], sums["y2"] - (sums["y"] ** 2).sum(1) / sums["n"])
