"""Shared experts: a second MLP of a block, beside its mixture of experts or within it.

Within it, they are a module that reads what the mixture reads, and whose output is part of what the mixture gives: when it
is exchanged between two prompts, the mixture's output moves by just as much, or by that times the sigmoid of one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from clew.models.experts import count
from clew.models.inference._parts import Found, below
from clew.models.inference._proof import far, kept, swap_all
from clew.models.inference._seen import Call, Seen, giving, run, same
from clew.models.inference._stream import same_shape
from clew.models.layout import Part
from clew.models.state import Held, in_state
from clew.models.taps import Tap

RENAMED = {"mlp_in": "shared_in", "neuron": "shared_neuron", "mlp_out": "shared_out"}


def beside(parts: Sequence[Part]) -> list[Part]:
    """The same parts: of two MLPs that read the same stream, one a mixture, the other is that of the shared experts."""
    mlps = [part for part in parts if part.kind == "mlp" and part.reads]
    dense, mixtures = ([p for p in mlps if p.projection], [p for p in mlps if p.experts])
    if len(dense) != 1 or len(mixtures) != 1 or dense[0].after != mixtures[0].after:
        return list(parts)
    missing = {RENAMED.get(name, name): why for name, why in dense[0].missing.items()}
    return [replace(part, kind="shared", missing=missing) if part is dense[0] else part for part in parts]


def mixture_of(found: Found) -> str:
    """The module that gives what the experts of a part give; empty where it holds none side by side."""
    held = found.maker.module.modules()
    return below(found.block, found.maker) if any(count(module) > 1 for module in held) else ""


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A module that may be the shared experts of a mixture."""

    shared: Call
    projection: Call | None
    mixture: Call
    gates: list[Call]
    """Linear maps of what they read to one number."""


def within(seen: Seen, mixtures: Sequence[tuple[Found, Part]]) -> list[Part]:
    """The same parts of blocks, with shared experts where one module alone is proved to be them."""
    tried = [_candidates(seen, found, part) for found, part in mixtures]
    proved: list[list[Part]] = [[] for _ in mixtures]
    for turn in range(max(map(len, tried), default=0)):
        chosen = {i: some[turn] for i, some in enumerate(tried) if turn < len(some)}
        moved = _moved(seen, list(chosen.values()))
        for i, candidate in chosen.items():
            found, part = mixtures[i]
            if (gate := _gate(candidate, moved.get(candidate.mixture.path))) is not None:
                proved[i].append(_with(found.block, part, candidate, gate))
    return [_one(part, some) for (_, part), some in zip(mixtures, proved, strict=True)]


def _candidates(seen: Seen, found: Found, part: Part) -> list[_Candidate]:
    """Modules of a mixture that hold no experts, and make of what it reads something of the same shape."""
    room = found.maker
    inside = [c for c in seen.within(room.path) if same(c.x, room.x)]
    gates = [c for c in inside if c.linear and c.y is not None and c.y.shape[-1] == 1]
    chosen: list[_Candidate] = []
    for call in sorted(inside, key=lambda c: c.path.count(".")):
        within_another = any(call.path.startswith(f"{other.shared.path}.") for other in chosen)
        if (
            call.linear
            or not same_shape(call)
            or within_another
            or _holds_experts(below(found.block, call), call, part)
        ):
            continue
        down = next(iter(giving((c for c in seen.within(call.path) if c.linear), call.y)), None)
        chosen.append(_Candidate(call, down, room, gates))
    return chosen


def _holds_experts(path: str, call: Call, part: Part) -> bool:
    """Whether a module is, holds or is part of the experts of a mixture; of those not known, any that lie side by side."""
    if part.experts:
        return f"{path}.".startswith(f"{part.experts}.") or part.experts.startswith(f"{path}.")
    return any(count(module) for module in call.module.modules())


def _moved(seen: Seen, candidates: Sequence[_Candidate]) -> dict[str, Tensor]:
    """By path, what mixtures give where what each candidate gives is exchanged."""
    found: dict[str, Tensor] = {}

    def work(held: Held) -> None:
        for c in candidates:
            assert c.mixture.y is not None
            Tap(c.shared.module, "out", turn=c.shared.turn).attach(held, swap_all, len(seen.tokens))
            own = partial(kept, found, c.mixture.path, c.mixture.y)
            Tap(c.mixture.module, "out", turn=c.mixture.turn).attach(held, own, len(seen.tokens))
        run(seen.module, seen.tokens)

    in_state(seen.module, work)
    return found


def _gate(candidate: _Candidate, moved: Tensor | None) -> Call | str | None:
    """The gate through which a candidate joins its mixture, empty if there is none; None if it joins in another way."""
    given, own = candidate.shared.y, candidate.mixture.y
    if moved is None or given is None or own is None:
        return None
    change = swap_all(given) - given
    if not bool(change.any()):
        return None
    if not far(moved - own, change):
        return ""
    return next((g for g in candidate.gates if g.y is not None and not far(moved - own, change * g.y.sigmoid())), None)


def _with(block: Call, part: Part, candidate: _Candidate, gate: Call | str) -> Part:
    down = candidate.projection
    why = "what the shared experts give is given by no linear map"
    return replace(
        part,
        shared=below(block, candidate.shared),
        shared_gate=gate if isinstance(gate, str) else below(block, gate),
        shared_projection="" if down is None else below(block, down),
        missing={**part.missing, **({} if down else dict.fromkeys(("shared_neuron", "shared_out"), why))},
    )


def _one(part: Part, proved: Sequence[Part]) -> Part:
    if len(proved) < 2:
        return proved[0] if proved else part
    paths = " and ".join(one.shared for one in proved)
    why = f"which of {paths} are the shared experts cannot be told"
    return replace(part, missing={**part.missing, **dict.fromkeys(("shared", "shared_neuron", "shared_out"), why)})
