"""The engine: one forward pass of an unmodified transformers module, with visitors at sites.

Hooks, stubs and settings live inside `forward` and are gone when it returns, also after an error or an interrupt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from clew.changes import ActivationEdit, Gate, Through
from clew.dictionaries.dictionary import Dictionary
from clew.models import attention
from clew.models.body import Body
from clew.models.fingerprint import versions
from clew.models.frozen import held_sites, hold_norms
from clew.models.state import Held, in_state
from clew.models.trace import EditDidNotFire, Receipt, Trace, as_read
from clew.sites import PATTERNS, Site


class _Enough(Exception):
    """Raised by the last visitor of a run that needs no logits."""


@dataclass
class Visitors:
    """What happens at the sites of one run, or of all calls of one generation."""

    body: Body
    dictionaries: dict[Site, Dictionary]
    trace: Trace
    edits: Sequence[ActivationEdit] = ()
    read: frozenset[Site] = frozenset()
    grad: bool = False
    leaves: bool = False
    stop: bool = False
    frozen: bool = False
    prompt: int = 0
    offset: int = 0
    """Column of the first token of the current call: > 0 in the cached calls of a generation."""
    _reading: dict[Site, Tensor] = field(default_factory=dict)
    _open_rows: dict[tuple[Gate, Site], Tensor] = field(default_factory=dict)
    """Of gates by prompt: which rows are open, known from the first call on."""

    def __post_init__(self) -> None:
        self.trace.receipts = tuple(Receipt(e) for e in self.edits)
        self._by_site: dict[Site, list[Receipt]] = {}
        for receipt in self.trace.receipts:
            self._by_site.setdefault(receipt.edit.at, []).append(receipt)
        used = [self.dictionaries[e.at] for e in self.edits if e.basis != "value"]
        gates = [(e.gate, e.gate.at or e.at) for e in self.edits if e.gate]
        used += [self.dictionaries[site] for gate, site in gates if gate.unit is not None]
        self._needed = {d.reads for d in used if d.spans_sites}
        self._needed |= {e.gate.at for e in self.edits if e.gate and e.gate.at not in (None, e.at)}
        self._held = held_sites(self.body) if self.frozen else set()
        self._left = set(self.read)

    @property
    def sites(self) -> list[Site]:
        """Every site to tap, in forward order."""
        return sorted(self.read | self._by_site.keys() | self._needed | self._held)

    def enter(self, held: Held) -> None:
        """Put the visitors at their sites, and have gradients noted if they need them.

        Raises: ValueError for gradients where the model has none.
        """
        if self.grad or self.leaves:
            self.body.require("gradients")
        held.grad(self.grad or self.leaves)
        if any(self.body.taps[site].side == "pattern" for site in self.sites):
            attention.show_patterns(held, self.body.module)
        for site in self.sites:
            self.body.taps[site].attach(held, partial(self.visit, site), len(self.trace.tokens))

    def visit(self, site: Site, x: Tensor) -> Tensor:
        """Edit, hold, make a leaf, record; return what flows on.

        Where the blocks of a model lie on several devices, all this is done on the one where its tokens are.
        """
        return self._visited(site, x.to(self.trace.tokens.device)).to(x.device)

    def _visited(self, site: Site, x: Tensor) -> Tensor:
        if site in self._by_site:
            x = self._edited(site, x, self._by_site[site])
        if site in self._held:
            x = x.detach()
        if site in self._needed:
            self._reading[site] = x
        if site in self.read:
            x = self._recorded(site, x)
            self._left.discard(site)
            if self.stop and not self._left:
                raise _Enough
        return x

    def _recorded(self, site: Site, x: Tensor) -> Tensor:
        if self.leaves and site in self.dictionaries:
            self.trace.arrived[site] = x
            x = x.detach().requires_grad_()
        elif self.leaves:
            self.trace.arrived[site] = x
        elif self.grad:  # a tensor of its own, for two sites may be fed by one (a norm that attention and MLP share)
            x = x.view_as(x) if x.requires_grad else x.detach().requires_grad_()
        self.trace.values[site] = x
        return x.clone()  # the module may write into what flows on (Falcon does)

    def _edited(self, site: Site, x: Tensor, receipts: list[Receipt]) -> Tensor:
        pattern = site.part in PATTERNS
        seq = x.shape[-2] if pattern else x.shape[1]
        columns = self._columns(site, seq)
        before = x
        masks = []
        for receipt in receipts:
            mask = self._positions(receipt.edit, site)
            pooled = self.offset == 0 and seq == 1 < mask.shape[1]
            mask = self._pooled(receipt.edit, mask) if pooled else mask[:, columns]
            receipt.calls += 1
            receipt.reached += int(mask.sum())
            if receipt.edit.gate:
                mask = mask & self._opened(receipt.edit.gate, site, x)
            receipt.fired += int(mask.sum())
            masks.append(mask[:, None, :, None] if pattern else mask[..., None])
        given = [(r.edit, m) for r, m in zip(receipts, masks, strict=True)]
        for in_units, group in groupby(given, key=lambda pair: _in_units(pair[0])):
            if in_units:
                x = self._edited_in_units(site, x, list(group))
                continue
            for edit, mask in group:
                if isinstance(edit, Through):
                    dictionary = self.dictionaries[site]
                    x = torch.where(mask, edit.rewritten(dictionary, self._read(dictionary, x), x), x)
                else:
                    x = _apply(edit, x, mask, edit.units)
        if x is not before:
            moved = (x != before).any(-1).any(1) if pattern else (x != before).flatten(2).any(-1)
            for receipt, mask in zip(receipts, masks, strict=True):
                receipt.changed += int((moved & mask.reshape(moved.shape)).sum())
        return x

    def _columns(self, site: Site, seq: int) -> slice:
        """Which of the positions of a site's stack this call computes."""
        start = 0 if self.body.stack_of(site) else self.offset
        return slice(start, start + seq)

    def _given(self, stack: str) -> tuple[Tensor, Tensor, int]:
        """(tokens, which are real, how many are the prompt) of what a stack is given."""
        own = self.body.columns(self.trace.tokens, stack)
        prompt = min(max(self.prompt - own.start, 0), own.stop - own.start)
        return self.trace.tokens[:, own], self.trace.real[:, own], prompt

    def _positions(self, edit: ActivationEdit, site: Site) -> Tensor:
        """[batch, seq] where an edit is to be made, of the positions of its site's stack."""
        where = edit.where
        tokens, real, prompt = self._given(self.body.stack_of(site))
        if where.kind == "answer" and self.body.layout.answers != "next":
            at = self.body.answered_at(tokens)
            return torch.arange(tokens.shape[1], device=tokens.device) == at[:, None]
        return where.mask(tokens, real, prompt)

    def _pooled(self, edit: ActivationEdit, mask: Tensor) -> Tensor:
        """The same at a site without positions, as what a class is read from. Raises: ValueError where some were chosen."""
        if edit.where.kind not in ("every", "prompt"):
            raise ValueError(
                f"{edit.at} has no positions in {self.body.name}, so an edit there cannot be at {edit.where}"
            )
        return mask.any(1, keepdim=True)

    def _opened(self, gate: Gate, site: Site, x: Tensor) -> Tensor:
        """[batch, seq] of the columns of this call: where a gate lets the edit at `site` happen, where `x` arrives."""
        site, y = (site, x) if gate.at in (None, site) else (gate.at, self._reading[gate.at])
        above = gate(y if gate.unit is None else self._code(self.dictionaries[site], y))
        if gate.reach == "token":
            return above
        columns = self._columns(site, above.shape[1])
        _, real, prompt = self._given(self.body.stack_of(site))
        asked = real[:, columns] & (torch.arange(columns.start, columns.stop, device=x.device) < prompt)
        rows = (above & asked).any(1)
        if self.offset:
            rows = rows | self._open_rows[gate, site]
        self._open_rows[gate, site] = rows
        return rows[:, None].expand_as(above)

    def _code(self, dictionary: Dictionary, y: Tensor) -> Tensor:
        """The code of the dictionary that writes the site where `y` is."""
        return dictionary.encode(self._read(dictionary, y))

    def _read(self, dictionary: Dictionary, y: Tensor) -> Tensor:
        return as_read(self._reading[dictionary.reads] if dictionary.spans_sites else y, dictionary)

    def _edited_in_units(self, site: Site, y: Tensor, coded: list[tuple[ActivationEdit, Tensor]]) -> Tensor:
        """Edits in the basis of one dictionary share one encoding: y + write(new code - code) + (new error - error)."""
        dictionary = self.dictionaries[site]
        code = new = self._code(dictionary, y)
        for edit, mask in coded:
            if edit.basis == "code":
                new = _apply(edit, new, mask, _coordinates(dictionary, edit.units, code.device))
        delta = dictionary.write(new - code)
        if any(edit.basis == "error" for edit, _ in coded):
            error = left = as_read(y, dictionary) - dictionary.decode(code)
            for edit, mask in coded:
                if edit.basis == "error":
                    left = _apply(edit, left, mask, edit.units)
            delta = delta + (left - error)
        return y + delta.to(y.dtype)


