"""clew shift: stop a classifier from using what it should not, and compare with the other ways to do so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from clew.apps.cli._terminal import Json, Several, aside, open_lens, say, working


def shift(
    model: str,
    /,
    *,
    site: str,
    together: Annotated[tuple[str, ...], Several] = ("nurse=female", "professor=male"),
    through: Annotated[tuple[str, ...], Several] = (),
    texts: str = "bios",
    judged_on: Path | None = None,
    target: str = "profession",
    spurious: str = "gender",
    n: int = 1600,
    words: Annotated[tuple[str, ...], Several] = (),
    judged: Path | None = None,
    keywords: Annotated[tuple[str, ...], Several] = (),
    nodes: int = 100,
    attributed: int = 100,
    by: str = "integrated_gradients",
    steps: int = 10,
    epochs: int = 5,
    learn: float = 0.6,
    skip: int = 1,
    seed: int = 0,
    circuit: Path | None = None,
    out: Path | None = None,
    device: str | None = None,
    json: Json = False,
) -> None:
    """Learn a classifier where two labels always go together, edit out what a judge calls irrelevant, and tabulate.

    Rows: original, as many random features, SHIFT in neurons, a concept bottleneck, skylines that know the spurious
    label, SHIFT, SHIFT with a new head, BLIND, and an oracle that learns from balanced texts. All are judged on texts
    of which equally many are of each of the four groups.

    Parameters
    ----------
    model
        A name, folder, hub id or GGUF file.
    site
        Where the classifier reads, such as resid.8.
    together
        The two target classes and the spurious class that goes with each where one learns.
    through
        Dictionaries for the features; those that come with clew for this model by default.
    texts
        JSON lines with text and the two labels, or `bios`, which clew generates: half of what people of a profession do
        is told where one learns, the other half where one judges.
    judged_on
        JSON lines of other texts to judge on; then all of `texts` are learnt from.
    target
        The label to learn.
    spurious
        The label that must not be used.
    n
        How many texts to generate to learn from; half as many are judged on.
    words
        What the rule that judges looks for among the tokens a unit fires on; gendered words by default.
    judged
        What `clew judge` saved: it decides, and the rule only of units it does not know.
    keywords
        The concepts of the bottleneck; those of the generated professions by default.
    nodes
        How many units are judged, the strongest.
    attributed
        How many texts a circuit is found on.
    by
        The method that finds it.
    steps
        Of integrated gradients.
    epochs
        Of the classifier.
    learn
        The share of a file's texts to learn from, where it is judged on the rest.
    skip
        Tokens at the start of a text that are not read: the first is an attention sink in most models.
    circuit
        Save the circuit of features with the tokens they fire on, for `clew judge`.
    seed
        Of the generated texts and of the classifier.
    device
        Where to run: cpu, cuda, cuda:1, mps.
    out
        Save the report.
    """
    from clew.data.labels.bios import GENDERED, KEYWORDS
    from clew.data.labels.confounded import Confounded
    from clew.studies.shift.experiment import Experiment, by_file, by_words
    from clew.studies.shift.table import markdown

    pairs = dict(_pair(one) for one in together)
    learnt, others = _texts(texts, judged_on, tuple(pairs), target, spurious, n, seed)
    chosen = Confounded.of(
        learnt, pairs, target=target, spurious=spurious, learn=1.0 if others else learn, judged=others, seed=seed
    )
    opened = open_lens(model, device=device)
    rule = by_words(words or GENDERED)
    experiment = Experiment(
        opened,
        _dictionaries(through or (model,)),
        chosen,
        site,
        by_file(judged, rule) if judged else rule,
        keywords or tuple(word for name in pairs for word in KEYWORDS.get(name, ())),
        nodes=nodes,
        attributed=attributed,
        by=by,
        steps=steps,
        skip=skip,
        epochs=epochs,
        seed=seed,
        told=lambda row: aside(f"{row} ..."),
    )
    with working("finding circuits and judging"):
        report = experiment.report()
    if circuit:
        experiment.judged["features"][0].save(circuit)
    if out:
        report.save(out)
    say(f"{report.title}\n\n{markdown(report)}", report.to_json(), json)


def _pair(word: str) -> tuple[str, str]:
    target, equals, spurious = word.partition("=")
    if not (target and equals and spurious):
        raise ValueError(f"--together takes pairs such as nurse=female professor=male; {word!r} was given")
    return target, spurious


def _texts(
    name: str, judged_on: Path | None, professions: tuple[str, ...], target: str, spurious: str, n: int, seed: int
) -> tuple[Any, Any]:
    """The texts to learn from, and those to judge on if they are others."""
    from clew.data.labels.bios import bios
    from clew.data.labels.labelled import Labelled

    labels = (target, spurious)
    others = None if judged_on is None else Labelled.load(judged_on, labels=labels)
    if name == "bios" and not Path(name).exists():
        learnt = bios(n, professions=professions, duties=range(3), seed=seed)
        return learnt, others or bios(n // 2, professions=professions, duties=range(3, 6), seed=seed + 1)
    return Labelled.load(name, labels=labels), others


def _dictionaries(names: tuple[str, ...]) -> list[Any]:
    import clew

    return [dictionary for name in names for dictionary in clew.Dictionary.load(name)]
