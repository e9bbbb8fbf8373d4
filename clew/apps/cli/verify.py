"""clew verify: how much of a behaviour a circuit explains, how good a dictionary is, or what an edit changes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from clew.apps.cli._evidence import (
    facts_of,
    labelled_texts,
    only_one,
    secrets_of,
    stack_of,
    text_windows,
    usual_windows,
)
from clew.apps.cli._options import given, options_of
from clew.apps.cli._terminal import Flag, Json, Several, aside, open_behaviour, open_lens, say, working
from clew.files import write_json

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


@options_of(claimed, USUAL)
def verify(
    model: str,
    behaviour: str | None = None,
    circuit: Path | None = None,
    /,
    *,
    by: str = "faithfulness",
    dictionary: Annotated[tuple[Path, ...], Several] = (),
    edit: Annotated[tuple[Path, ...], Several] = (),
    undo: Flag = False,
    facts: str | None = None,
    secrets: Path | None = None,
    labelled: str | None = None,
    text: Annotated[tuple[str, ...], Several] = (),
    tokens: int = 20_000,
    context: int = 64,
    other: Path | None = None,
    html: Path | None = None,
    through: Annotated[tuple[Path, ...], Several] = (),
    neurons: Annotated[tuple[str, ...], Several] = (),
    heads: Flag = False,
    components: Flag = False,
    examples: int | None = None,
    metric: str | None = None,
    all_pairs: Flag = False,
    out: Path | None = None,
    dtype: str | None = None,
    device: str | None = None,
    json: Json = False,
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
        What `clew find` saved.
    by
        The measure: a file of clew/measures/circuits, of clew/measures/dictionaries or of clew/measures/edits. What
        goes with what is measured by default.
    dictionary
        Measure these dictionaries instead of a circuit.
    edit
        Measure these edits instead, made one after the other: what `clew edit` saved, or vector files of other tools.
    undo
        Make the edits, undo them, and count the bits that differ.
    facts
        What to measure edits on: a file of facts, or a number: that many of clew's own that the model knows.
    secrets
        What to measure edits on: JSON lines of prompts and what must not follow them.
    labelled
        What to measure edits on: JSON lines of labelled texts, or `bios`, `word_classes`, `first_letters`.
    text
        What to measure edits or dictionaries on: files or folders, `wikipedia`; for measures of dictionaries by task, a
        JSONL of labelled texts, or `bios`, `word_classes`, `first_letters`, which clew generates.
    tokens
        How much of the text.
    context
        Longest window of the text in tokens.
    other
        What to compare with: a dictionary for overlap, a circuit for reuse.
    html
        Write a page of the dictionaries' measures here.
    through
        The dictionaries the circuit was found through.
    neurons
        The sites whose coordinates are its units.
    heads
        Its units are attention heads.
    components
        Its units are the embedding, heads and MLPs. A circuit of edges between these needs no such word.
    examples
        How many prompt pairs at most; the same number as `clew find` was given.
    metric
        What is measured on the answer: logit_difference, answer_logit, log_probability, probability_difference or
        kl_divergence; that of the behaviour by default.
    all_pairs
        Also use the pairs that the model gets wrong; they are left out by default.
    out
        Save the report here, for `clew show --report`.
    dtype
        float32, float16, bfloat16 or float64.
    device
        Where to run: cpu, cuda, cuda:1, mps.
    """
    if undo and not edit:
        raise ValueError("--undo takes edits back; name them by --edit FILE")
    if not edit and (facts or secrets or labelled):
        raise ValueError("--facts, --secrets and --labelled are what edits are measured on; name them by --edit FILE")
    view: dict[str, Any] = {"through": through, "neurons": neurons, "heads": heads, "components": components}
    if edit:
        if dictionary or circuit or html:
            raise ValueError("--edit is measured by itself; leave circuit, --dictionary and --html out")
        lens = open_lens(model, **view, dtype=dtype, device=device)
        given = {
            "BEHAVIOUR": bool(behaviour),
            "--facts": bool(facts),
            "--secrets": bool(secrets),
            "--labelled": bool(labelled),
            "--text": bool(text),
        }
        load = {
            "BEHAVIOUR": lambda: open_behaviour(str(behaviour), lens, examples, metric, all_pairs),
            "--facts": lambda: facts_of(lens, str(facts)),
            "--secrets": lambda: secrets_of(Path(str(secrets))),
            "--labelled": lambda: labelled_texts(lens, str(labelled)),
            "--text": lambda: text_windows(lens, text, tokens, context),
        }
        bare = undo and not any(given.values())
        evidence = usual_windows(lens) if bare else load[only_one(given, "as in --facts facts.json")]()
        stack = stack_of(edit, lens)
        with working(f"{by.replace('_', ' ')} of {stack.name or 'the edits'}"):
            report = _measured(lens, evidence, stack, by=by, **options)
        shown, value = str(report), report.to_json()
    elif dictionary:
        if behaviour or circuit or through or neurons or heads or components:
            raise ValueError(
                "--dictionary is measured on --text; leave behaviour, circuit and the view of the model out"
            )
        lens = open_lens(model, dtype=dtype, device=device)
        if other:
            import clew

            found = clew.Dictionary.load(other)
            if len(found) > 1:
                raise ValueError(f"--other compares with one dictionary and {other} holds {len(found)}; name one file")
            options["other"] = found[0]
        reports = _dictionaries(lens, dictionary, by, text, tokens, context, options)
        if html:
            from clew.apps.pages.dictionary import dictionary_page
            from clew.files import write_text

            write_text(html, dictionary_page(reports))
        shown = "\n\n".join(f"{name}: {report}" for name, report in reports.items())
        value: dict[str, Any] = {name: report.to_json() for name, report in reports.items()}
    else:
        if html or text:
            raise ValueError("--html and --text are about dictionaries and edits; name them by --dictionary or --edit")
        if behaviour is None or circuit is None:
            raise ValueError(
                "give a behaviour and a circuit, --dictionary and --text, or --edit and what to measure it on"
            )
        from clew.circuits.circuit import Circuit

        nodes = Circuit.load(circuit)
        options |= {"other": Circuit.load(other)} if other else {}
        lens = open_lens(model, **view, dtype=dtype, device=device)
        task = open_behaviour(behaviour, lens, examples, metric, all_pairs)
        with working(f"{by.replace('_', ' ')} of {circuit} on {behaviour}"):
            report = _measured(lens, task, nodes, by=by, **options)
        shown, value = str(report), report.to_json()
    if out:
        write_json(out, value)
    say(shown + (f"\nsaved as {out}" if out else "") + (f"\nopen {html} in a browser" if html else ""), value, json)


