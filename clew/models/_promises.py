"""What selfcheck tries: each promise of the addresses, site by site, and by how much it is off."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from clew.changes import ActivationEdit, Add, Scale
from clew.models.attention import gated
from clew.models.body import Body
from clew.models.experts import put_out
from clew.models.fields import APART
from clew.models.inputs import WORDS, break_in
from clew.models.layout import INNER, Part
from clew.models.run import Visitors, forward
from clew.models.state import state
from clew.models.trace import Trace
from clew.models.weights import apart, linear_of, matrix_of
from clew.sites import ENCODER, EVERY, PATTERNS, Site, Weight, Where

SHORT, MIDDLE, LONG = 9, 64, 1024
"""Tokens of the prompts; at most, where that exceeds a window; at most of the one prompt that exceeds a longer window."""

MIXING = ("pattern", "v", "gate", "head", "cross_pattern", "cross_v", "cross_head")
"""What shows whether a pattern is one."""

FAR = sys.float_info.max
"""How far off is what gives no number, or cannot be tried."""

Trial = tuple[tuple[Site | Weight, ...], Callable[[], float]]
"""The addresses that it speaks for, none if for the whole model, and how far off they are, relative to the largest value."""


@dataclass(frozen=True)
class Promise:
    """What is promised of every model, and what is refused where it does not hold."""

    name: str
    said: str
    refused: str
    trials: Callable[[Case], Iterator[Trial]]
    rounds: bool = True
    """Whether it may be off by what the model's precision, or a softmax in float32, explains; else it holds to the bit."""
    softmax: bool = False
    """Whether a softmax or a norm is in it, which several families compute in float32 in a model of any precision."""


