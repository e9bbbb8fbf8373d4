"""Metrics: one number per example, read off a run. Higher = the behaviour is present.

A metric is any function `metric(trace, batch) -> Float[batch]`. One that reads more than the last logits says so by
`reading`: the sites a run must hold, how many positions of logits, or that it compares with the unedited model, whose logits
batches then carry. A `Probe` is a metric too. All of these compute in float32 or better, and are differentiable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.data.behaviours.pairs import Batch
from clew.models.trace import Trace
from clew.near import near
from clew.sites import Site

Metric = Callable[[Trace, Batch], Tensor]


@dataclass(frozen=True)
class Needs:
    """What a run must give a metric."""

    reads: tuple[Site, ...]
    """The sites it must hold."""
    logits: int
    """How many positions of logits, from the end."""
    reference: bool
    """Whether the batch must carry the unedited model's logits."""

    @property
    def last(self) -> int:
        """Of how many last positions a run that goes to its end keeps logits: one at least."""
        return max(1, self.logits)


def needs(metric: Metric) -> Needs:
    """What a metric says of itself: its attributes `reads`, `logits` and `reference`.

    Raises: ValueError for sites that are none, or a number of positions that is none.
    """
    reads, logits = getattr(metric, "reads", ()), getattr(metric, "logits", 1)
    if isinstance(reads, str):
        raise ValueError(f"the metric {name_of(metric)} reads {reads!r}; give a list of sites, ({reads!r},)")
    if isinstance(logits, bool) or not isinstance(logits, int) or logits < 0:
        raise ValueError(
            f"the metric {name_of(metric)} has logits={logits!r}; say of how many last positions, 0 for none"
        )
    return Needs(tuple(map(Site.parse, reads)), logits, bool(getattr(metric, "reference", False)))


def reading(*sites: Site | str, logits: int = 1, reference: bool = False) -> Callable[[Metric], Metric]:
    """Have a metric say what it reads of a run, beside the last logits.

    Args: sites: those that a run must hold. logits: of how many last positions, 0 for none. reference: it compares with
        the unedited model, and reads `batch.reference`.

    >>> @reading("resid.2", logits=0)
    ... def strength(trace, batch):
    ...     return trace["resid.2"][:, -1].norm(dim=-1)
    >>> found = clew.find(view, task.with_metric(strength), held_out=False)
    """

    def said(metric: Metric) -> Metric:
        own: Any = metric
        own.reads, own.logits, own.reference = tuple(map(Site.parse, sites)), logits, reference
        needs(metric)
        return metric

    return said


def measured(metric: Metric, trace: Trace, batch: Batch) -> Float[Tensor, " example"]:
    """The metric of each example of a run.

    A mean in place of a value for each would scale every effect, and a value that is no number would end up in no
    interval, so both are refused.
    Raises: ValueError for a run that kept fewer logits than the metric reads, another shape than [example], or values that
        are not finite.
    """
    wanted = min(needs(metric).logits, trace.tokens.shape[1])
    if trace.logits is not None and trace.logits.shape[1] < wanted:
        raise ValueError(
            f"the metric {name_of(metric)} reads the logits of the last {wanted} positions, and this run kept those of "
            f"{trace.logits.shape[1]}; run with logits={wanted}"
        )
    values = metric(trace, batch)
    if not isinstance(values, Tensor) or values.shape != (len(batch),):
        shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(
            f"the metric {name_of(metric)} must give one number for each of the {len(batch)} examples, [{len(batch)}]; it "
            f"gave {shape}"
        )
    if not bool(values.detach().isfinite().all()):
        bad = int((~values.detach().isfinite()).nonzero()[0])
        raise ValueError(
            f"the metric {name_of(metric)} is {float(values[bad].detach())} for example {bad} of a batch; check the prompt, "
            "or what was put into the run"
        )
    return values


def logit_difference(trace: Trace, batch: Batch) -> Float[Tensor, " batch"]:
    """logit(answer) - logit(patch answer); log-sum-exp over a set of several. In logits.

    For sets this is the log of the ratio of their probabilities.
    Raises: ValueError for pairs without patch answers.
    """
    logits = last_logits(trace)
    return _pool(logits, batch.answers) - _pool(logits, _patch_answers(batch, "logit_difference"))


