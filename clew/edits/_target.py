"""What a place in the model should hold so that a fact comes out changed: the optimisation that ROME and MEMIT share.

A vector δ is added at one site, at the last token of the subject, in the fact's prompt and after each of some prefixes,
and learnt by gradient so that the model goes on with the target. Only the blocks above the site run again in a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clew.changes import Add
from clew.data.facts.facts import Fact
from clew.edits._asked import TOKENS, Question, asked_after, at_subjects, neutral, padded
from clew.models import Model, Trace
from clew.models.likelihood import meeting
from clew.progress import Tell
from clew.sites import Site
from clew.values import Value


@dataclass(frozen=True)
class Descent(Value):
    """The search for a vector by gradient: how long, how far, and what holds it back."""

    steps: int
    """At most."""
    lr: float
    """Of Adam."""
    clamp: float
    """How long the vector may become, as a share of what stands there before."""
    kl_weight: float
    """Of what must not change meanwhile: the divergence from what the model said before."""
    weight_decay: float
    """Of the vector's squared length, as a share of that of what stands there before."""
    enough: float = 0.05
    """It ends when the target's loss is below this, in nats a token."""

    def __post_init__(self) -> None:
        if self.steps < 0 or self.lr <= 0 or self.clamp <= 0:
            raise ValueError(
                f"steps={self.steps}, lr={self.lr}, clamp={self.clamp}: the search for δ needs each above 0"
            )


@dataclass(frozen=True, eq=False)
class Target:
    """What was found for one fact."""

    before: Float[Tensor, " d"]
    """What the site holds at the subject's last token of the bare prompt."""
    delta: Float[Tensor, " d"]
    nll: float
    """Of the target per token with δ added, mean over the prompts, in nats."""
    steps: int

    @property
    def wanted(self) -> Float[Tensor, " d"]:
        return self.before + self.delta


def learn_targets(
    model: Model,
    facts: Sequence[Fact],
    site: Site,
    before: Sequence[str],
    descent: Descent,
    *,
    as_published: bool = False,
    progress: Tell | None = None,
) -> list[Target]:
    """δ for each fact, by Adam from 0.

    The loss of a fact is the mean over prompts of the target's NLL per token, plus `kl_weight` KL(now ‖ before) of the
    next token at the subject of "{subject} is a", plus `weight_decay` |δ|² / |v|², with v what the site holds before.
    After each step δ is brought back to |δ| <= clamp |v|. A fact is done when its NLL is below `enough`.

    Args: as_published: weight decay as |δ| / |v|², and `enough` of the whole loss, as in the authors' code.
    Raises: ValueError where nothing could move.
    Source: Meng et al. 2022, ROME, arXiv:2202.05262, eq. 4.
    """
    if descent.steps < 1:
        raise ValueError(f"steps={descent.steps}: the search for δ needs it above 0")
    made: list[Target] = []
    for some in _fact_chunks(model, facts, before):
        batch = _Learning(model, some, site, before, descent, as_published)
        made += batch.learn()
        if progress:
            progress(len(made), len(facts))
    return made


def nothing_to_write(model: Model, facts: Sequence[Fact], targets: Sequence[Target]) -> ValueError:
    """What to raise where no δ is sought, for each target is likely as it is."""
    said = [f"{f.asked!r} {f.target!r} ({t.nll:.2g} nats a token)" for f, t in zip(facts, targets, strict=True)]
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    return ValueError(
        f"{model.name} already says what it is to say, so there is nothing to write: {', '.join(said[:3])}{more}; give "
        "facts with other targets (facts.known(model) keeps those whose old answer it still says)"
    )


class _Learning:
    """Some facts whose δ are learnt together: each on its own, but in one run."""

    def __init__(
        self,
        model: Model,
        facts: Sequence[tuple[Fact, list[Question]]],
        site: Site,
        before: Sequence[str],
        descent: Descent,
        as_published: bool,
    ) -> None:
        self.model, self.site, self.facts = model, site, facts
        self.descent, self.as_published = descent, as_published
        self.v = at_subjects(model, [rows[0] for _, rows in facts], site)[site]
        self.dtype = torch.promote_types(model.body.dtype, torch.float32)
        self.deltas = [torch.zeros(self.v.shape[1], dtype=self.dtype, requires_grad=True) for _ in facts]

    def learn(self) -> list[Target]:
        steps = self.descent.steps
        optimiser = torch.optim.Adam(self.deltas, lr=self.descent.lr)
        sizes = self.v.norm(dim=-1)
        left = list(range(len(self.facts)))
        posed, found = _Posed(self, left), dict[int, Target]()
        for step in range(steps + 1):
            nll, loss = posed.losses()
            value = loss if self.as_published else nll
            done = [
                i for i, v in zip(posed.facts, value.tolist(), strict=True) if v < self.descent.enough or step == steps
            ]
            for i, v in zip(posed.facts, nll.tolist(), strict=True):
                if i in done and i in left:
                    found[i] = Target(self.v[i], self.deltas[i].detach().double().cpu().clone(), v, step)
            left = [i for i in left if i not in done]
            if not left:
                break
            optimiser.zero_grad(set_to_none=True)  # without a gradient, Adam leaves those that are done alone
            loss[[i in left for i in posed.facts]].sum().backward()
            for i in found:
                self.deltas[i].grad = None
            optimiser.step()
            with torch.no_grad():
                for i in left:
                    longest = self.descent.clamp * float(sizes[i])
                    self.deltas[i] *= min(1.0, longest / max(float(self.deltas[i].norm()), 1e-30))
            if len(left) <= len(posed.facts) / 2:
                posed = _Posed(self, left)
        return [found[i] for i in range(len(self.facts))]


