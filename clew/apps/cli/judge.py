"""clew judge: say of each unit of a circuit whether to keep or drop it, and why."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from clew.apps._cards import known
from clew.apps.cli._terminal import Json, Several, aside, say

HELP = "k keep, d drop (a reason may follow: d fires on she), s skip, u undo, q quit; everything said is saved at once"


def judge(
    circuit: Path,
    /,
    *,
    out: Path,
    drop: Annotated[tuple[str, ...], Several] = (),
    keep: Annotated[tuple[str, ...], Several] = (),
    merge: Annotated[tuple[Path, ...], Several] = (),
    by: str | None = None,
    page: Path | None = None,
    json: Json = False,
) -> None:
    """Judge the units of a circuit, one after the other; asked again, it goes on where it stopped.

    With --drop, --keep or --merge nothing is asked. With --page the units are judged in a browser, offline, and the
    page's button saves the same file. What comes out is for `clew shift` and `clew edit --by shift`.

    Parameters
    ----------
    circuit
        What `clew find` saved, or `clew shift --circuit`, which also holds the tokens that units fire on: they are shown.
    out
        The verdicts, one JSON file; if it is there, it is gone on with.
    drop
        Units to drop, each with a reason if you like: resid.3/17="fires on she".
    keep
        Units to keep, likewise.
    merge
        Verdicts of others to take in; where two ruled, the later day holds.
    by
        Who judges; your login name by default.
    page
        Write a page to judge on instead.
    """
    from clew.circuits.circuit import Circuit
    from clew.scale.alone import alone

    judged_circuit = Circuit.load(circuit)
    by = getpass.getuser() if by is None else by
    if page:
        from clew.apps.pages.circuit import page as page_of
        from clew.files import write_text

        verdicts = _so_far(judged_circuit, out, merge)
        write_text(page, page_of(judged_circuit, verdicts=verdicts))
        said = f"open {page} in a browser; save what its button gives as {out}"
        say(said, {"page": str(page), "open": len(verdicts.open)}, json)
        return
    with alone(out, "judging"):
        verdicts = _so_far(judged_circuit, out, merge)
        for verdict, given in (("drop", drop), ("keep", keep)):
            for one in given:
                address, _, reason = one.partition("=")
                verdicts = getattr(verdicts, verdict)(address, reason, judge=by)
        if drop or keep or merge:
            verdicts.save(out)
        else:
            verdicts = _ask(judged_circuit, verdicts, by, lambda judged: judged.save(out))
    value = {"verdicts": str(out), "open": len(verdicts.open), "units": verdicts.to_json()["units"]}
    say(f"{verdicts}; saved as {out}", value, json)


def _so_far(circuit: Any, out: Path, merge: Sequence[Path]) -> Any:
    from clew.circuits.verdicts import Verdicts

    verdicts = Verdicts.of(circuit)
    for path in (*([out] if out.exists() else []), *merge):
        verdicts = verdicts | Verdicts.load(path)
    return verdicts


def _ask(circuit: Any, verdicts: Any, by: str, save: Callable[[Any], Any]) -> Any:
    """Show the open units and take an answer for each, saving after every one."""
    nodes = {node.address: node for node in circuit.everywhere()}
    waiting, before = list(verdicts.open), list[tuple[str, Any]]()
    save(verdicts)
    aside(HELP)
    at = 0
    while at < len(waiting):
        address = waiting[at]
        if address in nodes:
            aside(f"\n{at + 1} of {len(waiting)}  {_shown(circuit, nodes[address])}")
        try:
            answer, _, reason = input("k/d/s/u/q? ").strip().partition(" ")
        except EOFError:
            break
        if answer == "q":
            break
        if answer == "u":
            if before:
                at -= 1
                verdicts = before.pop()[1]
                save(verdicts)
            else:
                aside("there is nothing to undo")
        elif answer in ("k", "d", "s"):
            before.append((address, verdicts))
            if answer != "s":
                rule = verdicts.keep if answer == "k" else verdicts.drop
                verdicts = rule(address, reason.strip(), judge=by)
                save(verdicts)
            at += 1
        else:
            aside(f"{answer!r} is no answer; {HELP}")
    return verdicts


def _shown(circuit: Any, node: Any) -> str:
    """A unit as people read it: its effect, the tokens it fires on, passages, and what it promotes and suppresses."""
    told = {name: known(circuit, node.address, name) for name in ("top_tokens", "examples", "promotes", "suppresses")}
    lines = [f"{node.address}  effect {node.score:+.3g}  {node.label}".rstrip()]
    if told["top_tokens"] is None:
        lines.append("  nothing is known of what it fires on: no text was read")
    else:
        lines.append(f"  fires on  {' '.join(map(repr, told['top_tokens'])) or 'nothing that was read'}")
    lines += [f"  {passage!r}" for passage in told["examples"] or ()]
    lines += [f"  {name}  {' '.join(map(repr, told[name] or ()))}" for name in ("promotes", "suppresses") if told[name]]
    return "\n".join(lines)
