"""Linear relations: how far a model's answer about a subject is one affine map of what it holds of the subject.

For facts of one relation ("The capital of {} is"), s is the stream at the subject's last token in a middle layer, and z
what the last layer holds where the answer is due. Around n examples z(s) is replaced by its tangent:

    W = mean J_i,   b = mean (z_i − J_i s_i),   J_i = ∂z/∂s of example i,   z ≈ β W s + b

Source: Hernandez et al. 2024, "Linearity of relation decoding", arXiv:2308.09124. Differs: W may be known by its first
few singular vectors alone, found by Jacobian-vector products both ways (a randomised range finder, Halko et al. 2011,
with one power iteration), so that no Jacobian is ever laid out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from clew.changes import Add
from clew.data.facts.facts import Fact, Facts, answer_ids, subject_last
from clew.data.text.spaces import space_between
from clew.models import Model
from clew.models.trace import Trace
from clew.readings._tail import Tail
from clew.readings.readout import Readout
from clew.sites import Site, Where

TOKENS = 4096
"""How many run at once."""
SPARE = 8
"""Directions beyond the rank with which its range is found."""


@dataclass(frozen=True, eq=False)
class Relation:
    """z ≈ beta W s + bias, with W = Σ size_i u_i v_iᵀ. Made by `fit`."""

    u: Float[Tensor, "d_model rank"]
    size: Float[Tensor, " rank"]
    v: Float[Tensor, "d_model rank"]
    bias: Float[Tensor, " d_model"]
    beta: float
    at: Site
    """Where s is read."""
    to: Site
    """Where z is read."""
    before: str
    """What stands before a prompt, when examples are shown first."""

    def __call__(self, s: Float[Tensor, "*place d_model"]) -> Float[Tensor, "*place d_model"]:
        """What the relation makes of s."""
        return self.beta * ((s.to(self.v) @ self.v) * self.size) @ self.u.T + self.bias

    def inverse(self, dz: Float[Tensor, "*place d_model"], rank: int | None = None) -> Float[Tensor, "*place d_model"]:
        """W⁺ dz through the `rank` largest singular values: the smallest change of s that makes z change by dz."""
        r = len(self.size) if rank is None else rank
        if not 1 <= r <= len(self.size):
            raise ValueError(f"rank={rank}: W is known by {len(self.size)} singular vectors")
        return ((dz.to(self.u) @ self.u[:, :r]) / self.size[:r]) @ self.v[:, :r].T

    def read(self, model: Model, facts: Facts) -> tuple[Float[Tensor, "fact d_model"], Float[Tensor, "fact d_model"]]:
        """(s, z) of each fact, in the context in which the relation was fitted."""
        seen = [Tangent.of(model, fact, self.before, self.at, self.to) for fact in facts]
        return torch.stack([t.s for t in seen]), torch.stack([t.z for t in seen])

    def faithful(self, model: Model, facts: Facts) -> Bool[Tensor, " fact"]:
        """Whether the relation of each subject decodes to the first token of its `old` answer.

        Ask it of facts that the model knows (`facts.known(model)`) and that it was not fitted on.
        """
        said = decoded(model, self.to, self(self.read(model, facts)[0])).argmax(-1).cpu()
        first = [answer_ids(model.tokenizer, self.before + fact.asked, fact.old)[1][0] for fact in facts]
        return said == torch.tensor(first)


def fit(
    model: Model,
    facts: Facts,
    *,
    layer: int,
    to: Site | str | None = None,
    beta: float = 1.0,
    rank: int | None = None,
    shots: bool = True,
    seed: int = 0,
) -> Relation:
    """The tangent of a relation, averaged over examples.

    Costs, for each example, one product with a Jacobian per number of the stream, or four for each of `rank` and a few
    more; a product is a run of the blocks above the layer forth and back, of the tokens from the subject's last one on:
    what comes before does not depend on it and is kept as keys and values. Only with edits of what flows in force, which
    may look at all of a prompt, or for a model whose cache is refused, the whole prompt is run.

    Args:
        facts: examples of one relation with their `old` answers, about eight.
        layer: where the subject is read: the stream after this block.
        to: where the answer is read; the stream after the last block by default, or `final`.
        beta: by how much W s is stretched; above 1 makes up for tangents that are too flat.
        rank: how many singular vectors of W to find; all of them by default.
        shots: show each example the other ones first.
        seed: of the random vectors with which a rank is found.

    Returns: a Relation, in float64, on the CPU.
    Raises: ValueError for facts of several relations or without answers, or a rank out of range.

    >>> capitals = fit(model, facts.first(4), layer=1)
    >>> capitals.faithful(model, facts.pick(range(4, 8)))
    tensor([True, True, True, True])
    """
    _check(facts)
    at = model.body.site(f"resid.{layer}")
    end = model.body.site(Site("resid", model.n_layers - 1) if to is None else to)
    if end.part not in ("resid", "final") or not at < end:
        raise ValueError(f"the answer is read after the subject: at a later resid than {at}, or at final; not at {end}")
    contexts = [lines([f for f in facts if f is not fact]) if shots else "" for fact in facts]
    tangents = [Tangent.of(model, f, before, at, end) for f, before in zip(facts, contexts, strict=True)]
    d = len(tangents[0].s)
    if rank is not None and not 1 <= rank <= d:
        raise ValueError(f"rank={rank}: the stream is {d} wide")
    pull = lambda rows: _mean([t.pull(rows) for t in tangents])  # noqa: E731
    push = lambda rows: _mean([t.push(rows) for t in tangents])  # noqa: E731
    if rank is None:
        rows = [t.pull(torch.eye(d, dtype=t.s.dtype)) for t in tangents]
        moved = [jacobian @ t.s for jacobian, t in zip(rows, tangents, strict=True)]
        u, size, v = torch.linalg.svd(_mean(rows))
    else:
        start = torch.randn(min(d, rank + SPARE), d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        reach = _orthonormal(push(_orthonormal(pull(_orthonormal(push(start))))))
        inner, size, v = torch.linalg.svd(pull(reach), full_matrices=False)
        u = (reach.T @ inner)[:, :rank]
        size, v = size[:rank], v[:rank]
        moved = [t.push(t.s[None])[0] for t in tangents]
    bias = _mean([t.z - m for t, m in zip(tangents, moved, strict=True)])
    return Relation(u, size, v.T, bias, beta, at, end, lines(facts) if shots else "")


@dataclass(frozen=True, eq=False)
class Tangent:
    """One example: s, z, and products with J = ∂z/∂s that never lay it out. Tensors in float64 on the CPU."""

    model: Model
    base: Trace
    position: int
    """Of the subject's last token."""
    at: Site
    to: Site

    @classmethod
    def of(cls, model: Model, fact: Fact, before: str, at: Site, to: Site) -> Tangent:
        """Run the prompt once."""
        model.body.check_causal("a relation")
        position = subject_last(model.tokenizer, fact, before)
        base = model.run(before + fact.asked, read=[at, to], record=True)
        return cls(model, base, position, at, to)

    @cached_property
    def s(self) -> Float[Tensor, " d_model"]:
        return self.base[self.at][0, self.position].detach().double().cpu()

    @cached_property
    def z(self) -> Float[Tensor, " d_model"]:
        return self.base[self.to][0, -1].detach().double().cpu()

    def pull(self, rows: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
        """rows @ J: one backward pass for each."""
        found = []
        for some in rows.split(self._rows):
            trace = self._run(len(some), grad=True)
            end = trace[self.to][:, -1]
            (gradient,) = torch.autograd.grad((end * some.to(end)).sum(), trace[self.at])
            found.append(gradient[:, self.position - self._tail.start].double().cpu())
        return torch.cat(found)

    def push(self, rows: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
        """rows @ Jᵀ: one forward pass with its tangent for each. Raises: NotImplementedError where torch knows no tangent."""
        found = []
        for some in rows.split(self._rows):
            with forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no forward derivative
                some = some.to(self.base[self.at])[:, None]
                dual = forward_ad.make_dual(torch.zeros_like(some), some)
                nudge = Add(self.at, vector=dual, where=Where.at(self.position - self._tail.start))
                end = self._run(len(some), edit=nudge)[self.to][:, -1]
                tangent = forward_ad.unpack_dual(end).tangent
                assert tangent is not None
                found.append(tangent.double().cpu())
        return torch.cat(found)

    @property
    def _rows(self) -> int:
        return max(1, TOKENS // self.base.tokens.shape[1])

    @cached_property
    def _tail(self) -> Tail:
        """The subject's last token and what follows."""
        return Tail(self.model, self.base, self.position)

    def _run(self, copies: int, *, grad: bool = False, edit: Add | None = None) -> Trace:
        past = self._tail.past()
        for layer in (
            past.layers[(self.at.layer or 0) + 1 :] if past is not None else ()
        ):  # those below are resumed, not run
            layer.batch_repeat_interleave(copies)
        tokens: Int[Tensor, "batch seq"] = self._tail.trace.tokens.repeat(copies, 1)
        edits = [] if edit is None else [edit]
        read = [self.at, self.to]
        return self.model.run(tokens, read=read, grad=grad, edits=edits, logits=0, base=self._tail.trace, past=past)


def decoded(model: Model, at: Site, z: Float[Tensor, "place d_model"]) -> Float[Tensor, "place vocab"]:
    """The logits of z: through the last norm unless z was read after it, and the unembedding."""
    readout = Readout.of(model)
    z = z.to(readout.unembed)
    return z @ readout.unembed.T + readout.bias if at.part == "final" else readout.lens(z)


def _check(facts: Facts) -> None:
    templates = sorted({fact.prompt for fact in facts})
    if len(templates) > 1:
        raise ValueError(
            f"{facts.name} asks in {len(templates)} ways ({templates[0]!r}, {templates[1]!r}, ...), but a "
            "relation is one of them; choose the facts of one prompt"
        )
    if bare := [fact.asked for fact in facts if not fact.old]:
        raise ValueError(f"{bare[0]!r} has no `old` answer, so it is no example of a relation")


def lines(facts: Sequence[Fact] | Facts) -> str:
    return "".join(f"{fact.asked}{space_between(fact.asked, fact.old)}{fact.old}\n" for fact in facts)


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(tensors)).mean(0)


def _orthonormal(rows: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
    return torch.linalg.qr(rows.T)[0].T
