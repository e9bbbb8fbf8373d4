"""A linear probe by gradient descent which, by BLIND, counts less what is easy for a shortcut."""

from __future__ import annotations

from clew.data.labels.labelled import Labelled
from clew.models import Model
from clew.probes._told import Told
from clew.probing import Pool, Probe
from clew.readings.probe import learn
from clew.sites import Site


def blind(
    model: Model,
    evidence: Labelled,
    *,
    at: Site | str,
    gamma: float = 2.0,
    labelling: str | None = None,
    classes: tuple[str, str] | None = None,
    pool: Pool | None = None,
    epochs: int = 1,
    lr: float = 1e-2,
    batch: int = 32,
    seed: int = 0,
) -> Probe:
    """A probe learnt by AdamW, with or without a detector of its own success.

    Args:
        model, evidence, at, labelling, classes, pool: as for `linear`.
        gamma: how much less counts what the detector expects to be judged right: (1 - p)^gamma; 0 for a plain probe.
        epochs, lr, batch, seed: of the descent.

    Returns: a Probe; `fitted` says these, the evidence, the number of texts and `train_accuracy`, balanced.
    Raises: ValueError as for `linear`.
    Source: at gamma 0 the probe of Marks et al. 2024 (arXiv:2403.19647), appendix on SHIFT: AdamW, 1e-2, one epoch;
        differs: states are centred and divided by one number first, and the first token is left out of the mean. Above
        0, Orgad & Belinkov 2023 (arXiv:2212.10563): see `clew.readings.probe.learn`.
    """
    told = Told.of(model, evidence, at, labelling, classes, pool)
    options = {"epochs": epochs, "lr": lr, "batch": batch, "gamma": gamma, "seed": seed}
    head = learn(told.x, told.positive, epochs=epochs, lr=lr, batch=batch, gamma=gamma, seed=seed)
    return told.probe(head, estimator="blind", **options)
