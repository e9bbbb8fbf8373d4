"""How well a dictionary rebuilds a site, how sparsely, and what the model loses when it gets the rebuilt site."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clew.changes import Set
from clew.data.text.texts import CLASSES
from clew.data.text.windows import Windows
from clew.dictionaries import Dictionary
from clew.measures._documents import Documents, Sums, ratio, variance
from clew.measures.dictionaries._kept import Kept, explained, kept, of_tokens, placed
from clew.models import Model
from clew.models.trace import as_read
from clew.report import Report, Row
from clew.scale.budget import at_once

FLAT = 1e-12
"""A variance of less than this share of the squares is rounding, and what flows is constant."""
UNITS = 1024
"""Units whose densities are resampled at once."""


def fit(model: Model, windows: Windows, dictionary: Dictionary, *, outlier: float = 6.0) -> Report:
    """Reconstruction, sparsity and downstream loss of a dictionary on a text, with intervals over documents.

    With y what flows at the site that the dictionary writes (a transcoder reads another), ŷ its reconstruction,
    e = ŷ - y, and all sums over the positions that count:

    - L0: mean number of codes that are not 0. MSE: mean ||e||² of a position, not divided by the width.
    - FVU: sum ||e||² / sum ||y - mean y||², one ratio over the whole text with its mean; "uncentred FVU":
      sum ||e||² / sum ||y||². Of chats also by token class, centred by the mean of all classes.
    - cosine and l2 ratio: means of cos(y, ŷ) and ||ŷ|| / ||y||. Reconstruction bias: sum ||ŷ||² / sum y·ŷ, 1 where
      no rescaling would help.
    - cross-entropy (nats per next token) of the model, and with ŷ, the mean of y over this text, or zero in the
      place of y at the positions that count. Loss recovered: (H_ablated - H_spliced) / (H_ablated - H_model).
      KL: of the model's next-token distribution from the changed one; KL score likewise.
    - dead: share of units that never fire on this text; dense: share that fires at more than 1 % or 10 % of positions;
      density: the histogram of these shares by decade, of all units.
    - outlier dimensions: coordinates of y whose mean |y| is more than `outlier` times that of the median coordinate.

    Cost: a run to the site, a whole run, and three runs of what is above the site.
    Raises: ValueError when the dictionary does not fit the model, no next token is told by it, or no position that counts
    has one.
    """
    model.body.check_causal("the loss of a text")
    dictionary = placed(model, dictionary)
    fit, firing = Documents(), Documents(groups=64)
    for (some,) in kept(model, windows, dictionary):
        _add_fit(fit, firing, dictionary, some)
    sums = fit.sums()
    mean = torch.from_numpy(sums["y"][0] / sums["n"][0])
    loss = _losses(model, windows, dictionary, mean)
    rows = [*_fit_rows(fit, sums, outlier), *_loss_rows(loss), *_density_rows(firing)]
    notes = [
        f"{int(sums['n'][0])} positions of {len(fit)} documents; spliced and ablated at these only, and the loss is that "
        f"of the {int(loss.sums()['n'][0])} tokens that follow one",
        "MSE is the squared length of the error, summed over the site's coordinates",
        "dead and density: on this text; their intervals, and those of FVU, are the spread of resamples about the value",
    ]
    if not _spread(sums)[0].any():
        notes.append(
            "what flows there is the same at every position that counts: it has no variance, so FVU is no number"
        )
    if len(fit) < 2:
        notes.append("one document only, so there are no intervals")
    of = dictionary.writes if not dictionary.spans_sites else f"{dictionary.reads} -> {dictionary.writes}"
    title = f"{dictionary.kind} dictionary of {dictionary.n_units} units at {of} in {model.name}"
    return Report(title, tuple(rows), tuple(notes))


def _add_fit(fit: Documents, firing: Documents, dictionary: Dictionary, some: Kept) -> None:
    code = dictionary.encode(some.read)
    y, rebuilt = (t.cpu().double() for t in (some.value, explained(dictionary, some.read, code)))
    on = dictionary.fires(code)
    error, ones = (rebuilt - y).square(), torch.ones(len(y))
    length, length_rebuilt, cross = y.norm(dim=1), rebuilt.norm(dim=1), (y * rebuilt).sum(1)
    fit.add(
        some.document,
        n=ones,
        l0=on.sum(1),
        e=error,
        y=y,
        y2=y.square(),
        size=y.abs(),
        cross=cross,
        rebuilt2=length_rebuilt.square(),
        cosine=cross / (length * length_rebuilt).clamp(min=1e-30),
        l2=length_rebuilt / length.clamp(min=1e-30),
    )
    firing.add(some.document, n=ones, fires=on)
    for i in () if some.classes is None else some.classes.unique().tolist():
        here = some.classes == i
        values = {"n": ones[here], "y": y[here], "y2": y[here].square().sum(1), "e": error[here].sum(1)}
        fit.add(some.document[here], **{f"{name} {CLASSES[i]}": value for name, value in values.items()})


def _fit_rows(fit: Documents, sums: Sums, outlier: float) -> Iterator[Row]:
    n, error, y, y2, size = sums["n"], sums["e"], sums["y"], sums["y2"], sums["size"]
    spread = _spread(sums)
    large = size > outlier * np.median(size, axis=1, keepdims=True)
    rest = ~large[0]
    yield fit.row("L0", sums.mean("l0"))
    yield fit.row("FVU", ratio(error.sum(1), spread.sum(1)), centred=True)
    yield fit.row(
        "FVU", ratio(error[:, rest].sum(1), spread[:, rest].sum(1)), "without outlier dimensions", centred=True
    )
    middle = y / n[:, None]
    for name in (c for c in CLASSES if f"n {c}" in sums):
        total, count = sums[f"y {name}"], sums[f"n {name}"]
        about = sums[f"y2 {name}"] - 2 * (middle * total).sum(1) + count * (middle**2).sum(1)
        about = np.where(about > FLAT * sums[f"y2 {name}"], about, 0.0)
        yield fit.row("FVU", ratio(sums[f"e {name}"], about), f"{name} tokens", centred=True)
    yield fit.row("uncentred FVU", ratio(error.sum(1), y2.sum(1)))
    yield fit.row("MSE", ratio(error.sum(1), n))
    yield fit.row("cosine", sums.mean("cosine"))
    yield fit.row("l2 ratio", sums.mean("l2"))
    yield fit.row("reconstruction bias", sums.mean("rebuilt2", "cross"))
    yield fit.row("outlier dimensions", large.sum(1).astype(float))


def _spread(sums: Sums) -> Float[np.ndarray, "draw d"]:
    """Squared distances from the mean, and 0 where they are nothing but rounding."""
    spread, squares = variance(sums["y2"], sums["y"], sums["n"]), sums["y2"]
    return np.where(spread.sum(1, keepdims=True) > FLAT * squares.sum(1, keepdims=True), spread, 0.0)


def _losses(model: Model, windows: Windows, dictionary: Dictionary, mean: Float[Tensor, " d_out"]) -> Documents:
    """By document: next tokens counted, cross-entropies, and KL divergences from the model as it is."""
    losses, sites = Documents(), {dictionary.reads, dictionary.writes}
    vocabulary = model.body.vocabulary
    with torch.no_grad():
        for batch in windows.batches(at_once(max(dictionary.n_units, 4 * vocabulary))):
            clean = model.run(batch.ids, real=batch.real, read=sites, record=True)
            counts = batch.keep.clone()
            counts[:, -1] = False  # nothing follows the last position; what follows any other is real
            document = of_tokens(batch)[counts[batch.keep]]
            counts = counts.to(model.device)
            following = clean.tokens.roll(-1, 1)[counts]
            whole = _log_probabilities(clean.logits, counts)
            values = {"n": torch.ones(len(document)), "model": _nll(whole, following)}
            base = clean if model.body.resumes else None
            rebuilt = dictionary.reconstruct(as_read(clean[dictionary.reads], dictionary))
            instead = {"spliced": rebuilt, "mean ablation": mean, "zero ablation": 0.0}
            for name, value in instead.items():
                edit = Set(dictionary.writes, value=value, keep=~batch.keep[..., None])
                run = model.run(batch.ids, real=batch.real, edits=[edit], base=base)
                changed = _log_probabilities(run.logits, counts)
                values[name] = _nll(changed, following)
                values[f"KL {name}"] = (whole.exp() * (whole - changed)).sum(1)
            losses.add(document, **values)
    if not len(losses):
        raise ValueError("no position that counts has a next token, so there is no loss to measure; use longer windows")
    return losses


def _log_probabilities(logits: Tensor | None, counts: Tensor) -> Float[Tensor, "token vocab"]:
    assert logits is not None
    picked = logits[counts]
    return picked.to(torch.promote_types(picked.dtype, torch.float32)).log_softmax(-1)


def _nll(log_probabilities: Float[Tensor, "token vocab"], following: Tensor) -> Float[Tensor, " token"]:
    return -log_probabilities.gather(1, following[:, None])[:, 0]


def _loss_rows(losses: Documents) -> Iterator[Row]:
    sums, ablations = losses.sums(), ("mean ablation", "zero ablation")
    for name in ("model", "spliced", *ablations):
        yield losses.row("cross-entropy", sums.mean(name), name)
    yield losses.row("delta cross-entropy", sums.mean("spliced") - sums.mean("model"))
    for name in ablations:
        yield losses.row("loss recovered", ratio(sums[name] - sums["spliced"], sums[name] - sums["model"]), name)
    for name in ("spliced", *ablations):
        yield losses.row("KL", sums.mean(f"KL {name}"), name)
    for name in ablations:
        yield losses.row("KL score", ratio(sums[f"KL {name}"] - sums["KL spliced"], sums[f"KL {name}"]), name)


def _density_rows(firing: Documents) -> Iterator[Row]:
    sums = firing.sums()
    n, (table, weights) = sums["n"], (sums.tables["fires"], sums.weights)
    least = min(int(np.floor(-np.log10(n[0]))), -2)  # one firing in the whole text falls into the lowest bin
    edges = {
        "0": 0.0,
        **{f"1e{power}": 10.0**power for power in range(least + 1, -2)},
        "1e-2": 0.01,
        "1e-1": 0.1,
        "1": 1.0,
    }
    above = {name: np.zeros(len(n)) for name in edges}
    for first in range(0, table.shape[1], UNITS):
        share = weights @ table[:, first : first + UNITS] / n[:, None]
        for name, edge in edges.items():
            above[name] += (share > edge).sum(1) / table.shape[1]
    yield firing.row("dead", 1 - above["0"], centred=True)
    yield firing.row("dense", above["1e-2"], "> 1 % of positions", centred=True)
    yield firing.row("dense", above["1e-1"], "> 10 % of positions", centred=True)
    for low, high in pairwise(edges):
        yield firing.row("density", above[low] - above[high], f"{low}..{high}", centred=True)
