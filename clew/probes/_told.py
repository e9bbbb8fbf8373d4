"""What the estimators of probes share: the states of labelled texts, which of them are of the second class, the record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from clew.data.labels.labelled import Labelled
from clew.models import Model
from clew.probing import LAST, Pool, Probe
from clew.readings.probe import Head, pooled
from clew.sites import Site


@dataclass(frozen=True, eq=False)
class Told:
    """Texts of two classes, as one site of a model holds them."""

    x: Float[Tensor, "text d"]
    positive: Bool[np.ndarray, " text"]
    """Which are of the second class."""
    site: Site
    classes: tuple[str, str]
    pool: Pool
    about: dict[str, Any]
    """The model and the evidence, as plain JSON."""

    @classmethod
    def of(
        cls,
        model: Model,
        evidence: Labelled,
        at: Site | str,
        labelling: str | None,
        classes: tuple[str, str] | None,
        pool: Pool | None,
    ) -> Told:
        """Texts of other classes, or to which the labelling does not apply, are left out.

        Raises: ValueError where the labelling or the two classes are to be said, or a token that no pool reads.
        """
        if labelling is None and len(evidence.labels) > 1:
            raise ValueError(
                f"{evidence.name} has the labellings {', '.join(evidence.labels)}; say which by labelling="
            )
        labelling = labelling or next(iter(evidence.labels))
        labels, known = evidence[labelling], evidence.classes(labelling)
        below, above = classes or (known if len(known) == 2 else ("", ""))
        if not {below, above} <= set(known) or below == above:
            raise ValueError(
                f"a probe tells two classes apart, and {evidence.name} has {', '.join(known)}; "
                f"say which two by classes=(below 0, above 0), not {classes}"
            )
        index = [i for i, label in enumerate(labels) if label in (below, above)]
        pool, site = pool or _pool(evidence), model.body.site(at)
        x = pooled(model, [evidence.texts[i] for i in index], site, pool)
        told = {"labelling": labelling, "examples": len(index), "model": model.name}
        about = {"evidence": evidence.name, "evidence_hash": evidence.hash, **told}
        return cls(x, np.array([labels[i] == above for i in index]), site, (below, above), pool, about)

    def probe(self, head: Head, **fitted: Any) -> Probe:
        """The probe of a head learnt from them, with how many of them it judges right, the classes weighed equally."""
        weight, bias = head
        probe = Probe(self.site, weight, bias, classes=self.classes, pool=self.pool)
        right = (probe(self.x) > 0).numpy() == self.positive
        accuracy = float(right[self.positive].mean() + right[~self.positive].mean()) / 2
        return replace(probe, fitted={**fitted, **self.about, "train_accuracy": accuracy})


def _pool(evidence: Labelled) -> Pool:
    """The labelled token, or for a text as a whole the mean over its tokens but the first."""
    if evidence.position not in (None, -1):
        raise ValueError(
            f"{evidence.name} labels token {evidence.position} of each text, and a probe reads the last or the mean; cut "
            "the texts after that token, or give pool="
        )
    return Pool("mean", skip=1) if evidence.position is None else LAST
