"""The usual linear probe: a logistic regression, a discriminant analysis or the difference of the means."""

from __future__ import annotations

from clew.data.labels.labelled import Labelled
from clew.models import Model
from clew.probes._told import Told
from clew.probing import Pool, Probe
from clew.readings.probe import ProbeKind, fit
from clew.sites import Site


def linear(
    model: Model,
    evidence: Labelled,
    *,
    at: Site | str,
    estimator: ProbeKind = "logistic",
    labelling: str | None = None,
    classes: tuple[str, str] | None = None,
    pool: Pool | None = None,
) -> Probe:
    """A probe that tells two classes of texts apart by what a site of the model holds, the classes weighed equally.

    Args:
        model: its edits are in force.
        evidence: texts with classes; those to which the labelling does not apply are left out.
        at: where to read, such as "resid.8".
        estimator: "logistic" (a regression), "lda" (by the classes' covariance) or "mean_difference".
        labelling: which one to learn; may be left out where there is only one.
        classes: (below 0, above 0); in alphabetic order where there are two, else to be given, and texts of others are
            left out.
        pool: the token or mean to read; by default the labelled token, or the mean over all but the first where the text
            is labelled as a whole.

    Returns: a Probe; `fitted` says estimator, evidence, number of texts and `train_accuracy`, balanced.
    Raises: ValueError where it is not clear what to learn, or all texts are of one class; for "logistic", ImportError
        naming the extra "probes".
    Source: Alain & Bengio 2016 (arXiv:1610.01644) for the idea.

    ```python
    feelings = Labelled("feelings", ("What a joy", "A fine day", "What a bore", "A sad day"), {"is": ("+", "+", "-", "-")})
    probe = clew.probe(model, feelings, by="linear", at="resid.8", classes=("-", "+"))
    ```
    """
    told = Told.of(model, evidence, at, labelling, classes, pool)
    return told.probe(fit(told.x, told.positive, by=estimator), estimator=estimator)
