"""Intervention: do the tokens change that are named, when the unit is added in other documents?

The unit's direction is added at the last token of beginnings of unseen documents, as strongly as gives the mean
KL(clean || edited) at which the explanation was made. So whatever is compared, another explanation or a random direction,
moved the model as far.

Source: Paulo et al. 2024, arXiv:2410.13928: their score is how much likelier the explanation is after text that the edited
model wrote. Differs: no text is generated and no model judges; the explanation names tokens, and their log-probabilities
are looked at, beside those of tokens that were as likely.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from clew.data.predicates.predicate import unit_of
from clew.models import Model
from clew.readings.pushed import Contexts, SaysNext, contexts_of, row_of
from clew.readings.unseen import ALL, UNSEEN, Explanation, Unseen
from clew.report import Row
from clew.statistics.resampling import bounds, resampled

ALIKE = 50
"""Tokens of about the same probability with which one that is named is compared, in each context."""
NONE = {"intervention AUROC": 0.5, "intervention rise": 0.0}
"""What an explanation scores that names nothing."""


def intervention(explanation: Explanation, unseen: Unseen, unit: str, *, seed: int = 0) -> tuple[Row, ...]:
    """How far named tokens change as they are said to, and whether they do so more than tokens that were as likely.

    Args:
        explanation: one that names tokens, as `effects` makes.
        unit: its address, such as resid.7/12.
        seed: draws the contexts, and documents for the intervals.

    Returns: "intervention AUROC", the chance that a named token changes more than one as likely, 0.5 for tokens named
        at random; and "intervention rise", the mean change of log-probability in nats, for lowered tokens the fall. Each of
        all that is named, raised, and lowered; none where no strength moves the model so far.
    Raises: ValueError for an explanation that names no tokens, or without the model.
    """
    if not isinstance(explanation, SaysNext):
        raise ValueError(
            f"{str(explanation)!r} names no tokens that a unit raises or lowers, so an intervention cannot judge it; "
            "explain by effects, or score by detection or simulation"
        )
    if unseen.model is None:
        raise ValueError("the scorer intervention runs the model that is studied; give it as model=")
    contexts = contexts_of(unseen.model, unseen.firings, unseen.table, (UNSEEN,), seed)
    change = _change(contexts, unseen.model, unit, explanation.side, explanation.sigma)
    if change is None:
        return ()
    raised, lowered = ([int(token) for token in of] for of in (explanation.raises, explanation.lowers))
    named = np.array([*raised, *lowered], dtype=np.int64)
    sign = np.repeat([1.0, -1.0], [len(raised), len(lowered)])
    clean = contexts.clean.double().cpu().numpy()
    rise = sign * change[:, named]
    share = np.stack([_above(*both, named, sign) for both in zip(change, clean, strict=True)])
    weights = resampled(np.arange(len(change)), seed=seed)

    def row(measure: str, of: str, values: np.ndarray) -> Row:
        drawn = weights @ values.mean(1) / weights.sum(1) if values.size else np.full(len(weights), NONE[measure])
        return Row(measure, *bounds(drawn), of=of, examples=len(values))

    hands = {ALL: np.ones(len(named), bool), "raised": sign > 0, "lowered": sign < 0}
    some = [(measure, values) for measure, values in zip(NONE, (share, rise), strict=True)]
    return tuple(row(m, of, v[:, mask]) for of, mask in hands.items() if of == ALL or mask.any() for m, v in some)


@lru_cache(maxsize=8)
def _change(
    contexts: Contexts, model: Model, unit: str, side: int, sigma: float
) -> Float[np.ndarray, "context token"] | None:
    """What a side of a unit does, kept for another explanation of it."""
    done = contexts.at_kl(unit_of(unit)[0], side * row_of(model, unit)[None], sigma)
    return done.change[0].double().cpu().numpy() if bool(done.strength.isfinite()) else None


def _above(
    change: Float[np.ndarray, " token"],
    clean: Float[np.ndarray, " token"],
    named: Int[np.ndarray, " named"],
    sign: Float[np.ndarray, " named"],
) -> Float[np.ndarray, " named"]:
    """In one context: of the tokens about as likely as each that is named, the share that change less that way."""
    order = np.argsort(-clean, kind="stable")
    others = order[~np.isin(order, named)]
    place = np.searchsorted(-clean[others], -clean[named])
    found = np.full(len(named), 0.5)
    for i, (at, token) in enumerate(zip(place, named, strict=True)):
        start = int(np.clip(at - ALIKE // 2, 0, max(0, len(others) - ALIKE)))
        alike = sign[i] * (change[token] - change[others[start : start + ALIKE]])
        found[i] = ((alike > 0) + (alike == 0) / 2).mean() if len(alike) else 0.5
    return found