def _in_units(edit: ActivationEdit) -> bool:
    """Whether an edit is of a code or an error; those side by side share one."""
    return edit.basis != "value" and not isinstance(edit, Through)


def _apply(edit: ActivationEdit, x: Tensor, mask: Tensor, coordinates: tuple[int, ...] | None) -> Tensor:
    index = None if coordinates is None else torch.tensor(coordinates, device=x.device)
    picked = x if index is None else x[..., index]
    new = torch.where(mask, edit(picked), picked).to(x.dtype)
    if new.shape != picked.shape:
        name = type(edit).__name__.lower()
        raise ValueError(f"{name} at {edit.at} made {tuple(new.shape)} of {tuple(picked.shape)}; the shape must stay")
    return new if index is None else x.index_copy(-1, index, new)


def _coordinates(dictionary: Dictionary, units: tuple[int, ...] | None, device: torch.device) -> tuple[int, ...] | None:
    """Where in the code these units are: a head is a run of coordinates, other units are one each."""
    if units is None:
        return None
    owner = dictionary.unfold(torch.arange(dictionary.n_units, device=device)).tolist()
    return units if len(owner) == dictionary.n_units else tuple(i for i, unit in enumerate(owner) if unit in units)


def forward(
    visitors: Visitors,
    *,
    keep: int | None,
    base: Trace | None = None,
    record: bool = False,
    past: Any = None,
) -> Trace:
    """Run the module once with the visitors in place; fills and returns their trace.

    Args: keep: logits of the last `keep` positions, None for all, 0 to stop at the last read site.
        base: a recorded trace of the same prompts (the batch may be a whole number of copies of it):
        blocks below the first visited one are taken from it. record: keep every block's output. past: a cache of the
        tokens before these; it grows by these.
    """
    body, trace = visitors.body, visitors.trace
    trace.module = body.module

    def work(held: Held) -> None:
        if record or base is not None:
            trace.versions = versions(body.module)
        if base is not None:
            _resume(held, body, base, first_block(visitors.sites), trace)
        if visitors.frozen:  # before the taps, which then see what the held norms hand on
            hold_norms(held, body)
        if (
            record
        ):  # before the visitors too: what an edit makes of a block's output is made again by who resumes from it
            _record(held, body, trace)
        visitors.enter(held)
        if keep and body.layout.answers in ("next", "mask"):
            held.hook(body.unembed, _kept(body, trace.tokens, keep), before=True)
        try:
            cached = {} if past is None else {"use_cache": True, "past_key_values": past}
            found = body.call(trace.tokens, trace.real, **cached)
            trace.apart = body.layout.answers == "mask" and keep is None
            trace.logits, trace.states = (None, found) if body.layout.answers == "states" else (found, None)
        except _Enough:
            pass

    in_state(body.module, work)
    check_receipts(trace, stopped=trace.end is None)
    return trace


