"""clew verify: how much of a behaviour a circuit explains, how good a dictionary is, or what an edit changes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from clew.apps.cli._evidence import Evidence, Text, as_evidence, labelled_texts, only_one, stack_of, usual_windows
from clew.apps.cli._groups import Asked, Machine, View, unfolded
from clew.apps.cli._options import given, options_of
from clew.apps.cli._terminal import Flag, Json, Several, aside, following, say
from clew.files import write_json, write_text
from clew.progress import Stopped

USUAL = {
    "--dictionary": "fit",
    "--undo": "undone",
    "--facts": "success",
    "--secrets": "extraction_attacks",
    "--text": "locality",
    "--edit": "steering_effect",
}
"""What `by` is by default, by the first of these options that is given."""


def claimed(tokens: Sequence[str]) -> str:
    """The room of measures of what is measured."""
    if any(given(option, tokens) for option in ("--edit", "--undo", "--facts", "--secrets")):
        return "measures.edits"
    return "measures.dictionaries" if given("--dictionary", tokens) else "measures.circuits"


@unfolded
@dataclass(frozen=True)
class Claim:
    """What is measured, if it is no circuit."""

    dictionary: Annotated[tuple[Path, ...], Several] = ()
    """Measure these dictionaries instead of a circuit."""
    edit: Annotated[tuple[Path, ...], Several] = ()
    """Measure these edits instead, made one after the other: what `clew edit` saved, or vector files of other tools."""
    undo: Flag = False
    """Make the edits, undo them, and count the bits that differ."""
    other: Path | None = None
    """What to compare with: a dictionary for overlap, a circuit for reuse."""


@as_evidence
@dataclass(frozen=True)
class Measured(Text):
    """Text that edits or dictionaries are measured on."""

    text: Annotated[tuple[str, ...], Several] = ()
    """What to measure edits or dictionaries on: files or folders, `wikipedia`; for measures of dictionaries by task, a
    JSONL of labelled texts, or `bios`, `word_classes`, `first_letters`, which clew generates."""


@unfolded
@dataclass(frozen=True)
class Written:
    """Where the result goes."""

    out: Path | None = None
    """Save the report here, for `clew show --report`."""
    html: Path | None = None
    """Write a page of the dictionaries' measures here."""
    json: Json = False

    def say(self, shown: str, value: Any) -> None:
        """Save the value and say it, for people or for machines."""
        if self.out:
            write_json(self.out, value)
            shown += f"\nsaved as {self.out}"
        say(shown + (f"\nopen {self.html} in a browser" if self.html else ""), value, self.json)


@options_of(claimed, USUAL)
def verify(
    model: str,
    behaviour: str | None = None,
    circuit: Path | None = None,
    /,
    *,
    by: str = "faithfulness",
    claim: Claim = Claim(),
    given: Evidence = Evidence(),
    text: Measured = Measured(),
    view: View = View(),
    asked: Asked = Asked(),
    machine: Machine = Machine(),
    written: Written = Written(),
    **options: Any,
) -> None:
    """Measure a circuit on held-out prompts, dictionaries on text, or what edits change. More options come from the
    measure: `clew verify --by NAME --help`.

    Of dictionaries: `clew verify MODEL --dictionary FILE --text FILE`; the model sees the text itself, so give text that
    they were not fitted on. Of edits: `clew verify MODEL --edit FILE` and what to measure on, one of a behaviour, --facts,
    --secrets, --labelled and --text; or --undo, which shows that taking them back leaves every bit as it was.

    Parameters
    ----------
    model
        The model the circuit was found in.
    behaviour
        The behaviour it was found for, or another one to test it on.
    circuit
        What `clew find` saved; give the view that it was found in.
    by
        The measure: a file of clew/measures/circuits, of clew/measures/dictionaries or of clew/measures/edits. What
        goes with what is measured by default.
    """
    if claim.undo and not claim.edit:
        raise ValueError("--undo takes edits back; name them by --edit FILE")
    if given and not claim.edit:
        raise ValueError("--facts, --secrets and --labelled are what edits are measured on; name them by --edit FILE")
    if claim.edit:
        if claim.dictionary or circuit or written.html:
            raise ValueError("--edit is measured by itself; leave circuit, --dictionary and --html out")
        posed = {"BEHAVIOUR": partial(asked.behaviour, behaviour) if behaviour else None}
        ways = {**posed, **given.ways(), "--text": text.windows if text.text else None}
        bare = claim.undo and not any(ways.values())
        on = usual_windows if bare else only_one(ways, "as in --facts facts.json")
        report = _edits(view.open(model, machine), claim.edit, by, on, options)
        written.say(str(report), report.to_json())
    elif claim.dictionary:
        if behaviour or circuit or view:
            raise ValueError(
                "--dictionary is measured on --text; leave behaviour, circuit and the view of the model out"
            )
        reports = _dictionaries(machine.open(model), claim, by, text, options)
        if written.html:
            from clew.apps.pages.dictionary import dictionary_page

            write_text(written.html, dictionary_page(reports))
        shown = "\n\n".join(f"{name}: {report}" for name, report in reports.items())
        written.say(shown, {name: report.to_json() for name, report in reports.items()})
    else:
        if written.html or text.text:
            raise ValueError("--html and --text are about dictionaries and edits; name them by --dictionary or --edit")
        if behaviour is None or circuit is None:
            raise ValueError(
                "give a behaviour and a circuit, --dictionary and --text, or --edit and what to measure it on"
            )
        from clew.circuits.circuit import Circuit
        from clew.readings.contrast import check_view

        nodes = Circuit.load(circuit)
        options |= {"other": Circuit.load(claim.other)} if claim.other else {}
        seen = view.open(model, machine)
        if nodes.kind.of == "units":  # said before the pairs are tried, which takes long
            check_view(seen, nodes)
        task = asked.behaviour(behaviour, seen)
        said = f"{by.replace('_', ' ')} of {circuit} on {behaviour}"
        try:
            report = _measured(said, seen, task, nodes, by=by, **options)
        except Stopped as stopped:
            written.say(str(stopped.result), stopped.result.to_json())
            raise
        written.say(str(report), report.to_json())


