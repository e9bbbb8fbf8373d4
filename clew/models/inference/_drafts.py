"""A part of a block while it is being found: where it reads, what makes its heads, and what of that is proved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clew.models.inference._columns import Projections
from clew.models.inference._experts import experts_in
from clew.models.inference._gates import gate_of
from clew.models.inference._parts import (
    Found,
    Place,
    below,
    enters,
    first_linear_maps,
    outermost,
    place_of,
    placed,
)
from clew.models.inference._proof import Trial, exchanged, far, heads_apart, swap_all, swap_first
from clew.models.inference._seen import Call, Seen, giving, same
from clew.models.inference._shared import mixture_of, within
from clew.models.layout import NO_PATTERN, Kind, Map, Part
from clew.models.taps import Tap

NO_NEURONS = "what the MLP writes is given by no linear map, as in a mixture of experts"
NO_HEADS = "neither the pattern nor the values show that what the output projection reads is one head beside the other"


MIXED = ("head", "pattern")


@dataclass
class Draft:
    """A part while it is being found."""

    found: Found
    place: Place | None
    part: Part

    @classmethod
    def of(cls, seen: Seen, found: Found, others: Sequence[Found], streams: Sequence[Tensor | None]) -> Draft:
        """A first guess: an attention if one ran in it, else an MLP if it reads the stream, and a mixer if not."""
        place, after = _place(seen, found, others, streams)
        kind: Kind = "mlp" if place else "mixer"
        if found.attended:
            kind = "cross" if seen.memory is not None and _is_cross(found) else "attn"
        projection = None if kind == "mixer" else found.projection  # a mixer has no neurons
        why = f"what {below(found.block, found.write)} reads is neither the stream nor one norm of it"
        part = Part(
            kind,
            place.write if place else below(found.block, found.write),
            place.reads if place else "",
            place.norm if place else "",
            after,
            found.factor,
            found.norm_after,
            "" if projection is None else below(found.block, projection),
            "" if projection in (None, found.write) else below(found.block, found.write),
            missing={} if place else {f"{kind}_in": why},
        )
        return cls(found, place, part)

    def attend(self, seen: Seen, short: Seen, known: Projections | None) -> Projections | None:
        """Look for the maps, the heads and the pattern of an attention. Returns: the maps, for the next block."""
        found, part = self.found, self.part
        try:
            maps = Projections.of(short, found.block, found.projection, found.attended[0].owner, known)
        except ValueError as error:
            names = map(part.site, ("q", "k", "v", "pattern", "head"))
            self.part = without(replace(part, projection=""), str(error), *names)
            return known
        part = replace(part, maps=self._told_apart(seen, maps.maps), heads=maps.heads)
        if maps.missing:
            part = replace(part, missing={**part.missing, **{part.site(n): why for n, why in maps.missing.items()}})
        once = len(found.attended) == 1
        gate = gate_of(seen, found, maps.maps, maps.heads[0]) if once and part.kind == "attn" else None
        if gate is not None:
            gate_map = self._told_apart(seen, {"gate": gate[0]})
            part = replace(part, maps={**part.maps, **gate_map}, gate=gate[1], gated=True)
        if found.projection is None:
            part = without(part, "what the attention writes is given by no linear map", *map(part.site, MIXED))
        elif not once:
            why = f"attention ran {len(found.attended)} times"
            part = without(replace(part, projection=""), why, *map(part.site, MIXED))
        elif pattern := _pattern(seen, found, gate is not None):
            part = _called(seen, found, replace(part, pattern=pattern, sinks=found.attended[0].sinks))
        else:
            part = without(part, NO_PATTERN, part.site("pattern"))
        if part.pattern and "v" not in part.maps:
            why = "the values that it would mix are not found"
            part = without(replace(part, pattern=""), why, part.site("pattern"))
        self.part = part
        return maps

    def _told_apart(self, seen: Seen, maps: Mapping[str, Map]) -> dict[str, Map]:
        """The maps, those marked that do not read what the part reads."""
        block = self.found.block.path
        x = getattr(seen.call(f"{block}.{self.part.reads}"), "x", None)
        calls = {name: seen.call(f"{block}.{map.path}") for name, map in maps.items()}
        read = dict.fromkeys("kv", seen.memory) if self.part.kind == "cross" else {}
        return {n: replace(m, latent=not same(getattr(calls[n], "x", None), read.get(n, x))) for n, m in maps.items()}

    def fails(self) -> None:
        """What it reads is not where it seemed, or not all of it."""
        why = f"what {self.part.write} writes does not follow from what {self.part.reads} reads alone"
        gone = [f"{self.part.kind}_in", *map(self.part.site, self.part.maps)]
        self.part = without(replace(self.part, reads="", norm="", after=0, maps={}, pattern=""), why, *gone)


def _is_cross(found: Found) -> bool:
    """Whether an attention reads keys of other positions than its queries, in a pass in which their numbers differ."""
    return found.attended[0].key.shape[2] != found.attended[0].query.shape[2]


def without(part: Part, why: str, *names: str) -> Part:
    """The same part, in which these have no place."""
    return replace(part, missing={**dict.fromkeys(names, why), **part.missing})


def _place(
    seen: Seen, found: Found, others: Sequence[Found], streams: Sequence[Tensor | None]
) -> tuple[Place | None, int]:
    """Where a part is, and after how many writes the stream that it reads stands; None where it reads another thing."""
    for place in _places(seen, found, others, streams):
        entered = enters(seen, found.block, place)
        for after, stream in enumerate(streams):
            if stream is not None and same(stream, entered) and _is_norm(seen, found, place, stream):
                return place, after
    return None, others.index(found)  # after all that are added before it, for all that is known


def _is_norm(seen: Seen, found: Found, place: Place, stream: Tensor) -> bool:
    """Whether what stands before a part, if anything does, gives each position by itself, however many axes there are."""
    norm = seen.call(f"{found.block.path}.{place.norm}") if place.norm else None
    if norm is None or norm.y is None:
        return not place.norm
    try:
        with torch.no_grad():
            return not far(norm.module.forward(stream[:, None])[:, 0], norm.y)
    except Exception:  # whatever a module that was made for other shapes raises
        return False


def _places(seen: Seen, found: Found, others: Sequence[Found], streams: Sequence[Tensor | None]) -> Iterator[Place]:
    """Where a part may be, the likeliest first."""
    if found.projection is not None:
        with suppress(ValueError):
            yield place_of(seen, found, first_linear_maps(seen, found, others), streams)
    if (outer := outermost(seen, found, streams)) is not None:
        yield placed(seen, found, outer, streams)


def _pattern(seen: Seen, found: Found, gated: bool) -> str:
    """Where the probabilities are seen; nowhere, unless what they mix is what the output projection, or a gate, reads."""
    projection, (attended, *_) = found.projection, found.attended
    if projection is None or not (gated or same(projection.x, attended.mix)):
        return ""
    if attended.interface:
        return "interface"
    inside = seen.within(found.block.path)
    hands_on = next(iter(giving(inside, attended.probabilities)), None)
    return "" if hands_on is None else below(found.block, hands_on)


def _called(seen: Seen, found: Found, part: Part) -> Part:
    """The same attention, with the module that calls transformers' interface where it is not that of the projection."""
    owner = found.attended[0].owner
    if part.pattern != "interface" or owner is found.block.module.get_submodule(part.caller):
        return part
    path = next(below(found.block, c) for c in seen.within(found.block.path) if c.module is owner)
    return replace(part, attends=path)