def check_receipts(trace: Trace, *, stopped: bool = False) -> None:
    """Raises: EditDidNotFire naming the edits that met no position; a `stopped` run owes nothing past its end."""
    idle = [r for r in trace.receipts if r.reached == 0 and (r.calls or not stopped)]
    if idle:
        names = "; ".join(f"{type(r.edit).__name__.lower()} at {r.edit.at}, where={r.edit.where}" for r in idle)
        raise EditDidNotFire(
            f"{len(idle)} edit(s) never fired: {names}. The prompts have {trace.tokens.shape[1]} tokens; "
            "check the positions or the tokens that the edit asks for"
        )


def first_block(sites: Iterable[Site]) -> int:
    """The first block that must really run where these sites are visited: the output of a block can be had without it."""
    needs = [
        0 if s.part == "embed" or s.stack else (s.layer or 0) + (s.part == "resid") for s in sites if s.part != "final"
    ]
    return min(needs, default=0)


def _resume(held: Held, body: Body, base: Trace, first: int, trace: Trace) -> None:
    """The block below `first` hands on what `base` recorded, copied along the batch; those below it do not run either."""
    if first and first - 1 not in base.blocks:
        raise ValueError("to resume, `base` must be a trace of a run with record=True")
    batch = trace.tokens.shape[0]
    copies, rest = divmod(batch, base.tokens.shape[0])
    if rest:
        raise ValueError(
            f"the batch of {batch} is no whole number of copies of the base's {base.tokens.shape[0]} prompts"
        )
    for mine, recorded in ((trace.tokens, base.tokens), (trace.real, base.real)):
        if not torch.equal(mine, recorded.repeat(copies, 1)):
            raise ValueError("the prompts are not those of `base`, or not whole copies of it one after the other")
    mine, recorded = ([r.edit for r in t.receipts if first_block([r.edit.at]) < first] for t in (trace, base))
    if base.module is not body.module or mine != recorded:
        raise ValueError("`base` was recorded with another model, or with other edits below the block to resume from")
    if first and base.versions != trace.versions:
        raise ValueError("the weights have changed since `base` was recorded; record it again")
    if first and body.layout.order:
        raise ValueError("blocks that share modules are not run one without the other")
    for block in body.blocks[:first]:
        held.put(block, "forward", _stub(base.blocks[first - 1], copies, body.block_returns_tuple))