def answer_logit(trace: Trace, batch: Batch) -> Float[Tensor, " batch"]:
    """logit(answer), log-sum-exp over a set; for pairs without a patch answer."""
    return _pool(last_logits(trace), batch.answers)


def log_probability(trace: Trace, batch: Batch) -> Float[Tensor, " batch"]:
    """log p(answer), in nats; of the whole set if there are several. Source: Marks et al. 2024, section 4."""
    return _pool(last_logits(trace).log_softmax(-1), batch.answers)


def probability_difference(trace: Trace, batch: Batch) -> Float[Tensor, " batch"]:
    """p(answers) - p(patch answers), in [-1, 1]. Source: Hanna et al. 2023 (arXiv:2305.00586).

    Raises: ValueError for pairs without patch answers.
    """
    logs = last_logits(trace).log_softmax(-1)
    return _pool(logs, batch.answers).exp() - _pool(logs, _patch_answers(batch, "probability_difference")).exp()


class _KLDivergence:
    """See `kl_divergence`."""

    __name__ = "kl_divergence"
    reference: ClassVar[bool] = True

    def __call__(self, trace: Trace, batch: Batch) -> Float[Tensor, " batch"]:
        if batch.reference is None:
            raise ValueError(
                "kl_divergence compares with the unedited model, but this batch holds no reference logits; take batches "
                "from behaviour.with_metric(kl_divergence).batches(model)"
            )
        before = _wide(batch.reference).log_softmax(-1)
        return -(before.exp() * (before - last_logits(trace).log_softmax(-1))).sum(-1)


kl_divergence = _KLDivergence()
"""-KL(unedited || run) of the next token, in nats: 0 where nothing changed, else below."""


def name_of(metric: Metric) -> str:
    """What to call a metric in provenance; a function without a name goes by a hash of its code."""
    named: Any = metric
    name = getattr(named, "__name__", None) or repr(metric)
    code = getattr(named, "__code__", None)
    return f"lambda-{hash_of(code.co_code, code.co_consts)}" if name == "<lambda>" and code else name


def hash_of(*parts: object) -> str:
    """A short hash of anything with a repr."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]


def last_logits(trace: Trace) -> Float[Tensor, "batch vocab"]:
    """Logits of the next token, or of what the model answers with, in float32 or better."""
    if trace.states is not None:
        raise ValueError(
            "this model has no head that gives logits; give a metric of its states, as @reading('final', logits=0) makes one"
        )
    if trace.logits is None:
        raise ValueError("this run stopped before the logits (logits=0); run with logits=1 to measure it")
    if trace.apart:
        raise ValueError(
            "this run kept the logits of all positions, and the model answers in the place of its mask; run with logits=1 to "
            "measure it"
        )
    return _wide(trace.logits[:, -1])


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _patch_answers(batch: Batch, name: str) -> Int[Tensor, "batch patch_answer"]:
    if batch.patch_answers is None:
        raise ValueError(
            f"{name} needs patch answers, and {batch.pairs[0].clean!r} has none; use answer_logit or log_probability"
        )
    return batch.patch_answers


def _pool(scores: Float[Tensor, "batch vocab"], ids: Int[Tensor, "batch answer"]) -> Float[Tensor, " batch"]:
    """log-sum-exp over each row's ids. With one id it is that id's score, bit for bit."""
    chosen = scores.gather(1, ids.clamp_min(0)).masked_fill(ids < 0, -torch.inf)
    return chosen.logsumexp(1)


METRICS: dict[str, Metric] = {
    "logit_difference": logit_difference,
    "answer_logit": answer_logit,
    "log_probability": log_probability,
    "probability_difference": probability_difference,
    "kl_divergence": kl_divergence,
}


def metric_named(name: str) -> Metric:
    """The metric of that name. Raises: ValueError listing the near ones."""
    wanted = name.replace("-", "_")
    if wanted not in METRICS:
        raise ValueError(f"{name!r} is no metric; {near(wanted, METRICS)}")
    return METRICS[wanted]
