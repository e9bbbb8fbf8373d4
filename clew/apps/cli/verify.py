"""clew verify: how much of a behaviour a circuit explains, or how good a dictionary is."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

from clew.apps.cli._options import options_of
from clew.apps.cli._terminal import Flag, Json, Several, aside, open_behaviour, open_lens, say, working
from clew.files import write_json


@options_of("measures", {"--dictionary": "dictionary_fit"})
def verify(
    model: str,
    behaviour: str | None = None,
    circuit: Path | None = None,
    /,
    *,
    by: str = "faithfulness",
    dictionary: Annotated[tuple[Path, ...], Several] = (),
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
    """Measure a circuit on held-out prompts, or dictionaries on text. More options come from the measure:
    `clew verify --by NAME --help`.

    Of dictionaries: `clew verify MODEL --dictionary FILE --text FILE`; the model sees the text itself, so give text that
    they were not fitted on.

    Parameters
    ----------
    model
        The model the circuit was found in.
    behaviour
        The behaviour it was found for, or another one to test it on.
    circuit
        What `clew find` saved.
    by
        The measure: a file of clew/measures; those named dictionary_* are for dictionaries.
    dictionary
        Measure these dictionaries instead of a circuit.
    text
        What to measure dictionaries on: files or folders, `wikipedia`; for measures by task, a JSONL of labelled texts,
        or `bios`, `word_classes`, `first_letters`, which clew generates.
    tokens
        How much of the text.
    context
        Longest window of the text in tokens.
    other
        What to compare with: a dictionary for dictionary_overlap, a circuit for reuse.
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
    if dictionary:
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
            from clew.apps.page.dictionary import dictionary_page
            from clew.files import write_text

            write_text(html, dictionary_page(reports))
        shown = "\n\n".join(f"{name}: {report}" for name, report in reports.items())
        value: dict[str, Any] = {name: report.to_json() for name, report in reports.items()}
    else:
        if html or text:
            raise ValueError("--html and --text are about dictionaries; name them by --dictionary")
        if behaviour is None or circuit is None:
            raise ValueError("give a behaviour and a circuit, or --dictionary and --text")
        from clew.circuit import Circuit

        nodes = Circuit.load(circuit)
        options |= {"other": Circuit.load(other)} if other else {}
        view: dict[str, Any] = {"through": through, "neurons": neurons, "heads": heads, "components": components}
        lens = open_lens(model, **view, dtype=dtype, device=device)
        import clew

        task = open_behaviour(behaviour, lens, examples, metric, all_pairs)
        with working(f"{by.replace('_', ' ')} of {circuit} on {behaviour}"):
            report = clew.verify(lens, task, nodes, by=by, **options)
        shown, value = str(report), report.to_json()
    if out:
        write_json(out, value)
    say(shown + (f"\nsaved as {out}" if out else "") + (f"\nopen {html} in a browser" if html else ""), value, json)


def _dictionaries(
    lens: Any, paths: tuple[Path, ...], by: str, text: tuple[str, ...], tokens: int, context: int, options: dict[str, Any]
) -> dict[str, Any]:  # fmt: skip
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
            reports[name] = clew.verify(lens, evidence, one, by=by, **options)
    return reports


def _evidence(lens: Any, by: str, text: tuple[str, ...], tokens: int, context: int) -> Any:
    """What the measure asks for: windows of text, or labelled texts."""
    from itertools import chain
    from typing import get_type_hints

    from clew.apps.cli.record import named_texts
    from clew.data.labelled import Labelled
    from clew.data.windows import cut
    from clew.finder import load

    if not text:
        raise ValueError("say what to measure the dictionaries on: --text FILE, or --text wikipedia")
    if Labelled not in get_type_hints(load("measures", by)).values():
        with working("reading and cutting the text"):
            return cut(chain.from_iterable(map(named_texts, text)), lens.tokenizer, context=context, limit=tokens)
    name, *more = text
    if more:
        raise ValueError(f"{by} takes one set of labelled texts; {len(text)} were given")
    return _labelled(lens, name, Path(name))


def _labelled(lens: Any, name: str, path: Path) -> Any:
    """A file of labelled texts, all of whose columns but `text` are labels; or those that clew generates."""
    from clew.data.bios import bios
    from clew.data.first_letters import first_letters
    from clew.data.labelled import Labelled
    from clew.data.word_classes import word_classes

    generated = {"bios": bios, "word_classes": word_classes, "first_letters": lambda: first_letters(lens)}
    if name in generated and not path.exists():
        return generated[name]()
    if not path.is_file():
        raise ValueError(f"there is no file {name} of labelled texts; clew generates {', '.join(generated)}")
    with path.open(encoding="utf-8") as file:
        try:
            first = jsonlib.loads(next(iter(file), "{}"))
        except jsonlib.JSONDecodeError as error:
            raise ValueError(
                f'{path} is no file of JSON lines ({error}); a line looks like {{"text": "...", "label": "..."}}. '
                f"Or name what clew generates: {', '.join(generated)}"
            ) from error
    return Labelled.load(path, labels=[column for column in first if column != "text"])