def _stub(output: Tensor, copies: int, as_tuple: bool) -> Callable[..., Any]:
    def stub(*args: Any, **kwargs: Any) -> Any:
        tiled = output.repeat(copies, *[1] * (output.ndim - 1)) if copies > 1 else output
        return (tiled, None) if as_tuple else tiled

    return stub


def _kept(body: Body, tokens: Tensor, keep: int) -> Callable[..., tuple[Any, ...]]:
    """A pre-hook of the unembedding that leaves it the last positions, or those of the masks."""
    if body.layout.answers == "next":
        return partial(_last, keep)
    if keep > 1:
        raise ValueError(
            f"{body.name} answers each prompt in one place, that of its mask; ask for its logits (logits=1) or for those of "
            f"all positions (logits=None), not for those of {keep}"
        )
    return partial(_at, body.answered_at(tokens))


def _at(positions: Tensor, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    rows = torch.arange(len(positions), device=positions.device)
    return args[0][rows, positions][:, None], *args[1:]


def _last(keep: int, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The last positions, side by side in memory: of rows that lie apart torch makes a product for each prompt."""
    return args[0][:, -keep:].contiguous(), *args[1:]


def _record(held: Held, body: Body, trace: Trace) -> None:
    """Note the output of every block in the trace."""

    def keep(layer: int) -> Callable[[Tensor], Tensor]:
        def see(x: Tensor) -> Tensor:
            trace.blocks[layer] = x.detach()
            return x

        return see

    for layer in range(body.n_layers):
        tap = body.taps[Site("resid", layer)]
        tap.attach(held, keep(layer), len(trace.tokens))
