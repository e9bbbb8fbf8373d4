"""How dear a change of a map is in each direction of its input: the prior of the closed-form editors."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from clew.data.text.windows import Windows
from clew.models import Model
from clew.progress import Tell
from clew.readings.moments import second_moment
from clew.sites import Weight

Prior = dict[Weight, Float[Tensor, "in in"] | None]


def priors(
    model: Model,
    weights: Sequence[Weight],
    text: Windows | None,
    *,
    shrink: bool = True,
    progress: Tell | None = None,
) -> tuple[Prior, str]:
    """The second moment of what each weight reads on a text, and a sentence that says so; the identity without a text."""
    if text is None:
        return dict.fromkeys(weights), "the identity, for no text was given: ordinary inputs are not spared"
    moments = second_moment(model, weights, text, shrink=shrink, progress=progress)
    said = ", ".join(f"{w}: shrunk by {m.shrinkage:.3g}" for w, m in moments.items())
    samples = next(iter(moments.values())).samples
    return {w: m.matrix for w, m in moments.items()}, f"second moment on {samples} tokens of text ({said})"
