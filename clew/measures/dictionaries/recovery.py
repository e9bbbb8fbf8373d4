"""Recovery: how much of a planted truth a dictionary has found.

The numbers are those of the synthetic tests of SAELens where they have them (MCC, uniqueness, precision, recall, F1,
shrinkage, L0), so that they compare; beside them stands what random directions would get.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clew.data.planted.activations import Planted, stream
from clew.dictionaries import Dictionary
from clew.measures.dictionaries._probes import row
from clew.models import Model
from clew.report import Report, Row

FOUND = 0.9
"""From this cosine on a direction counts as recovered."""


def recovery(model: Model | None, planted: Planted, dictionary: Dictionary, *, seed: int = 0) -> Report:
    """Directions, firing and reconstruction against the truth.

    Args:
        model: None; planted activations come from no model.
        seed: of the random directions and of the intervals.

    Returns: a Report. Cosines are taken without their sign where the truth is bipolar.
        Over features (intervals too): "max cosine", of the dictionary and of as many random rows; "mcc", the mean |cosine| of
        the best one-to-one matching, likewise; "recovered", the share with max cosine >= 0.9; "F1", "precision", "recall"
        of the unit whose firing tells the feature's best; "parent recall" where there is a hierarchy: how often the unit
        nearest to a parent fires where the parent does, on tokens where its child does too and where it does not.
        Over tokens: "L0" true and of the dictionary, "FVU" (one ratio), "shrinkage" (mean |x^| / |x|).
        "uniqueness", distinct nearest features per unit, has no interval.
    Raises: ValueError for a dictionary of another width; ImportError naming the extra "probes" (for the matching).
    """
    if dictionary.d_in != planted.x.shape[1] or dictionary.spans_sites:
        raise ValueError(
            f"the dictionary reads {dictionary.d_in} and the planted activations have {planted.x.shape[1]} "
            "dimensions; an autoencoder of that width is needed"
        )
    there = next((b for b in dictionary.buffers() if b.is_floating_point()), planted.x)
    with torch.no_grad():
        x = planted.x.to(there)
        code = dictionary.encode(x)
        rebuilt, code = dictionary.reconstruct(x).to(planted.x), code.to(planted.x)
        units = unit_rows(dictionary.write(torch.eye(dictionary.n_units).to(there)).to(planted.x))
    random = unit_rows(torch.randn(units.shape, generator=stream("random rows", seed)).to(units))
    cosine, chance = planted.directions @ units.T, planted.directions @ random.T
    rows: list[Row] = []
    for of, table in (("dictionary", cosine), ("random", chance)):
        table = table.abs() if planted.bipolar else table
        best = table.max(1).values
        rows += [_mean("max cosine", best, of, seed), _mean("mcc", matched(table), of, seed)]
        rows += [_mean("recovered", best >= FOUND, of, seed), _exact("uniqueness", uniqueness(table), of, len(units))]
    for name, values in zip(("F1", "precision", "recall"), firing(planted.fires, dictionary.fires(code)), strict=True):
        rows.append(_mean(name, values, "dictionary", seed))
    rows += [
        _mean("L0", planted.fires.sum(1), "truth", seed),
        _mean("L0", dictionary.fires(code).sum(1), "dictionary", seed),
    ]
    error, spread = (planted.x - rebuilt).square().sum(1), (planted.x - planted.x.mean(0)).square().sum(1)
    e, s = error.double().numpy(), spread.double().numpy()
    rows.append(row("FVU", lambda i: float(e[i].sum() / s[i].sum()), len(e), of="dictionary", seed=seed))
    length = planted.x.norm(dim=1)
    rows.append(_mean("shrinkage", rebuilt.norm(dim=1)[length > 0] / length[length > 0], "dictionary", seed))
    if planted.hierarchy:
        table = cosine.abs() if planted.bipolar else cosine
        for of, recall in parent_recall(planted, table.argmax(1), dictionary.fires(code)).items():
            rows.append(_mean("parent recall", recall, of, seed))
    note = "intervals over features, for L0, FVU and shrinkage over tokens; uniqueness has none"
    features, d = planted.directions.shape
    title = f"recovery of {features} features in {d} dimensions by {dictionary.n_units} units"
    return Report(title, tuple(rows), (note,), {"dictionary": dictionary.fingerprint, "options": {"seed": seed}})


def unit_rows(rows: Float[Tensor, "unit d"]) -> Float[Tensor, "unit d"]:
    """Rows at length 1; rows of zeros stay."""
    return rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)


def matched(table: Float[Tensor, "feature unit"]) -> Float[Tensor, " pair"]:
    """|cosine| of each pair of the one-to-one matching of largest sum."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError(
            "the one-to-one matching needs scipy, which comes with: pip install 'clew[probes]'"
        ) from error
    magnitude = table.abs()
    feature, unit = linear_sum_assignment(magnitude.numpy(), maximize=True)
    return magnitude[feature, unit]


def uniqueness(table: Float[Tensor, "feature unit"]) -> float:
    """Distinct features that are nearest to some unit, per unit."""
    return len(table.argmax(0).unique()) / table.shape[1]


def firing(truth: Tensor, units: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(F1, precision, recall) of each feature by the unit of highest F1.

    Args: truth: [token, feature], units: [token, unit], where they fire. Features that never fire are left out.
    """
    truth, units = truth[:, truth.any(0)].double(), units.double()
    both, features, fires = truth.T @ units, truth.sum(0)[:, None], units.sum(0)
    f1, best = (2 * both / (features + fires)).max(1)
    hits = both.gather(1, best[:, None])[:, 0]
    return f1, hits / fires[best].clamp(min=1), hits / features[:, 0]


def parent_recall(planted: Planted, nearest: Tensor, units: Tensor) -> dict[str, Tensor]:
    """How often the unit nearest to a parent fires where the parent does, per child: the child firing, and silent."""
    found: dict[str, list[Tensor]] = {"child fires": [], "child silent": []}
    fires = planted.fires
    for child, parent in planted.hierarchy.items():
        for of, tokens in (("child fires", fires[:, child]), ("child silent", fires[:, parent] & ~fires[:, child])):
            if tokens.any():
                found[of].append(units[tokens, nearest[parent]].double().mean())
    return {of: torch.stack(recall) for of, recall in found.items() if recall}


def _mean(measure: str, values: Tensor, of: str, seed: int) -> Row:
    v = values.double().numpy()
    return row(measure, lambda i: float(np.mean(v[i])), len(v), of=of, seed=seed)


def _exact(measure: str, value: float, of: str, n: int) -> Row:
    return Row(measure, value, value, value, of, None, n)
