"""Differentiable faithfulness alignment: a circuit of one model carried to another by a learned matrix.

Source: DFA, a fork of EAP-IG published in June 2026. The scores s of all nodes of a source model and a matrix W give
the target's scores s W; m = sigmoid(s W / temperature) is a mask over the target's heads and MLPs, and W is fitted so
that the masked target predicts what the target itself predicts, with a small mask. Nodes only.

What to know before believing it. With one behaviour, s is a constant: s W is then any vector at all, and W a rank-one
way to write a learned mask, to which the source adds nothing. Dealing the source scores anew among its nodes is
the same as dealing the rows of W anew before the fit, so a scrambled source must do as well in distribution
(test_faithfulness_alignment.py). The source has a say only where W is fitted on some behaviours (`on`) and applied to
another; there compare with `scrambled(circuit)`, and with the source circuits of the fitted behaviours themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clew.circuits.circuit import ERROR, Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.dictionaries import Partition
from clew.methods._masked import MaskedNodes
from clew.methods._masks import loop
from clew.methods._nodes import circuit_of
from clew.models import Model
from clew.progress import Tell
from clew.readings.contrast import batch_tokens, read_sites, state
from clew.sites import Site

INITIAL = 0.02
"""Standard deviation of the entries of W before the fit."""


def faithfulness_alignment(
    model: Model,
    behaviour: Behaviour,
    circuit: Circuit,
    *,
    on: Sequence[tuple[Behaviour, Circuit]] | None = None,
    epochs: int = 3,
    lr: float = 0.1,
    penalty: float = 0.1,
    temperature: float = 1.0,
    tokens: int = 64,
    progress: Tell | None = None,
    seed: int = 0,
) -> Circuit:
    """Scores of the target's heads and MLPs, s W, for the scores s of a circuit found in a source model.

    Args:
        model: the target, plain (then seen in components) or seen in components.
        behaviour: posed for the target, with patch prompts; W is fitted on it unless `on` is given.
        circuit: all scored heads, MLPs and the embedding of the source model for this behaviour.
        on: behaviours, posed for the target, with the source model's circuits for them: W is fitted on these, and
            `behaviour` is met for the first time ("zero-shot"). None fits on (behaviour, circuit).
        epochs, lr: passes over the prompts (0: W stays random, a control), and the learning rate of Adam. The published
            s is raw; ours is divided by the sum of |s|, so a step moves s W by about `lr` whatever the scores' unit.
        penalty: weight of the mean of the mask beside the divergence, in nats.
        temperature: of the sigmoid.
        tokens: prompt tokens in a step; the published four pairs have about as many.
        progress: called with the step, the steps and the loss.

    Returns: a Circuit of the target's heads and MLPs; a score is the logit of its mask (times `temperature`), positive
        where the node is needed.
    Costs: two forwards of the prompts, and in each epoch a forward and a backward.
    Differs: the clean prompt runs and a node outside the mask moves to its patch value, m x + (1 - m) patch, with x as
        the masked nodes below leave it, as measures ablate; published is a run of the patch prompt with
        m clean + (1 - m) patch in every node's place. The divergence KL(whole || masked) is taken where the answer is
        read; published, over all positions, padding included. The embedding is not masked.
    Raises: ValueError for a behaviour without patch prompts, or circuits or a view not of components.
    """
    view, source = in_heads_and_mlps(model), source_scores(circuit)
    lessons = []
    for task, found in [(behaviour, circuit)] if on is None else on:
        if found.units != circuit.units:
            raise ValueError(
                f"the source circuits must be of one model; for {behaviour.name} it has {sum(circuit.units.values())} "
                f"nodes at {len(circuit.sites)} sites, and for {task.name} {sum(found.units.values())}"
            )
        lessons += [_lesson(view, task, source_scores(found), tokens, seed)] if epochs else []
    random = torch.Generator().manual_seed(seed)
    n_targets = sum(dictionary.n_units for dictionary in view.dictionaries.values())
    weight = INITIAL * torch.randn(len(source), n_targets, dtype=torch.float64, generator=random)
    settings = {"lr": lr, "penalty": penalty, "temperature": temperature, "progress": progress, "seed": seed}
    fit(lessons, weight, epochs, stopped=lambda: carried(view, behaviour, source @ weight), **settings)
    return carried(view, behaviour, source @ weight).scored_on(circuit, model.body.fingerprint)


def scrambled(circuit: Circuit, *, seed: int = 0) -> Circuit:
    """The control: the same scores, dealt anew among the same nodes."""
    dealt = replace(circuit, score=np.random.default_rng(seed).permutation(circuit.score))
    return dealt.with_kind(in_metric_units=False)


def source_scores(circuit: Circuit) -> Float[Tensor, " source"]:
    """The score of every node of the source model, in forward order, summed over positions; their |sum| is 1.

    Raises: ValueError for nodes that are no components, or that have no score.
    """
    if not {site.part for site in circuit.sites} <= {"embed", "head", "mlp"} or (circuit.unit == ERROR).any():
        raise ValueError(
            f"{circuit!r} has units other than heads, MLPs and the embedding; find it in source.components()"
        )
    start = np.cumsum([0, *(circuit.units[site] for site in circuit.sites)])
    total = np.zeros(start[-1])
    np.add.at(total, start[circuit.site] + circuit.unit, circuit.score)
    if not np.isfinite(total).all() or not total.any():
        raise ValueError(f"{circuit!r} has no scores other than 0, or some that are not numbers: nothing to carry over")
    return torch.from_numpy(total / np.abs(total).sum())


def in_heads_and_mlps(model: Model) -> Model:
    """The target seen in what is masked. Raises: ValueError for a model seen in something else than components."""
    parts = model.components() if model.view is None else model
    masked = [d for site, d in parts.dictionaries.items() if site.part in ("head", "mlp")]
    if not masked or not all(isinstance(d, Partition) for d in parts.dictionaries.values()):
        raise ValueError(f"{model!r}: a mask over heads and MLPs needs the plain model, or model.components()")
    return model.through(*masked)


@dataclass(frozen=True)
class Lesson:
    """A behaviour posed for the target, beside what the source model's circuit for it says."""

    masked: MaskedNodes
    here: Bool[Tensor, " target"]
    """Which of the target's nodes differ between clean and patch prompt; masks of others do nothing."""
    source: Float[Tensor, " source"]


