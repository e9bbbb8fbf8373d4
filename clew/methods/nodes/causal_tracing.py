"""Causal tracing: in which layers a model recalls a fact.

Source: Meng et al. 2022, arXiv:2202.05262, section 2; see `clew.readings.tracing` for what is run and how it differs.
"""

from __future__ import annotations

import numpy as np

from clew.circuits.circuit import ANYWHERE, Circuit
from clew.circuits.kind import Kind
from clew.data.facts.facts import Facts
from clew.models import Model
from clew.progress import Tell
from clew.readings.tracing import PARTS, PLACES, trace_facts
from clew.sites import Site


def causal_tracing(
    model: Model,
    facts: Facts,
    *,
    window: int | None = None,
    noise: float = 3.0,
    samples: int = 10,
    seed: int = 0,
    progress: Tell | None = None,
) -> Circuit:
    """How much of a fact's answer comes back when one state at the subject's last token is restored, layer by layer.

    Args:
        facts: with an `old` answer that the model gives; see `Facts.known`.
        window: how many layers' MLPs are restored together; a fifth of all by default.
        noise: on the subject's embeddings, in their standard deviations.
        samples: of the noise for each fact.
        seed: of the noise.
        progress: told (facts done, facts).

    Returns: a Circuit of a node `mlp.L` (the window of MLPs around L) and a node `resid.L` for every layer, each one unit.
        Score: the mean indirect effect at the subject's last token, in probability of the answer, with its standard error
        over facts. `details["tracing"]` has the effects at the prompt's last token too, by part and layer, and the
        probability of the answer in the clean and the corrupted run. In it, "layers" ranks the layers to edit.
    Raises: ValueError for a fact without an old answer, or options that are no numbers above 0.

    >>> circuit = clew.find(model, facts.first(3), by="causal_tracing")
    >>> circuit.details["tracing"]["layers"][0]  # of this model, the MLP of layer 1 knows the capitals
    1
    """
    found = trace_facts(model, facts, window=window, noise=noise, samples=samples, seed=seed, progress=progress)
    sites = sorted(Site(part, layer) for part in PARTS for layer in range(model.n_layers))
    effect = np.stack([found.effect[:, PARTS.index(s.part), :, s.layer].numpy() for s in sites])  # [node fact place]
    mean, nodes = effect.mean(1), len(sites)
    error = effect[..., 0].std(1, ddof=1) / len(facts) ** 0.5 if len(facts) > 1 else np.full(nodes, np.nan)
    by_place = {
        place: {
            part: [round(float(m[p]), 6) for s, m in zip(sites, mean, strict=True) if s.part == part] for part in PARTS
        }
        for p, place in enumerate(PLACES)
    }
    told = {
        "effects": by_place,
        "clean": found.clean.tolist(),
        "corrupted": found.corrupted.tolist(),
        "window": found.window,
        "sigma": found.sigma,
        "layers": found.ranked(model.n_layers),
    }
    return Circuit(
        tuple(sites),
        dict.fromkeys(sites, 1),
        np.arange(nodes),
        np.zeros(nodes, np.int64),
        np.full(nodes, ANYWHERE),
        mean[:, 0].astype(np.float64),
        np.full(nodes, np.nan),
        score_error=error.astype(np.float64),
        kind=Kind(in_metric_units=False),
        details={"tracing": told, "metric": "probability of the answer"},
    )
