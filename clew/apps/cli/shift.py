"""clew shift: stop a classifier from using what it should not, and compare with the other ways to do so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from clew.apps.cli._groups import Machine, unfolded
from clew.apps.cli._terminal import Json, Several, aside, say, working


@unfolded
@dataclass(frozen=True)
class Problem:
    """What is learnt, and what goes with it where it is learnt."""

    together: Annotated[tuple[str, ...], Several] = ("nurse=female", "professor=male")
    """The two target classes and the spurious class that goes with each where one learns."""
    texts: str = "bios"
    """JSON lines with text and the two labels, or `bios`, which clew generates: half of what people of a profession do
    is told where one learns, the other half where one judges."""
    judged_on: Path | None = None
    """JSON lines of other texts to judge on; then all of `texts` are learnt from."""
    target: str = "profession"
    """The label to learn."""
    spurious: str = "gender"
    """The label that must not be used."""
    n: int = 1600
    """How many texts to generate to learn from; half as many are judged on."""
    learn: float = 0.6
    """The share of a file's texts to learn from, where it is judged on the rest."""

    @property
    def pairs(self) -> dict[str, str]:
        return dict(_pair(one) for one in self.together)

    def confounded(self, seed: int) -> Any:
        """The texts, where one label gives the other away."""
        from clew.data.labels.confounded import Confounded

        learnt, others = self._learnt(seed)
        share = 1.0 if others else self.learn
        of = {"target": self.target, "spurious": self.spurious}
        return Confounded.of(learnt, self.pairs, **of, learn=share, judged=others, seed=seed)

    def _learnt(self, seed: int) -> tuple[Any, Any]:
        """The texts to learn from, and those to judge on if they are others."""
        from clew.data.labels.bios import bios
        from clew.data.labels.labelled import Labelled

        labels = (self.target, self.spurious)
        others = None if self.judged_on is None else Labelled.load(self.judged_on, labels=labels)
        if self.texts != "bios" or Path(self.texts).exists():
            return Labelled.load(self.texts, labels=labels), others
        professions = tuple(self.pairs)
        learnt = bios(self.n, professions=professions, duties=range(3), seed=seed)
        return learnt, others or bios(self.n // 2, professions=professions, duties=range(3, 6), seed=seed + 1)


@unfolded
@dataclass(frozen=True)
class Irrelevant:
    """What says that a unit is about the wrong thing."""

    words: Annotated[tuple[str, ...], Several] = ()
    """What the rule that judges looks for among the tokens a unit fires on; gendered words by default."""
    judged: Path | None = None
    """What `clew judge` saved: it decides, and the rule only of units it does not know."""
    keywords: Annotated[tuple[str, ...], Several] = ()
    """The concepts of the bottleneck; those of the generated professions by default."""

    def judge(self) -> Any:
        from clew.data.labels.bios import GENDERED
        from clew.studies.shift.experiment import by_file, by_words

        rule = by_words(self.words or GENDERED)
        return by_file(self.judged, rule) if self.judged else rule

    def concepts(self, classes: Iterable[str]) -> tuple[str, ...]:
        """The keywords, by default those known of these classes."""
        from clew.data.labels.bios import KEYWORDS

        return self.keywords or tuple(word for name in classes for word in KEYWORDS.get(name, ()))


@unfolded
@dataclass(frozen=True)
class Search:
    """How the units are found, and the classifier learnt."""

    nodes: int = 100
    """How many units are judged, the strongest."""
    attributed: int = 100
    """How many texts a circuit is found on."""
    by: str = "integrated_gradients"
    """The method that finds it."""
    steps: int = 10
    """Of integrated gradients."""
    epochs: int = 5
    """Of the classifier."""
    skip: int = 1
    """Tokens at the start of a text that are not read: the first is an attention sink in most models."""


def shift(
    model: str,
    /,
    *,
    site: str,
    problem: Problem = Problem(),
    through: Annotated[tuple[str, ...], Several] = (),
    irrelevant: Irrelevant = Irrelevant(),
    search: Search = Search(),
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
    through
        Dictionaries for the features; those that come with clew for this model by default.
    seed
        Of the generated texts and of the classifier.
    circuit
        Save the circuit of features with the tokens they fire on, for `clew judge`.
    out
        Save the report.
    device
        Where to run: cpu, cuda, cuda:1, mps.
    """
    from clew.studies.shift.experiment import Experiment
    from clew.studies.shift.table import markdown

    texts = problem.confounded(seed)
    experiment = Experiment(
        Machine(device=device).open(model),
        _dictionaries(through or (model,)),
        texts,
        site,
        irrelevant.judge(),
        irrelevant.concepts(problem.pairs),
        **asdict(search),
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


def _dictionaries(names: tuple[str, ...]) -> list[Any]:
    import clew

    return [dictionary for name in names for dictionary in clew.Dictionary.load(name)]