def prove(seen: Seen, drafts: Sequence[Draft]) -> None:
    """Tell what mixes positions from what does not; take back what a part is not proved to read, and heads that are none."""
    for draft in drafts:
        if draft.part.kind == "mlp" and not draft.part.projection:
            draft.part = _mixture(draft)
    _prove_mlps(seen, [d for d in drafts if d.place and d.part.kind == "mlp"])
    mixtures = [d for d in drafts if d.part.kind == "mlp" and not d.part.projection]
    _find_experts(seen, mixtures)
    _find_shared(seen, [d for d in mixtures if d.part.mixture])
    _prove_mixing(seen, [d for d in drafts if d.place and d.part.kind != "mlp"])
    _find_gates(seen, [d for d in drafts if d.part.by_heads])
    _prove_heads(seen, [d for d in drafts if d.part.maps and d.part.projection and not d.part.pattern])


def _prove_mlps(seen: Seen, drafts: Sequence[Draft]) -> None:
    """Each writes at a position what follows from what it reads there; those that mix positions become mixers."""
    for draft, found in zip(drafts, exchanged(seen, [_trial(seen, d) for d in drafts], swap_first), strict=True):
        if found == "elsewhere":
            draft.part = _mixer(draft.part)
        elif found == "no":
            draft.fails()