def _measured(*given: Any, **options: Any) -> Any:
    """What `verify` reports; the notes that are printed say what it would also warn of."""
    import clew
    from clew.provenance import MetAgain

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetAgain)
        return clew.verify(*given, **options)


def _dictionaries(
    lens: Any,
    paths: tuple[Path, ...],
    by: str,
    text: tuple[str, ...],
    tokens: int,
    context: int,
    options: dict[str, Any],
) -> dict[str, Any]:
    """A report for each dictionary, by the site it writes and what it is."""
    import clew

    found = [d for path in paths for d in clew.Dictionary.load(path)]
    evidence = _evidence(lens, by, text, tokens, context)
    reports: dict[str, Any] = {}
    for one in found:
        if one.joint:
            aside(f"left out: the {one.kind} at {one.writes} reads several sites, and these measures read one")
            continue
        name = f"{one.writes} {one.kind} {one.n_units}"
        name = name if name not in reports else f"{name} ({one.fingerprint})"
        with working(f"{by.replace('_', ' ')} of {name}"):
            reports[name] = _measured(lens, evidence, one, by=by, **options)
    return reports


def _evidence(lens: Any, by: str, text: tuple[str, ...], tokens: int, context: int) -> Any:
    """What the measure asks for: windows of text, or labelled texts."""
    from typing import get_type_hints

    from clew.data.labels.labelled import Labelled
    from clew.finder import load

    if not text:
        raise ValueError("say what to measure the dictionaries on: --text FILE, or --text wikipedia")
    if Labelled not in get_type_hints(load("measures.dictionaries", by)).values():
        return text_windows(lens, text, tokens, context)
    name, *more = text
    if more:
        raise ValueError(f"{by} takes one set of labelled texts; {len(text)} were given")
    return labelled_texts(lens, name)