class _Posed:
    """The prompts of the facts that are still being learnt, run once as far as the site."""

    def __init__(self, of: _Learning, facts: Sequence[int]) -> None:
        self.of, self.facts = of, list(facts)
        self.rows = [row for i in facts for row in of.facts[i][1]]
        self.owner = torch.tensor([k for k, i in enumerate(facts) for _ in of.facts[i][1]])
        self.labels = _labels(self.rows, of.model.device)
        self.prompts = _Descending(of, self.rows, self.owner, self.labels.shape[1])
        alone = [neutral(of.model, of.facts[i][0]) for i in facts]
        self.neutral = _Descending(of, alone, torch.arange(len(facts)), 1) if of.descent.kl_weight else None

    def losses(self) -> tuple[Float[Tensor, " fact"], Float[Tensor, " fact"]]:
        """(NLL of the target, whole loss) of each fact."""
        deltas = torch.stack([self.of.deltas[i] for i in self.facts]).to(self.of.model.device)
        log_p = self.prompts.log_p(deltas)
        wanted = self.labels >= 0
        picked = log_p.gather(-1, self.labels.clamp(min=0)[..., None])[..., 0] * wanted
        each = -picked.sum(-1) / wanted.sum(-1)
        nll = each.view(len(self.facts), -1).mean(-1)  # all facts have as many prompts
        size = self.of.v[self.facts].norm(dim=-1).to(deltas)
        if self.of.as_published:
            decay = deltas.square().sum(-1).add(1e-30).sqrt() / size**2
        else:
            decay = deltas.square().sum(-1) / size**2
        loss = nll + self.of.descent.weight_decay * decay
        if self.neutral:
            now = self.neutral.log_p(deltas)[:, -1]
            loss = loss + self.of.descent.kl_weight * (now.exp() * (now - self.neutral.before[:, -1])).sum(-1)
        return nll, loss


class _Descending:
    """Rows that run again and again with other δ at their subjects."""

    def __init__(self, of: _Learning, rows: Sequence[Question], owner: Int[Tensor, " row"], keep: int) -> None:
        self.of, self.keep = of, keep
        self.tokens, self.real, self.at = padded(of.model, rows)
        self.owner = owner.to(self.tokens.device)
        self.model = meeting(of.model, self.tokens, self.real)
        resumes = of.model.body.resumes
        with torch.no_grad():
            clean = self.model.run(self.tokens, real=self.real, logits=keep, record=resumes)
        self.base: Trace | None = clean if resumes else None
        self.before = self._log_p(clean)

    def log_p(self, deltas: Float[Tensor, "fact d"]) -> Float[Tensor, "row keep vocab"]:
        """log p of every next token at the last positions, with δ added; differentiable."""
        vector = self.at[..., None] * deltas[self.owner][:, None]
        edit = Add(self.of.site, vector=vector)
        run = self.model.run(self.tokens, real=self.real, edits=[edit], grad=True, logits=self.keep, base=self.base)
        return self._log_p(run)

    def _log_p(self, run: Trace) -> Float[Tensor, "row keep vocab"]:
        assert run.logits is not None
        return run.logits.to(self.of.dtype).log_softmax(-1)


def _labels(rows: Sequence[Question], device: torch.device) -> Int[Tensor, "row keep"]:
    """The answers on the right, -1 before them."""
    longest = max(len(row.answer) for row in rows)
    return torch.tensor([[*[-1] * (longest - len(row.answer)), *row.answer] for row in rows], device=device)


def _fact_chunks(model: Model, facts: Sequence[Fact], before: Sequence[str]) -> list[list[tuple[Fact, list[Question]]]]:
    """Facts in order, with their prompts, as many together as TOKENS allow (but one)."""
    made: list[list[tuple[Fact, list[Question]]]] = []
    room = 0
    for fact in facts:
        rows = asked_after(model, fact, before)
        cost = max(len(row.ids) for row in rows) * len(rows)
        if made and cost <= room:
            made[-1].append((fact, rows))
            room -= cost
        else:
            made.append([(fact, rows)])
            room = TOKENS - cost
    return made