def _prove_mixing(seen: Seen, drafts: Sequence[Draft]) -> None:
    """What an attention or a mixer writes follows from what it reads."""
    for draft, found in zip(drafts, exchanged(seen, [_trial(seen, d) for d in drafts], swap_all), strict=True):
        if found != "yes":
            draft.fails()


def _prove_heads(seen: Seen, drafts: Sequence[Draft]) -> None:
    """Without a pattern that shows it, the values of one head change what the projection reads of that head alone."""
    shown = [d for d in drafts if "v" in d.part.maps]
    apart = heads_apart(seen, [(d.found.block, d.part) for d in shown])
    for draft in drafts:
        if draft in shown and apart[shown.index(draft)]:
            continue
        why = f"what {draft.part.projection} reads is not one head beside the other, each of its own values"
        own = draft.part.site("head")
        draft.part = without(replace(draft.part, projection=""), why if draft in shown else NO_HEADS, own)


def _find_experts(seen: Seen, drafts: Sequence[Draft]) -> None:
    """The module of each mixture whose experts, asked one by one, add up to what it gives."""
    doors = [below(d.found.block, d.found.maker).partition(".")[0] for d in drafts]
    rooms = {f"{d.found.block.path}.{door}.": d for d, door in zip(drafts, doors, strict=True)}
    for path, units in experts_in(seen, rooms).items():
        draft = next(d for room, d in rooms.items() if f"{path}.".startswith(room))
        below_block = path.removeprefix(f"{draft.found.block.path}.")
        missing = {name: why for name, why in draft.part.missing.items() if name != "neuron" or not units}
        draft.part = replace(draft.part, experts=below_block, expert_units=units, missing=missing)


def _find_shared(seen: Seen, drafts: Sequence[Draft]) -> None:
    """The module of each mixture that is its shared experts."""
    for draft, part in zip(drafts, within(seen, [(d.found, d.part) for d in drafts]), strict=True):
        draft.part = part


def _mixture(draft: Draft) -> Part:
    """The same part, which no linear map writes: a mixture, where there are experts."""
    found, mixture = draft.found, mixture_of(draft.found)
    if not mixture:
        return without(draft.part, NO_NEURONS, "neuron", "mlp_out")
    norm = "" if found.maker is found.write else below(found.block, found.write)
    return without(replace(draft.part, mixture=mixture, norm_out=norm), NO_NEURONS, "neuron")


def _mixer(part: Part) -> Part:
    """The same part, found to mix positions: it has no neurons."""
    missing = {"mixer_in" if name == "mlp_in" else name: why for name, why in part.missing.items()}
    kept = {name: why for name, why in missing.items() if name not in ("neuron", "mlp_out")}
    return replace(part, kind="mixer", projection="", mixture="", missing=kept)


def _trial(seen: Seen, draft: Draft) -> Trial:
    """What the part reads, exchanged."""
    block, place = draft.found.block, draft.place
    assert place is not None
    reads = [place.reads, *{m.path for n, m in draft.part.maps.items() if n in "kv" and draft.part.kind == "cross"}]
    taps = tuple(Tap(block.module.get_submodule(path), "in", turn=block.turn) for path in reads)
    return Trial(taps, _write(seen, draft))


def _write(seen: Seen, draft: Draft) -> Call:
    call = seen.call(f"{draft.found.block.path}.{draft.part.write}")
    assert call is not None
    return call


def _find_gates(seen: Seen, drafts: Sequence[Draft]) -> None:
    """Of what is an attention by heads, whether it follows from queries, keys and values alone."""
    trials: list[Trial] = []
    for draft in drafts:
        block, maps = draft.found.block, draft.part.maps.values()
        taps = [Tap(block.module.get_submodule(map.path), "out", map.rows, turn=block.turn) for map in maps]
        trials.append(Trial(tuple(taps), _write(seen, draft)))
    for draft, found in zip(drafts, exchanged(seen, trials, swap_all), strict=True):
        draft.part = replace(draft.part, gated=found != "yes")
