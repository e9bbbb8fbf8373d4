"""Unlearning depth: the output forgot; did the layers?

In each layer a linear probe learns, from the edited model's own states, to tell the answer that shall be forgotten; it is
judged on examples it has not seen. An answer that no layer tells is gone, one that a layer tells and the output does not
is hidden. The idea is that of Orgad et al. 2022, "How Gender Debiasing Affects Internal Model Representations, and Why It
Matters" (arXiv:2204.06827), who retrain the head of a debiased model; the definition is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clew.data.facts.secrets import Secrets
from clew.data.labels.classified import Classified
from clew.data.labels.labelled import Labelled
from clew.models import Model
from clew.readings.states import states
from clew.report import Report, Row, bootstrap
from clew.sites import Site
from clew.stack import Stack


def unlearning_depth(
    model: Model,
    evidence: Labelled | Secrets,
    stack: Stack,
    *,
    labelling: str | None = None,
    layers: Sequence[int] | None = None,
    fraction: float = 0.5,
    ridge: float = 1.0,
    skip: int = 1,
    seed: int = 0,
) -> Report:
    """Accuracy of linear probes of the stream after each layer, before and after an edit.

    Args:
        evidence: texts with classes; or secrets, whose next token the probe tells from the state before it. Only tokens
            that stand in secrets on both sides of the split can be told (the digits of numbers, say), and none that what
            comes before it gives away.
        labelling: which classes of Labelled; its first by default.
        fraction: share of the texts, or of the secrets, that the probes learn from.
        ridge: penalty of the probes, least squares to one-hot classes, relative to the mean square norm of a state.
        skip: leave the first tokens out of a text's mean, where not one token of it is labelled.

    Returns: a Report. Accuracy at "resid.L" of "before", "after" and "shuffled" (the edited model's states, labels
        shuffled to learn from: the floor), and "output" of "before" and "after", the class whose token has the highest
        logit. "recovered": (best layer after - floor) / (best layer before - floor), with the mean floor: 1 when a probe
        gets out of the edited model what it got out of the unedited one, 0 when nothing. Intervals over texts or secrets.
    Raises: ValueError for fewer than two classes on both sides, or an unknown labelling.
    """
    asked = evidence.classified(model.tokenizer, labelling)
    learns = np.isin(asked.group, evidence.learning(fraction, seed))
    keep = np.isin(asked.label, np.intersect1d(asked.label[learns], asked.label[~learns]))
    asked, learns = asked.pick(keep), learns[keep]
    if len(set(asked.label.tolist())) < 2:
        raise ValueError(
            f"{evidence.name} has fewer than two classes that occur both among what probes learn from and among "
            "what they are judged on; give more of it, or answers that share tokens (numbers do)"
        )
    chosen = range(model.n_layers) if layers is None else sorted(set(layers))
    sites = [Site("resid", layer) for layer in chosen]
    group = np.unique(asked.group[~learns], return_inverse=True)[1]
    right: dict[tuple[str, str], Bool[np.ndarray, " example"]] = {}
    shuffled = asked.label[learns][np.random.default_rng(seed).permutation(int(learns.sum()))]
    for of, now in (("before", model), ("after", model.edited(stack))):
        held = states(now, asked.texts, sites, at=asked.at, skip=skip)
        for site in sites:
            tell = partial(told, held[site][torch.tensor(learns)], asked=held[site][torch.tensor(~learns)], ridge=ridge)
            right[str(site), of] = tell(asked.label[learns]) == asked.label[~learns]
            if of == "after":
                right[str(site), "shuffled"] = tell(shuffled) == asked.label[~learns]
        if asked.answers is not None:
            right["output", of] = (_said(now, asked) == asked.label)[~learns]
    order = sorted(right, key=lambda key: [*map(str, sites), "output"].index(key[0]))
    rows = [_row(name, of, right[name, of], group, seed) for name, of in order]
    rows.append(_recovered(right, [str(s) for s in sites], group, seed))
    notes = (
        f"{len(set(asked.label.tolist()))} classes, {int(learns.sum())} examples to learn from, {len(group)} to judge on; "
        f"intervals over {asked.of}",
    )
    return Report(f"unlearning depth of {stack.name or 'an edit'} in {model.name}", tuple(rows), notes)


def told(
    x: Float[Tensor, "example d"], label: Int[np.ndarray, " example"], *, asked: Float[Tensor, "other d"], ridge: float
) -> Int[np.ndarray, " other"]:
    """The classes that a ridge regression from x to one-hot labels gives to other states; exact, in float64.

    Solved among examples, which are fewer than coordinates: W = Xᵀ (X Xᵀ + ridge · mean |x|² I)⁻¹ Y, x and Y centred.
    """
    centre = x.double().mean(0)
    x, asked = x.double() - centre, asked.double() - centre
    classes, index = np.unique(label, return_inverse=True)
    wanted = torch.nn.functional.one_hot(torch.from_numpy(index), len(classes)).double()
    kernel = x @ x.T
    penalty = ridge * float(kernel.diagonal().mean()) or 1.0
    weight = torch.linalg.solve(kernel + penalty * torch.eye(len(x), dtype=x.dtype), wanted - wanted.mean(0))
    return classes[(asked @ x.T @ weight + wanted.mean(0)).argmax(1).numpy()]


def _said(model: Model, asked: Classified) -> Int[np.ndarray, " example"]:
    """The class whose token has the highest logit after each text."""
    assert asked.answers is not None
    (final,) = states(model, asked.texts, ["final"]).values()
    linear = model.body.linear("unembed")
    rows = linear.matrix()[asked.answers.to(model.device)].cpu().to(final)
    bias = 0 if linear.bias is None else linear.bias[asked.answers.to(model.device)].cpu().to(final)
    return (final @ rows.T + bias).argmax(1).numpy()


def _share(hits: np.ndarray, group: np.ndarray, groups: np.ndarray) -> float:
    """The share of hits among the examples of these groups, which may be named several times."""
    times = np.bincount(groups, minlength=int(group.max()) + 1)[group]
    return float(hits @ times / times.sum())


def _row(name: str, of: str, hits: np.ndarray, group: np.ndarray, seed: int) -> Row:
    n = int(group.max()) + 1
    low, high = bootstrap(lambda i: _share(hits, group, i), n, seed=seed)
    return Row(name, float(hits.mean()), low, high, of, None, n)


def _recovered(right: dict[tuple[str, str], np.ndarray], sites: Sequence[str], group: np.ndarray, seed: int) -> Row:
    def share(index: np.ndarray) -> float:
        shares = {of: [_share(right[s, of], group, index) for s in sites] for of in ("before", "after", "shuffled")}
        floor = float(np.mean(shares["shuffled"]))
        could = max(shares["before"]) - floor
        return (max(shares["after"]) - floor) / could if could > 0 else float("nan")

    n = int(group.max()) + 1
    return Row("recovered", share(np.arange(n)), *bootstrap(share, n, seed=seed), of="after", examples=n)
