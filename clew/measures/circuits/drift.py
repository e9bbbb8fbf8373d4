"""Drift: how far a quantised, tuned or edited child is from its parent, site by site, in its logits, and in one circuit.

How far what flows is off is told at every site, as a whole and as what each block adds to it; what that does to the
predictions, to the behaviour, to the parent's circuit in the child and to the scores of its search, beside it. `change`
asks of the last whether it is more than chance, and of which nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.evidence import half
from clew.measures.circuits._child import check_name, check_tokens, faithful, judged_in, metrics, overlaps, same_view
from clew.measures.circuits._overlap import alike
from clew.measures.circuits._rerun import Rerun
from clew.measures.circuits._trial import Trial
from clew.measures.circuits._trials import trial_of
from clew.models import Model
from clew.models.layout import KINDS
from clew.readings.ablation import Ablation
from clew.readings.drift import Drift
from clew.readings.drift import drift as read_drift
from clew.report import Report, Row
from clew.sites import Site


def drift(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    child: Model,
    of: str = "child",
    parts: Sequence[str] = (*KINDS, "resid", "final"),
    search: str | Callable[..., Circuit] | None = None,
    sizes: Sequence[int] = (10, 30, 100),
    ablation: Ablation | str = Ablation(),
    held_out: bool = True,
    seed: int = 0,
) -> Report:
    """Compare a child with its parent in what flows, in the logits, and in a circuit of the parent.

    Args:
        child, of, search, sizes: as for `change`. For several children add up the reports.
        parts: whose sites are compared, in every layer.
        ablation, held_out, seed: as for `faithfulness`. Searched on the training half, all else on the other.

    Returns: a Report; intervals over prompts.
    - drift, of a site: |x' - x| / |x| at each token, averaged over tokens, x what flows in the parent, x' in the child. Of a
      part: the mean over its layers.
    - own drift, of a part and its sites: the same where each block of the child is given the parent's stream, so that it is
      what the block itself adds; what comes before it in the block is the child's.
    - KL, top-1 agreement: of the next token, parent to child, in nats; over all tokens of the prompts, and at the answer.
    - metric, metric change, overlap, correlation, faithfulness: as in `change`; of the circuit that is given.
    Costs: 2 searches, and 9 forwards.
    Raises: ValueError for a child of another vocabulary, or without a site of the view.
    """
    check_name(of)
    circuit.kind.check_ablatable()
    notes: list[str] = []
    parent, child = same_view(model, child, notes)
    on, judged = half(behaviour, "train", held_out), half(behaviour, "test", held_out)
    check_tokens(parent, child, judged)
    circuit = judged_in(parent, circuit)
    before, after = (trial_of(one, judged, circuit, ablation=ablation, seed=seed) for one in (parent, child))
    trials = {"parent": before, of: after}
    found = read_drift(parent, child, judged, parts)
    again = Rerun.of(circuit, search)
    whole = alike([again(parent, on), again(child, on)], circuit)
    rows = [
        *_flows(found, before, of),
        *metrics(before, after, of),
        *overlaps(whole, sizes, of),
        *faithful(trials, [("circuit given", circuit)]),
    ]
    notes += [] if found.own else [f"{of} cannot be edited at every block, so what each block adds is not told"]
    notes += [f"{name}: {note}" for name, trial in trials.items() for note in trial.notes]
    title = f"{behaviour.name}: drift from {model.name} to {of}"
    return Report(title, tuple(rows), tuple(notes), {"prompts": behaviour.provenance})


def _flows(found: Drift, trial: Trial, of: str) -> Iterator[Row]:
    """What flows and what comes out: logits first, then parts, then sites."""

    def row(measure: str, values: np.ndarray, what: str) -> Row:
        ends = trial.interval(lambda i: float(values[i].mean()))
        return Row(measure, float(values.mean()), *ends, f"{of} {what}", None, trial.prompts)

    for measure, table in (("KL", found.kl), ("top-1 agreement", found.agree)):
        for what, values in zip(("all tokens", "answer"), table, strict=True):
            yield row(measure, values, what)
    for measure, sites in (("drift", found.sites), ("own drift", found.own)):
        for part, values in _by_part(sites).items():
            yield row(measure, values, part)
    for measure, sites in (("drift", found.sites), ("own drift", found.own)):
        for site, values in sites.items():
            if site.layer is not None:
                yield row(measure, values, str(site))


def _by_part(sites: Mapping[Site, np.ndarray]) -> dict[str, np.ndarray]:
    """The mean over the layers of each part of each stack."""
    found: dict[str, list[np.ndarray]] = {}
    for site, values in sites.items():
        found.setdefault(f"{site.stack}.{site.part}".lstrip("."), []).append(values)
    return {part: np.mean(values, axis=0) for part, values in found.items()}
