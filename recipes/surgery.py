"""Does an opened model do what its addresses say? Checked by surgery, without a hook, a tap or a promise of clew's.

What clew gives with an edit in force is compared with what a deep copy of the bare module gives whose weights were cut, or in
which a module stands around another: a head without its coordinates is a head whose columns of the output projection are 0,
an expert without its outputs one whose weights are 0, a block that writes nothing hands on what it was given, and so on.
Where a site is comes from the layout, so that one that is wrong is found here. A claim that moves nothing counts for nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from clew.changes import ActivationEdit, Scale, Set, Update
from clew.models.layout import Map, Part
from clew.models.model import Model
from clew.sites import Site, Weight

CLOSE, MOVED = 2e-5, 1e-3
"""How far two values that are the same may be apart, and how far what counts must have moved; of the largest value."""

Change = Callable[[Tensor], Tensor]
Cut = Callable[[nn.Module], nn.Module]


@dataclass(frozen=True)
class Claim:
    """One thing that an address says, and what surgery says of it."""

    what: str
    address: str
    off: float
    """How far clew is from surgery, relative to the largest value compared."""
    moved: float
    """How far surgery is from the bare module, by the same measure."""

    @property
    def holds(self) -> bool:
        return self.off <= CLOSE

    @property
    def counts(self) -> bool:
        """Whether it says something: it moved what is compared, or what is compared is not so."""
        return self.moved >= MOVED or not self.holds

    def __str__(self) -> str:
        return f"{self.what} at {self.address}: off by {self.off:.1e}"


class Around(nn.Module):
    """A module in the place of another: it calls that with another input, or gives another output."""

    def __init__(self, inner: nn.Module, *, before: Change | None = None, after: Change | None = None) -> None:
        super().__init__()
        self.inner, self.before, self.after = inner, before, after

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.before and args:
            args = (self.before(args[0]), *args[1:])
        elif self.before:
            kwargs["hidden_states"] = self.before(kwargs["hidden_states"])
        output = self.inner(*args, **kwargs)
        if not self.after:
            return output
        return (self.after(output[0]), *output[1:]) if isinstance(output, tuple) else self.after(output)

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__.get("_modules", {})
        return own[name] if name in own else getattr(own["inner"], name)

    def __len__(self) -> int:
        return len(self.inner)  # pyright: ignore[reportArgumentType]


class Patient:
    """A deep copy of a module, under the knife for as long as it is told to be, and two prompts to run it on."""

    def __init__(self, module: nn.Module, tokens: Tensor) -> None:
        self.module, self.tokens = copy.deepcopy(module), tokens
        self.bare = self.logits()

    def logits(self) -> Tensor:
        with torch.no_grad():
            return self.module(input_ids=self.tokens, use_cache=False).logits

    @contextmanager
    def operated(self, path: str, cut: Cut) -> Iterator[Patient]:
        """What is at a path, itself copied so that it shares no weight with another, is what `cut` makes of it."""
        room, _, leaf = path.rpartition(".")
        held, own = self.module.get_submodule(room), self.module.get_submodule(path)
        while isinstance(held, Around):  # under another operation
            held = held.inner
        setattr(held, leaf, cut(copy.deepcopy(own)))
        try:
            yield self
        finally:
            setattr(held, leaf, own)

    def without(self, path: str, cut: Cut) -> Tensor:
        """The logits under one operation."""
        with self.operated(path, cut):
            return self.logits()

    def seen(self, path: str, side: str) -> Tensor:
        """What the module at a path is given (`before`), or gives (`after`), [batch, seq, width]."""
        kept: list[Tensor] = []

        def keep(x: Tensor) -> Tensor:
            kept.append(x.detach().clone())
            return x

        self.without(path, lambda inner: Around(inner, **{side: keep}))
        (x,) = kept
        x = x.unflatten(0, (len(self.tokens), -1)) if x.ndim == 2 else x  # OPT flattens batch and sequence
        return x[:, 0] if x.ndim == 4 and x.shape[1] == 1 else x  # as one head


def checked(model: Model, *, length: int = 16, seed: int = 0) -> Iterator[Claim]:
    """The claims that can be checked on a sample of the sites, those that count. Raises: what the module raises."""
    vocabulary = min(model.body.vocabulary, model.body.module.get_input_embeddings().weight.shape[0])
    tokens = torch.randint(3, vocabulary, (2, length), generator=torch.Generator().manual_seed(seed))
    return (claim for claim in _claims(model, Patient(model.body.module, tokens)) if claim.counts)


def _claims(model: Model, patient: Patient) -> Iterator[Claim]:
    body = model.body
    yield from _ends(model, patient)
    for layer, parts in enumerate(body.layout.parts):
        path = body.layout.path(layer)
        if body.holds(site := Site("resid", layer)):
            yield _edited(model, patient, [_halved(site)], patient.without(path, _halving), f"{site}")
        writes = [Site(part.kind, layer) for part in parts]
        if all(body.holds(write) for write in writes):
            yield _adds_up(model, patient, layer)
            if not any(part.norm_after for part in parts):
                gone = patient.without(path, Skipped)
                yield _edited(model, patient, [_zeroed(write) for write in writes], gone, f"block {layer}")
        for part in parts:
            yield from _part_claims(model, patient, layer, part)


def _ends(model: Model, patient: Patient) -> Iterator[Claim]:
    layout = model.body.layout
    if model.body.holds(Site("embed")):
        less = patient.without(layout.path(0), lambda block: Around(block, before=_half))
        yield _edited(model, patient, [_halved(Site("embed"))], less, "embed")
    if model.body.holds(Site("final")):
        less = patient.without(layout.unembed, lambda linear: _without_columns(linear, [0, 5]))
        yield _edited(model, patient, [_zeroed(Site("final"), [0, 5])], less, "final")


def _part_claims(model: Model, patient: Patient, layer: int, part: Part) -> Iterator[Claim]:
    body, path = model.body, model.body.layout.path(layer)
    if body.holds(write := Site(part.kind, layer)):
        silent = patient.without(f"{path}.{part.write}", lambda inner: Around(inner, after=torch.zeros_like))
        yield _edited(model, patient, [_zeroed(write)], silent, f"{write}")
    if part.reads and body.holds(reads := Site(f"{part.kind}_in", layer)):
        own = part.norm and sum(p.norm == part.norm for p in body.layout.parts[layer]) == 1
        where, side = (part.norm, "after") if own else (part.reads, "before")
        less = patient.without(f"{path}.{where}", lambda inner: Around(inner, **{side: _half}))
        yield _edited(model, patient, [_halved(reads)], less, f"{reads}")
        yield _mixes(patient, path, part, f"{reads}")
    if part.projection:
        yield from _columns(model, patient, layer, part)
    if part.kind == "attn":
        yield from _heads(model, patient, layer, part)
    if part.experts:
        yield from _experts(model, patient, layer, part)


def _columns(model: Model, patient: Patient, layer: int, part: Part) -> Iterator[Claim]:
    """Coordinates of what an output projection reads are its columns; so is what its weight does by its address."""
    body, path = model.body, f"{model.body.layout.path(layer)}.{part.projection}"
    site = Site("head" if part.kind == "attn" else "neuron", layer)
    if not body.holds(site):
        return
    width = body.widths[site]
    some = _head(width, part.heads[0], layer) if part.kind == "attn" else [layer, width // 2, width - 1]
    less = patient.without(path, lambda linear: _without_columns(linear, some))
    yield _edited(model, patient, [_zeroed(site, some)], less, f"{site}")
    if part.kind == "mlp" and body.holds(out := Site("mlp_out", layer)):
        half = patient.without(path, _halving_weights)
        yield _edited(model, patient, [_halved(out)], half, f"{out}")
    weight = Weight(f"{'out' if part.kind == 'attn' else 'down'}.{layer}")
    if not {"weights", f"weights {weight}"} & body.refused.keys():
        matrix = body.linear(weight).matrix()
        change = torch.zeros_like(matrix).index_copy(1, torch.tensor(some), -matrix[:, some])
        found = model.edited(Update(weight, left=change)).run(patient.tokens).end
        assert found is not None
        yield _claim("an edit of the weight", f"{weight}", found, less, patient.bare)


def _heads(model: Model, patient: Patient, layer: int, part: Part) -> Iterator[Claim]:
    """Queries, keys and values of a head are rows of their maps, and reach that head's columns alone; the pattern mixes."""
    body, path = model.body, model.body.layout.path(layer)
    apart = body.holds(Site("head", layer)) and part.heads[0] > 1
    for name, rows in part.maps.items():
        if not body.holds(site := Site(name, layer)):
            continue
        n = part.heads[name in "kv"]
        some = _head(body.widths[site], n, layer)
        less = patient.without(f"{path}.{rows.path}", lambda linear, r=rows, s=some: _with_rows(linear, r, s, 0))
        yield _edited(model, patient, [_zeroed(site, some)], less, f"{site}")
        if apart and n > 1:
            yield _reach(patient, path, part, name, some, f"{site}")
    if apart and body.holds(Site("pattern", layer)):
        yield _uniform(model, patient, layer, part)