def _lesson(view: Model, task: Behaviour, source: Float[Tensor, " source"], tokens: int, seed: int) -> Lesson:
    if task.baseline != "patch":
        raise ValueError(
            f"{task.name} has no patch prompts, to whose values masked nodes move; give pairs with a patch"
        )
    masked = MaskedNodes(
        view, task, objective="kl_divergence", baseline="patch", positions=False, tokens=tokens, seed=seed
    )
    return Lesson(masked, torch.cat([table[0, :-1].cpu() for table in masked.nodes.values()]), source)


def fit(
    lessons: Sequence[Lesson],
    weight: Float[Tensor, "source target"],
    epochs: int,
    *,
    lr: float,
    penalty: float,
    temperature: float,
    seed: int,
    stopped: Callable[[], Circuit],
    progress: Tell | None = None,
) -> None:
    """Move `weight`, in place, by Adam on KL(whole || masked) + penalty * mean(mask); lessons in a seeded order."""
    adam = torch.optim.Adam([weight], lr=lr)
    turns = [lesson for lesson in lessons for _ in range(lesson.masked.batches)]
    random = torch.Generator().manual_seed(seed)
    order: list[int] = []

    def step(i: int) -> dict[str, float]:
        order[:] = order or torch.randperm(len(turns), generator=random).tolist()
        lesson = turns[order.pop()]
        free = weight.detach().requires_grad_()
        mask = torch.sigmoid(lesson.source @ free / temperature)
        loss = lesson.masked.loss(mask[lesson.here].to(lesson.masked.like)[None]).sum() + penalty * mask.mean()
        (weight.grad,) = torch.autograd.grad(loss, [free])
        adam.step()
        return {"loss": float(loss.detach()), "mask": float(mask.detach().mean())}

    loop(epochs * len(turns), step, stopped, progress)


def carried(view: Model, behaviour: Behaviour, score: Float[Tensor, " target"]) -> Circuit:
    """A circuit of the target's heads and MLPs with these scores, in forward order."""
    sites = view.dictionaries
    parts = score.split([dictionary.n_units for dictionary in sites.values()])
    table = {site: torch.cat([part, part.new_zeros(1)])[None] for site, part in zip(sites, parts, strict=True)}
    mean = _mean_codes(view, behaviour)
    return circuit_of(view, table, mean, positions=False).with_kind(in_metric_units=False)


def _mean_codes(view: Model, behaviour: Behaviour) -> dict[Site, Float[Tensor, "1 unit"]]:
    """What every unit holds on the patch prompts (clean ones where there are none), over all their tokens."""
    total, tokens = dict[Site, Tensor](), 0
    for batch in behaviour.batches(view, tokens=batch_tokens(view)):
        other = batch.clean if batch.patch is None else batch.patch
        trace, tokens = view.run(other, read=read_sites(view), logits=0), tokens + other.numel()
        for site, dictionary in view.dictionaries.items():
            code = dictionary.fold(state(trace, site).code).sum((0, 1))[None]
            total[site] = total[site] + code if site in total else code
    return {site: code / tokens for site, code in total.items()}