class Case:
    """A model, at rest, on two random prompts, with what was seen there. Its caller holds the module."""

    def __init__(self, body: Body, tokens: Tensor) -> None:
        self.body, self.tokens = body, tokens
        self.keep = 1 if body.layout.answers == "next" else None
        """Of how many last positions logits are asked for, where not all are needed."""
        with torch.no_grad():
            self.bare: Tensor = body.call(tokens)
        self.trace, self.broken = self._read(list(body.taps))
        """A recorded pass that reads every site that can be read, and how it is off, if it is."""
        self.off: dict[Site, str] = {}
        """Sites whose reading changes the logits, and how."""
        if self.broken:
            self.off = _narrowed(list(body.taps), lambda some: self._read(some)[1])
            self.trace, self.broken = self._read(self.sites())

    def _read(self, sites: Sequence[Site]) -> tuple[Trace, str]:
        try:
            trace = run(self.body, self.tokens, read=sites, record=True)
        except Exception as error:
            return Trace(self.tokens, torch.ones_like(self.tokens, dtype=torch.bool)), told(error)
        assert trace.end is not None
        if not torch.equal(trace.end, self.bare):
            return trace, f"off by {gap(trace.end, self.bare):.1e}"
        return trace, "" if trace.values.keys() == set(sites) else "nothing passes there"

    def sites(self, *parts: str) -> list[Site]:
        """Those of these parts that can be read, of all parts if none is named."""
        return [s for s in self.body.taps if s not in self.off and (not parts or s.part in parts)]

    @cached_property
    def projected(self) -> dict[Site, Tensor]:
        """What the module behind each head, neuron and expert site puts out, in a pass that reads none of them."""
        seen: dict[Site, Tensor] = {}

        def keep(site: Site, out: Tensor) -> Tensor:
            seen[site] = out.clone()
            return out

        with state(self.body.module) as held, torch.no_grad():
            for site in self.sites("head", "cross_head", "neuron", "shared_neuron", "expert"):
                behind = replace(self.body.taps[site], side="out", columns=None, factor=1.0)
                behind.attach(held, partial(keep, site), len(self.tokens))
            self.body.call(self.tokens)
        return seen

    @cached_property
    def padded(self) -> Trace:
        """The prompts behind four tokens of padding, with all that makes up the patterns."""
        return self._with_padding(read=self.sites(*MIXING), keep=self.keep)

    @cached_property
    def padding(self) -> float:
        end = self._with_padding(keep=self.keep).end
        assert end is not None
        if self.keep:
            return gap(end[:, -1], self.bare[:, -1])
        n = self.bare.shape[1]
        return gap(end[:, -n:] if self.body.layout.causal else end[:, :n], self.bare)

    @cached_property
    def pads(self) -> bool:
        """Whether padding holds; where it does not, padded prompts are refused."""
        if self.body.layout.positions:
            return False
        try:
            return self.padding <= _allowed(self, softmax=True)
        except Exception:
            return False

    def _with_padding(self, **how: Any) -> Trace:
        rows = [tuple(row) for row in self.tokens.tolist()]
        tokens, real = self.body.tokens([(0,) * 4 + rows[0], *rows])
        return run(self.body, tokens[1:], real=real[1:], **how)

    @cached_property
    def long(self) -> Trace | None:
        """One prompt that exceeds the longest window within reach, up to the first block of each kind that has one."""
        body = self.body
        n = longer(body, self.tokens.shape[1])
        firsts = {
            getattr(body.attentions[s.layer or 0], "sliding_window", None): s for s in reversed(self.sites("pattern"))
        }
        layers = {s.layer for window, s in firsts.items() if window is not None} or {s.layer for s in firsts.values()}
        if n is None or not layers or body.inputs.parted:
            return None
        tokens = self.tokens[:1].repeat(1, -(-n // self.tokens.shape[1]))[:, :n]
        read = [s for s in self.sites(*MIXING) if s.layer in layers]
        return run(body, tokens, read=read, keep=0)

    @cached_property
    def felt(self) -> dict[Site, bool]:
        """Whether the logits depend on what flows at each site, by one gradient; empty where the model has none."""
        try:
            trace = run(self.body, self.tokens, read=self.sites(), grad=True)
            assert trace.end is not None
            weights = torch.linspace(-1, 1, trace.end.numel(), device=trace.end.device).view(trace.end.shape)
            return {site: bool((g != 0).any()) for site, g in trace.gradients((trace.end * weights).sum()).items()}
        except Exception:
            return {}

    @cached_property
    def halved(self) -> Trace:
        """A pass in which every pattern is halved."""
        edits = [Scale(site, factor=0.5) for site in self.sites(*PATTERNS)]
        return run(self.body, self.tokens, read=self.sites(*MIXING), edits=edits, keep=self.keep)

    @cached_property
    def loud(self) -> dict[Site, str]:
        """Sites at which an edit by nothing changes something."""

        def why(sites: Sequence[Site]) -> str:
            try:
                return "" if torch.equal(self.edited(*(Scale(s, factor=1.0) for s in sites)), self.last) else "changed"
            except Exception as error:
                return told(error)

        return _narrowed(self.sites(), why)

    @cached_property
    def last(self) -> Tensor:
        """What comes out at the end, as it is computed where no more is asked for."""
        return self.edited()

    def edited(self, *edits: ActivationEdit) -> Tensor:
        """The same with edits."""
        end = run(self.body, self.tokens, edits=edits, keep=self.keep).end
        assert end is not None
        return end

    def moves(self, site: Site) -> bool:
        """Whether an edit here changes the logits."""
        return not torch.equal(self.edited(self._edit(site)), self.last)

    def moves_on(self, site: Site) -> bool:
        """Whether an edit here changes the stream a block later, which is sooner found."""
        later = Site("resid", (site.layer or 0) + 1, site.stack)
        if later not in self.trace.values:
            return self.moves(site)
        plain = not site.stack and not self.body.inputs.parted and not self.body.layout.order
        found = run(
            self.body, self.tokens, read=[later], edits=[self._edit(site)], keep=0, base=self.trace if plain else None
        )
        return not torch.equal(found[later], self.trace[later])

    def _edit(self, site: Site) -> ActivationEdit:
        if site.part in PATTERNS:
            return Scale(site, factor=0.5)
        # Not a scaling: some families norm queries and keys, which would undo it. Nor the same to all keys: a softmax would.
        where = Where.after_first() if site.part in ("k", "cross_k") else EVERY
        return Add(site, where=where, vector=torch.linspace(-3, 3, self.body.widths[site]))


def _narrowed(sites: Sequence[Site], why: Callable[[Sequence[Site]], str]) -> dict[Site, str]:
    """The sites that are at fault, and how; asked of all together, then of those of each part, then of each."""
    if not why(sites):
        return {}
    found: dict[Site, str] = {}
    for _, some in groupby(sorted(sites, key=lambda site: site.part), key=lambda site: site.part):
        if why(these := list(some)):
            found |= {site: told for site in these if (told := why([site]))}
    return found


def prompts(body: Body, seed: int) -> Tensor:
    """Two prompts of random tokens, longer than every window that few tokens exceed."""
    n = max([SHORT, *(span + 4 for span in spans(body) if span + 4 <= MIDDLE)])
    return torch.tensor(body.sample(2, length=min(n, body.context or n), seed=seed), device=body.device)


def spans(body: Body) -> list[int]:
    """Lengths of windows and chunks, and numbers of sinks, that the config names."""
    held = body.module.config.to_dict().items()
    return [
        value
        for key, value in held
        if type(value) is int
        and key not in APART
        and not {"window", "chunk", "sink", "sinks"}.isdisjoint(key.split("_"))
    ]


def longer(body: Body, tried: int) -> int | None:
    """How many tokens exceed the longest window within reach, if those that are tried do not."""
    if body.layout.positions:
        return None
    n = max((span + 4 for span in spans(body) if span + 4 <= min(LONG, body.context or LONG)), default=0)
    return n if n > tried else None


def run(
    body: Body, tokens: Tensor, *, read: Iterable[Site] = (), edits: Any = (), grad: bool = False, **how: Any
) -> Trace:
    """One pass, without what `Model.run` refuses. Args: how: as for `forward`, and which tokens are `real`."""
    real = how.pop("real", torch.ones_like(tokens, dtype=torch.bool))
    visitors = Visitors(body, {}, Trace(tokens, real), edits, frozenset(read), grad=grad, prompt=tokens.shape[1])
    options: dict[str, Any] = {"keep": None} | how
    return forward(visitors, **options)


def gap(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest value; what is not a number is as far off as can be."""
    found = float((a - b).abs().max() / b.abs().max().clamp(min=1e-30))
    return found if math.isfinite(found) else FAR


def told(error: Exception) -> str:
    """An error in one short line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:200].removesuffix(": ")


def hooks_on(body: Body) -> int:
    """How many hooks and stubs stand on the module."""
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + ("forward" in m.__dict__) for m in body.module.modules()
    )


# Trials.


def _writes(case: Case) -> Iterator[Trial]:
    for stack, layout in case.body.stacks.items():
        for layer, parts in enumerate(layout.parts):
            sites = tuple(Site(part.kind, layer, stack) for part in parts)
            yield sites, partial(_sum_gap, case, layer, stack)


def _sum_gap(case: Case, layer: int, stack: str) -> float:
    trace = case.trace
    total = trace[Site("resid", layer - 1, stack) if layer else Site("embed", stack=stack)]
    for part in case.body.stacks[stack].parts[layer]:
        total = total + trace[Site(part.kind, layer, stack)]
        if part.norm_after:
            with torch.no_grad():
                total = case.body.block(layer, stack).get_submodule(part.norm_after)(total)
    return gap(total, trace[Site("resid", layer, stack)])


def _projections(parts: Sequence[str], case: Case) -> Iterator[Trial]:
    for site in case.sites(*parts):
        yield (site,), partial(_projection_gap, case, site)


def _projection_gap(case: Case, site: Site) -> float:
    module, x, out = case.body.taps[site].module, case.trace[site], case.projected[site]
    with torch.no_grad():
        return gap(module(x.reshape(-1, x.shape[-1])).reshape(-1), out.reshape(-1))


def _passages(case: Case) -> Iterator[Trial]:
    for stack, layout in case.body.stacks.items():
        for layer, part in ((layer, part) for layer, parts in enumerate(layout.parts) for part in parts):
            site = Site(INNER.get(part.kind, part.kind) if part.projection else "mlp_out", layer, stack)
            if (part.projection or part.mixture) and site in case.trace.values:
                yield (Site(part.kind, layer, stack),), partial(_passage_gap, case, site, part)


def _passage_gap(case: Case, site: Site, part: Part) -> float:
    """How far a write is from what its output projection gives, through the norm and times the factor that are said."""
    out = case.projected[site] if part.projection else case.trace[site]
    written = case.trace[Site(part.kind, site.layer, site.stack)]
    out = out.reshape(written.shape)
    if part.norm_out:
        with torch.no_grad():
            norm = case.body.block(site.layer or 0, site.stack).get_submodule(part.norm_out)
            normed, scaled = norm.forward(out), norm.forward(torch.ones_like(out[:1, :1])) * out
        if part.kind != "mlp":  # each head's share is scaled as the norm scales their sum
            size = (normed * scaled).sum(-1, keepdim=True) / scaled.square().sum(-1, keepdim=True)
            normed = size.nan_to_num(0.0) * scaled
        out = normed
    return gap(out * part.factor, written)


def _experts(case: Case) -> Iterator[Trial]:
    for site in case.sites("expert"):
        yield (site,), partial(_experts_gap, case, site)
    for site in case.sites("expert_neuron"):
        yield (site,), partial(_units_gap, case, site)


def _experts_gap(case: Case, site: Site) -> float:
    out = case.projected[site]
    return gap(case.trace[site].unflatten(-1, (-1, out.shape[-1])).sum(-2).reshape(-1), out.reshape(-1))


def _units_gap(case: Case, site: Site) -> float:
    """How far the units of experts, through their output projections, and the biases are from what the experts give."""
    module = case.body.taps[site].module
    weights, given = (case.trace[replace(site, part=part)].flatten(0, 1) for part in ("router", "expert"))
    shape = (len(weights), weights.shape[-1], -1)
    out = put_out(module, case.trace[site].reshape(shape))
    bias = module._parameters.get("down_proj_bias")
    return gap(out if bias is None else out + weights[..., None].to(out) * bias.to(out), given.reshape(shape))


def _shared(case: Case) -> Iterator[Trial]:
    for site in case.sites("shared"):
        mlp = case.body.stacks[site.stack].part("mlp", site.layer or 0)
        inside = mlp is not None and mlp.shared
        beside = partial(_sum_gap, case, site.layer or 0, site.stack)
        yield (site,), partial(_shared_gap, case, site) if inside else beside


def _shared_gap(case: Case, site: Site) -> float:
    """How far what a mixture gives without its shared experts is from what it gives less what they give."""
    given = replace(site, part="mlp_out")
    without = run(case.body, case.tokens, read=[given], edits=[Scale(site, factor=0.0)], keep=0, base=case.trace)
    return gap(without[given] + case.trace[site], case.trace[given])


def _patterns(case: Case) -> Iterator[Trial]:
    for site in case.sites(*PATTERNS):
        yield (site,), partial(_pattern_gap, case, site)


def _pattern_gap(case: Case, site: Site) -> float:
    traces = [case.trace]
    if case.pads:
        traces.append(case.padded)
    if case.long is not None and site in case.long.values:
        traces.append(case.long)
    return max(max(_seen_gap(case.body, t, site), _mixing_gap(case.body, t, site)) for t in traces)


def _seen_gap(body: Body, trace: Trace, site: Site) -> float:
    """How much of the probabilities is on padding, or after the query, or is off from 1, at queries that are no padding.

    Sinks may take some of it.
    """
    cross = site.part == "cross_pattern"
    stacks = site.stack, ENCODER if cross else site.stack
    asking, asked = (trace.real[0, body.columns(trace.tokens, stack)] for stack in stacks)
    pattern = trace[site]
    later = pattern.triu(1) * (body.stacks[site.stack].causal and not cross)
    wrong = (later + pattern * ~asked)[:, :, asking]
    over = pattern[:, :, asking].sum(-1) - 1
    over = over.relu() if body.part_at(site).sinks else over.abs()
    off = max(float(wrong.abs().max()), float(over.max()))
    return off if math.isfinite(off) else FAR


def _mixing_gap(body: Body, trace: Trace, site: Site) -> float:
    """How far the heads are from values mixed by the pattern, at queries that are no padding."""
    part = body.part_at(site)
    value, head = (trace[replace(site, part=part.site(name))] for name in ("v", "head"))
    clip = getattr(body.module.config, "clip_qkv", None)  # OLMo clips the values after their site
    value = value if clip is None else value.clamp(-clip, clip)
    heads, n_kv = part.heads
    per_head = value.unflatten(-1, (n_kv, -1)).repeat_interleave(heads // n_kv, dim=2)
    mixed = torch.einsum("bhqk,bkhd->bqhd", trace[site], per_head).flatten(2)
    if part.gate:
        mixed = gated(mixed, trace[replace(site, part="gate")], part.gate)
    real = trace.real[:, body.columns(trace.tokens, site.stack)]
    return gap(mixed[real], head[real])


def _final(case: Case) -> Iterator[Trial]:
    def off() -> float:
        with torch.no_grad():
            order = case.body.unembed(case.trace["final"]).argmax(-1)
        order = order[:, -1:] if case.body.layout.answers == "class" else order
        return 1 - float((order == case.bare.argmax(-1)).double().mean())

    def of_states() -> float:
        return gap(case.trace["final"], case.bare)

    yield (Site("final"),), off if case.body.layout.unembed else of_states


def _maps(case: Case) -> Iterator[Trial]:
    for address in case.body.weights("q", "k", "v", "out", "down"):
        yield (address,), partial(_map_gap, case, address)


def _map_gap(case: Case, address: Weight) -> float:
    linear = linear_of(case.body, address)
    assert linear.reads
    if why := apart(linear.owner):
        raise ValueError(why)
    held, matrix = linear.parameter, linear.matrix()
    out = case.trace[linear.writes] if linear.writes else case.projected[linear.reads]
    mapped = torch.nn.functional.linear(case.trace[linear.reads], matrix, linear.bias)
    off = gap(mapped.reshape(-1), out.reshape(-1))
    if matrix_of(linear.owner)[0].data_ptr() == held.data_ptr():
        return off
    return max(off, gap(linear.holding(matrix), held))  # its forward was asked: what it holds may be another thing


def _edits(case: Case) -> Iterator[Trial]:
    first: dict[str, Site] = {}
    for site in case.sites():
        yield (site,), partial(_edit_gap, case, site, first.setdefault(f"{site.stack}{site.part}", site))


def _edit_gap(case: Case, site: Site, first: Site) -> float:
    """0 when an edit is felt and an empty one is not; else 1, or how far off the heads are from an edited pattern's mix."""
    sure = case.felt.get(site, False) and case.felt.get(first, False)
    moves = case.moves(site) if site == first else sure or case.moves_on(site)
    if site in case.loud or not moves:
        return 1.0
    off = _mixing_gap(case.body, case.halved, site) if site.part in PATTERNS else 0.0
    return 0.0 if off <= _allowed(case, softmax=True) else off


def _gradients(case: Case) -> Iterator[Trial]:
    """Of layers that are no plain linear maps, such as quantised ones, through which a gradient may get lost unsaid."""
    blocks = [case.body.block(i, stack) for stack, held in case.body.stacks.items() for i in range(len(held.parts))]
    ends = [case.body.unembed] if case.body.layout.unembed else []
    for module in (m for part in (*blocks, *ends) for m in part.modules()):
        weight = getattr(module, "weight", None)
        plain = isinstance(weight, Tensor) and not hasattr(weight, "__tensor_flatten__")
        if hasattr(module, "in_features") and not (plain and type(module).forward is torch.nn.Linear.forward):
            yield (), partial(_slope_gap, case, module)


def _slope_gap(case: Case, module: Any) -> float:
    """How far the gradient is from what the layer does with a move; 0 where it is less than rounding to 8 bits explains."""
    generator = torch.Generator().manual_seed(0)
    x, move = (torch.randn(2, 3, module.in_features, generator=generator).to(case.trace["embed"]) for _ in range(2))
    with torch.enable_grad():
        y = module(x.requires_grad_())
        if not isinstance(y, Tensor):  # a router, which chooses beside it
            return 0.0
        seed = torch.randn(y.shape, generator=generator).to(y)
        (slope,) = torch.autograd.grad(y, x, seed)
    with torch.no_grad():
        moved = ((module(x + move) - module(x)) * seed).sum((1, 2)).double()
    size = slope.double().norm() * move.double().norm() + moved.norm()
    off = float((moved - (slope * move).sum((1, 2)).double()).norm() / size)
    return 0.0 if off < 0.02 else off if math.isfinite(off) else FAR


def _resumed(case: Case) -> Iterator[Trial]:
    half = case.body.n_layers // 2
    at = next(
        s for part in ("attn", "mixer", "mlp", "resid") for s in case.sites(part) if s.layer == half and not s.stack
    )

    def off() -> float:
        whole, resumed = (
            run(case.body, case.tokens, edits=[Scale(at, factor=0.5)], base=base).end for base in (None, case.trace)
        )
        assert whole is not None and resumed is not None
        return gap(whole, resumed)

    yield (), off


def _padding(case: Case) -> Iterator[Trial]:
    if not case.body.layout.positions:
        yield (), lambda: case.padding


def _cache(case: Case) -> Iterator[Trial]:
    if not case.body.layout.causal or case.body.layout.answers != "next":
        return

    def off() -> float:
        module, tokens, at = case.body.module, case.tokens, break_in(case.tokens)
        known = {} if at is None else {WORDS: tokens[:, :at]}
        name = WORDS if at is None else "decoder_input_ids"
        written = tokens if at is None else tokens[:, at + 1 :]
        with torch.no_grad():
            first = module(**known | {name: written[:, :-1]}, use_cache=True)
            last = module(**known | {name: written[:, -1:]}, past_key_values=first.past_key_values, use_cache=True)
        return gap(last.logits[:, -1], case.bare[:, -1])

    yield (), off


def _allowed(case: Case, *, softmax: bool) -> float:
    loose = {torch.float64: 1e-10, torch.float32: 2e-4}.get(case.body.dtype, 5e-2)
    return (
        max(loose, 1e-6) if softmax else loose
    )  # several families take the softmax in float32, also in a float64 model


def allowed(case: Case, promise: Promise) -> float:
    """By how much a promise may be off and holds all the same."""
    return _allowed(case, softmax=promise.softmax) if promise.rounds else 0.0


PROMISES = (
    Promise(
        "writes",
        "the stream is the embedding plus what the parts of each block write, but for norms that it goes through",
        "What attention and MLP write in this block is not what joins the stream, so circuits over them are refused",
        _writes,
    ),
    Promise(
        "heads",
        "the heads, through the output projection, are what the attention puts out",
        "The site head is not what the output projection reads",
        partial(_projections, ("head", "cross_head")),
    ),
    Promise(
        "neurons",
        "the neurons, through the output projection, are what the MLP puts out",
        "The neurons are not what the MLP's output projection reads",
        partial(_projections, ("neuron", "shared_neuron")),
    ),
    Promise(
        "passage",
        "what output projections give joins the stream as it is, or through one plain norm and times one factor",
        "Something else stands between the output projection and the stream, so what a unit writes there is not known",
        _passages,
        softmax=True,
    ),
    Promise(
        "experts",
        "the experts that are chosen add up to what their module puts out, and their units make what each gives",
        "The experts are not what their module says",
        _experts,
    ),
    Promise(
        "shared",
        "what shared experts add joins the stream, or what their mixture gives, as it is",
        "The site shared is not what the shared experts add",
        _shared,
    ),
    Promise(
        "pattern",
        "attention probabilities are of what may be seen, sum to 1 with what sinks take, and mix the values into the heads",
        "The site pattern is not the attention of this model",
        _patterns,
        softmax=True,
    ),
    Promise(
        "final",
        "the unembedding of the site final gives the order of the logits; without one, the site is the last states",
        "The site final is not what the unembedding reads",
        _final,
        rounds=False,
    ),
    Promise(
        "weights",
        "the matrices with an address map the sites they read to the sites they write",
        "The weight is not what its address says, so it can be neither edited nor taken out",
        _maps,
    ),
    Promise(
        "edits",
        "an edit at each site changes the logits, and an edit by nothing does not",
        "Edits here do not reach the logits as they should",
        _edits,
        rounds=False,
    ),
    Promise(
        "gradients",
        "gradients pass every layer as changes do",
        "Gradients get lost in a layer of this model, so they are not taken; what runs the model with changes needs none",
        _gradients,
        rounds=False,
    ),
    Promise(
        "resume",
        "a run that resumes from a recorded pass equals a whole run, bit for bit",
        "Runs that resume from a recorded pass are refused",
        _resumed,
        rounds=False,
    ),
    Promise(
        "padding",
        "padding does not change the last token's logits, or those of any token where it is on the right",
        "Prompts of different length must be run one length at a time",
        _padding,
        softmax=True,
    ),
    Promise(
        "cache",
        "logits are the same with and without the key-value cache",
        "Generate with use_cache=False",
        _cache,
        softmax=True,
    ),
)
"""In the order in which they are told."""