def _reach(patient: Patient, path: str, part: Part, name: str, some: Sequence[int], address: str) -> Claim:
    """What changes of what the output projection reads where the sign of one head is: its columns, or those of its group.

    The sign, because a norm over all heads, as in OLMo 2, does not see it.
    """
    own = patient.seen(f"{path}.{part.projection}", "before")
    with patient.operated(
        f"{path}.{part.maps[name].path}", lambda linear: _with_rows(linear, part.maps[name], some, -1)
    ):
        now = patient.seen(f"{path}.{part.projection}", "before")
    n = part.heads[name in "kv"]
    group = _head(own.shape[-1], n, some[0] // len(some))
    others = [i for i in range(own.shape[-1]) if i not in group]
    return Claim("what one head reaches", address, _gap(now[..., others], own[..., others]), _gap(now, own))


GATES = {"sigmoid": torch.sigmoid, "silu": torch.nn.functional.silu, "softplus": torch.nn.functional.softplus}
"""What a gate goes through, by the name that a layout gives it."""


def _uniform(model: Model, patient: Patient, layer: int, part: Part) -> Claim:
    """One head that attends to all positions alike gives the mean of the values it may see, times its gate if it has one."""
    path, (n, n_kv), head = model.body.layout.path(layer), part.heads, layer % part.heads[0]
    made, rows = patient.seen(f"{path}.{part.maps['v'].path}", "after"), part.maps["v"].rows
    values = (made if rows is None else made[..., rows]).unflatten(-1, (n_kv, -1))[:, :, head * n_kv // n]
    clip = getattr(model.body.module.config, "clip_qkv", None)
    values = values if clip is None else values.clamp(-clip, clip)
    length = values.shape[1]
    seen = torch.ones(length, length)
    seen = seen.tril() if model.body.layout.causal else seen
    alike = seen / seen.sum(1, keepdim=True)
    mean = alike @ values
    if part.gate:
        gate = patient.seen(f"{path}.{part.maps['gate'].path}", "after")
        rows = part.maps["gate"].rows
        share = GATES[part.gate]((gate if rows is None else gate[..., rows]).reshape(*values.shape[:2], n, -1))
        mean = mean * share[:, :, head]

    def mixed(x: Tensor) -> Tensor:
        by_head = x.reshape(*values.shape[:2], n, -1).clone()
        by_head[:, :, head] = mean
        return by_head.reshape(x.shape)

    due = patient.without(f"{path}.{part.projection}", lambda linear: Around(linear, before=mixed))
    others = (torch.arange(n) != head)[:, None, None]
    edit = Set(f"pattern.{layer}", value=alike, keep=others)
    return _edited(model, patient, [edit], due, f"pattern.{layer}")


def _experts(model: Model, patient: Patient, layer: int, part: Part) -> Iterator[Claim]:
    """An expert without its outputs, or that no row is sent to with any weight, is one whose weights are 0."""
    body, path = model.body, f"{model.body.layout.path(layer)}.{part.experts}"
    d_model = patient.seen(path, "after").shape[-1]
    sites = {name: site for name in ("expert", "router") if body.holds(site := Site(name, layer))}
    n = body.widths[Site("expert", layer)] // d_model
    for expert in range(n):
        less = patient.without(path, lambda experts, e=expert: _without_expert(experts, n, e))
        for name, site in sites.items():
            units = [expert] if name == "router" else range(expert * d_model, (expert + 1) * d_model)
            yield _edited(model, patient, [_zeroed(site, units)], less, f"{site}")


def _adds_up(model: Model, patient: Patient, layer: int) -> Claim:
    """What the parts of a block write, seen in the bare module, makes its output of its input."""
    path = model.body.layout.path(layer)
    x = total = patient.seen(path, "before")
    for part in model.body.layout.parts[layer]:
        total = total + part.factor * patient.seen(f"{path}.{part.write}", "after")
        if part.norm_after:
            with torch.no_grad():
                total = patient.module.get_submodule(f"{path}.{part.norm_after}")(total)
    out = patient.seen(path, "after")
    return Claim("the sum of what is written", f"resid.{layer}", _gap(total, out), _gap(x, out))


def _mixes(patient: Patient, path: str, part: Part, address: str) -> Claim:
    """What is changed at the first position reaches later ones in an attention or a mixer, and none in an MLP."""

    def changed(x: Tensor) -> Tensor:
        seen = x.reshape(*patient.tokens.shape, -1).clone()
        seen[:, 0] = seen[:, 0].flip(-1)
        return seen.reshape(x.shape)

    own = patient.seen(f"{path}.{part.write}", "after")
    with patient.operated(f"{path}.{part.reads}", lambda inner: Around(inner, before=changed)):
        now = patient.seen(f"{path}.{part.write}", "after")
    later = _gap(now[:, 1:], own[:, 1:])
    off = later if part.kind in ("mlp", "shared") else float(later <= CLOSE)
    return Claim("what mixes positions", address, off, _gap(now, own))


# Cuts.


def _half(x: Tensor) -> Tensor:
    return x / 2


def _halving(inner: nn.Module) -> nn.Module:
    return Around(inner, after=_half)


class Skipped(Around):
    """A block that hands on what it was given."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        x = args[0] if args else kwargs["hidden_states"]
        self.after = lambda _: x.clone()
        return super().forward(*args, **kwargs)


def _halving_weights(linear: nn.Module) -> nn.Module:
    with torch.no_grad():
        for p in linear.parameters():
            p.div_(2)
    return linear


def _without_columns(linear: nn.Module, some: Sequence[int]) -> nn.Module:
    """A linear map that does not read these."""
    with torch.no_grad():
        _matrix(linear)[:, list(some)] = 0
    return linear


def _with_rows(linear: nn.Module, of: Map, some: Sequence[int], factor: float) -> nn.Module:
    """A linear map that gives so many times these of its outputs, counted among those of a site."""
    rows = list(some) if of.columns is None else [of.columns[i] for i in some]
    with torch.no_grad():
        _matrix(linear)[rows] *= factor
        if getattr(linear, "bias", None) is not None:
            linear.get_parameter("bias")[rows] *= factor
    return linear


def _without_expert(experts: nn.Module, n: int, expert: int) -> nn.Module:
    with torch.no_grad():
        for p in experts.parameters(recurse=False):
            if p.shape[0] == n:
                p[expert] = 0
    return experts


def _matrix(linear: nn.Module) -> Tensor:
    """[out, in], as it is held."""
    weight = linear.get_parameter("weight")
    return weight.T if isinstance(linear, Conv1D) else weight


# Comparing.


def _head(width: int, n: int, layer: int) -> range:
    """The coordinates of one of so many heads."""
    one = width // n
    return range(layer % n * one, (layer % n + 1) * one)


def _zeroed(site: Site, units: Sequence[int] | None = None) -> ActivationEdit:
    return Scale(site, factor=0.0, units=None if units is None else tuple(units))


def _halved(site: Site) -> ActivationEdit:
    return Scale(site, factor=0.5)


def _edited(model: Model, patient: Patient, edits: Sequence[ActivationEdit], due: Tensor, address: str) -> Claim:
    found = model.run(patient.tokens, edits=edits).end
    assert found is not None
    return _claim("an edit", address, found, due, patient.bare)


def _claim(what: str, address: str, found: Tensor, due: Tensor, bare: Tensor) -> Claim:
    return Claim(what, address, _gap(found, due), _gap(due, bare))


def _gap(a: Tensor, b: Tensor) -> float:
    found = float((a - b).abs().max() / b.abs().max().clamp(min=1e-30))
    return found if found == found else float("inf")