def _edits(seen: Any, paths: Sequence[Path], by: str, on: Callable[[Any], Any], options: dict[str, Any]) -> Any:
    """The report on edits, measured on what `on` makes for the model."""
    evidence, stack = on(seen), stack_of(paths, seen)
    said = f"{by.replace('_', ' ')} of {stack.name or 'the edits'}"
    return _measured(said, seen, evidence, stack, by=by, **options)


def _measured(said: str, model: Any, evidence: Any, claim: Any, *, by: str, **options: Any) -> Any:
    """What `verify` reports; the notes that are printed say what it would also warn of."""
    import clew
    from clew.finder import load
    from clew.provenance import MetAgain

    with following(said, load(claim.measured_in, by)) as told, warnings.catch_warnings():
        warnings.simplefilter("ignore", MetAgain)
        return clew.verify(model, evidence, claim, by=by, **options, **told)


def _dictionaries(seen: Any, claim: Claim, by: str, text: Text, options: dict[str, Any]) -> dict[str, Any]:
    """A report for each dictionary, by the site it writes and what it is."""
    import clew

    options |= {"other": _one_dictionary(claim.other)} if claim.other else {}
    found = [d for path in claim.dictionary for d in clew.Dictionary.load(path)]
    on = _measured_on(seen, by, text)
    reports: dict[str, Any] = {}
    for one in found:
        if one.joint:
            aside(f"left out: the {one.kind} at {one.writes} reads several sites, and these measures read one")
            continue
        name = f"{one.writes} {one.kind} {one.n_units}"
        name = name if name not in reports else f"{name} ({one.fingerprint})"
        said = f"{by.replace('_', ' ')} of {name}"
        reports[name] = _measured(said, seen, on, one, by=by, **options)
    return reports


def _one_dictionary(path: Path) -> Any:
    import clew

    found = clew.Dictionary.load(path)
    if len(found) > 1:
        raise ValueError(f"--other compares with one dictionary and {path} holds {len(found)}; name one file")
    return found[0]


def _measured_on(seen: Any, by: str, text: Text) -> Any:
    """What the measure asks for: windows of text, or labelled texts."""
    from typing import get_type_hints

    from clew.data.labels.labelled import Labelled
    from clew.finder import load

    if not text.text:
        raise ValueError("say what to measure the dictionaries on: --text FILE, or --text wikipedia")
    if Labelled not in get_type_hints(load("measures.dictionaries", by)).values():
        return text.windows(seen)
    name, *more = text.text
    if more:
        raise ValueError(f"{by} takes one set of labelled texts; {len(text.text)} were given")
    return labelled_texts(name, seen)
