"""find, edit, explain, probe and verify: the function by its name, what it was called with written into what it returns."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import EllipsisType
from typing import Any, TypeVar

from clew.circuits.circuit import Circuit
from clew.data.predicates.predicate import unit_of
from clew.data.text.lists import Texts
from clew.data.text.windows import Windows
from clew.dictionaries import Dictionary
from clew.doors import door
from clew.evidence import Evidence, half, is_held_out
from clew.finder import load, names
from clew.firings import Firings
from clew.labels import Labels
from clew.models import Model
from clew.probing import Probe
from clew.progress import Stopped, Tell
from clew.provenance import MetAgain, leaked, prompts_used, provenance
from clew.readings.asking.asks import Asks
from clew.readings.budget import within_budget
from clew.readings.index.resumed import Keeps, Resumed
from clew.readings.labelling import Labelling
from clew.readings.pushed import check_same
from clew.readings.unseen import Unseen
from clew.report import Report, Row
from clew.signatures import check_kinds, check_options, options_of, taken
from clew.stack import Stack
from clew.version import VERSION

T = TypeVar("T")


@door()
def find(
    model: Model,
    behaviour: Evidence,
    circuit: Circuit | None = None,
    *,
    by: str | Callable[..., Circuit] = "integrated_gradients",
    held_out: bool | None = None,
    progress: Tell | None = None,
    **options: Any,
) -> Circuit:
    """Score the units of a model by their part in a behaviour; `verify` says whether the scores hold.

    Args:
        model: seen through dictionaries, or plain, that is in neurons.
        behaviour: what to explain; Windows for a method that learns from text, Facts for `causal_tracing`.
        circuit: nodes to score or to wire, for methods that take one (`edges`, `exact_patching`).
        by: a file of clew/methods, or a function of the same shape.
        held_out: use the training half, so that `verify` can judge on the other; by default of a Behaviour, else all.
        progress: told how far it is, by methods that take long; `clew.Progress()` says so on stderr, with the time left.
        options: as in the signature of the method.

    Returns: a Circuit of all scored nodes, with provenance; `.top(100)` makes it small.
    Raises: ValueError naming near methods, the option that the method does not have, or what it is made for. Stopped at
        an interrupt of a method that learns; its `result` is the Circuit so far.
    """
    method = load("methods", by) if isinstance(by, str) else by
    used = half(behaviour, "train", held_out)
    options |= taken(method, progress=progress)

    def recorded(found: Circuit, seconds: float) -> Circuit:
        return found.recorded(provenance(model, used, method, options, seconds) | prompts_used(used))

    return _timed("methods", method, options, recorded, model, used, circuit)


@door()
def edit(
    model: Model,
    evidence: Any = None,
    *,
    by: str | Callable[..., Stack],
    held_out: bool | None = None,
    text: Windows | EllipsisType | None = ...,
    budget: float | None = None,
    progress: Tell | None = None,
    **options: Any,
) -> Stack:
    """Compute a change of a model: a steering vector, a rewritten fact, a feature taken out.

    Args:
        model: with the edits that the new ones shall be made upon, if any.
        evidence: what the change is made from, as the signature of the function says: Facts, a Behaviour, Labelled
            texts, Secrets, a Circuit, or lists of texts.
        by: a file of clew/edits, or a function of the same shape.
        held_out: use the training half, so that `verify` can judge on the other; by default of a Behaviour, and all of
            facts, secrets and texts, for an edit is judged on what it shall change.
        text: ordinary text, for a function that takes statistics of some or learns to leave it as it is, and for the
            budget; such a function and a budget have half of the documents each. None says that there shall be none, to a
            function that asks (`rome`, `memit`).
        budget: the loss on text may rise by this share of it (0.001: a tenth of a percent); edits are weakened to hold it.
        progress: called with what is done and all there is, by a function that tells; for a budget, passes over the text.
        options: as in the signature of the function.

    Returns: a Stack with provenance; `model.edited(stack)` is the changed model, the old one is as it was.
    Raises: ValueError naming near functions, an option that it lacks, what it is made from, or a budget not to be held.
    """
    function = load("edits", by) if isinstance(by, str) else by
    used, takes = half(Texts.of(evidence), "train", held_out), options_of(function)
    if budget is not None and not isinstance(text, Windows):
        raise ValueError("a budget is held on a text; give text=clew.cut(texts, model.tokenizer)")
    learnt, judged = text, text
    if isinstance(text, Windows) and budget is not None and "text" in takes:
        learnt, judged = text.split(0.5)
    options |= taken(function, progress=progress)
    if learnt is not ... and "text" in takes:
        options["text"] = learnt

    def recorded(stack: Stack, seconds: float) -> Stack:
        if budget is not None and isinstance(judged, Windows):
            stack = within_budget(model, stack, judged, budget, progress=progress)
        record = provenance(model, used, function, options, seconds) | prompts_used(used)
        return replace(stack, provenance={**record, **stack.provenance})

    return _timed("edits", function, options, recorded, model, used)


@door()
def verify(
    model: Model,
    evidence: Evidence | Sequence[Any],
    claim: Circuit | Dictionary | Stack,
    *,
    by: str | Callable[..., Report] | None = None,
    held_out: bool | None = None,
    progress: Tell | None = None,
    **options: Any,
) -> Report:
    """Measure a circuit on the behaviour's held-out half, a dictionary on text, or what an edit changed.

    Args:
        model: the one that the claim is about; for edits the model without them.
        evidence: a Behaviour for a circuit; for a dictionary Windows of text that it was not fitted on, or Labelled
            texts; for edits Facts, Secrets, Windows or a Behaviour, as the measure's signature says.
        claim: what is measured.
        by: a file of the claim's room in clew/measures, or a function of the same shape. By default `faithfulness` for a
            circuit, `fit` for a dictionary; for edits what goes with the evidence.
        held_out: judge on the test half; by default of a Behaviour, and on all of facts, secrets and texts.
        progress: told how far it is, by measures that take long; `clew.Progress()` says so on stderr, with the time left.
        options: as in its signature.

    Returns: a Report with intervals and provenance. Warns, and notes in it, where prompts that are held out were among
        those that the claim was made from, as the halves of one behaviour of two sizes are. Notes say when nothing was
        held out, when a circuit is empty, and when it was found in other weights or dictionaries than those of the model.
    Raises: ValueError naming near measures, the option that the measure does not have, or what it measures instead.
        Stopped at an interrupt of `controls`, `curve` and `hypothesis_tests`; its `result` is the Report so far.
    """
    given: Any = Texts.of(evidence)
    name = by or claim.usual_measure or getattr(given, "shows_edits", "success")
    measure = load(claim.measured_in, name) if isinstance(name, str) else name
    used = half(given, "test", held_out)
    if "held_out" not in options_of(measure):
        given = used
    elif held_out is not None:
        options |= {"held_out": held_out}
    options |= taken(measure, progress=progress)

    def recorded(report: Report, seconds: float) -> Report:
        record = provenance(model, used, measure, options, seconds) | claim.card()
        return replace(report, notes=(*report.notes, *notes), provenance={**record, **report.provenance})

    held = is_held_out(given, held_out)
    met = leaked(used, claim.provenance, held_out=held) if held or held_out is False else ""
    notes = claim.doubts(model.body.fingerprint, model.fingerprints) if isinstance(claim, Circuit) else []
    notes += [met] if met else []
    if met and held:
        warnings.warn(met, MetAgain, stacklevel=3)  # where verify was called, beyond its door
    return _timed(claim.measured_in, measure, options, recorded, model, given, claim)


@door()
def probe(model: Model, evidence: Any, *, by: str | Callable[..., Probe] = "linear", **options: Any) -> Probe:
    """Fit a linear readout to what a model holds of some evidence.

    Args:
        model: with the edits that are to be in force.
        evidence: texts with classes, as the signature of the function says; all of it is used, so give the part to learn
            from, as `Labelled.split` makes.
        by: a file of clew/probes, or a function of the same shape.
        options: as in the signature of the function.

    Returns: a Probe; `fitted` holds its provenance.
    Raises: ValueError naming near functions, an option that it lacks, or what it is made from.
    """
    function, used = load("probes", by) if isinstance(by, str) else by, Texts.of(evidence)

    def recorded(found: Probe, seconds: float) -> Probe:
        record = provenance(model, used, function, options, seconds) | prompts_used(used)
        return replace(found, fitted={**record, **found.fitted})

    return _timed("probes", function, options, recorded, model, used)


@door()
def explain(
    firings: Firings,
    units: Sequence[str],
    *,
    by: str | Callable[..., Any] = "rules",
    scorers: Sequence[str | Callable[..., tuple[Row, ...]]] | None = None,
    floors: Sequence[str | Callable[..., Any]] = ("shuffled",),
    random: Firings | None = None,
    model: Model | None = None,
    asks: Asks | None = None,
    windows: int | None = None,
    to: Keeps | None = None,
    progress: Tell | None = None,
    **options: Any,
) -> Labels:
    """Say what units fire on, or what they do, and how well that holds in documents that it was not made from.

    Args:
        firings: where units fire in a text: an Index, or `clew.firings.Held`.
        units: addresses, such as resid.7/12.
        by: a file of clew/explain/explainers, or a function of the same shape.
        scorers: files of clew/explain/scorers, or such functions; each gives rows of a label's scores. By default detection
            and simulation, or intervention where an explanation is of what units do.
        floors: files of clew/explain/floors, or such functions: what is scored beside, under the same names, to be compared.
        random: where the units of a random dictionary fire in the same text, for the floor `random_unit`.
        model: whose units these are, seen through their dictionaries, for explainers and scorers that run it (`effects`,
            `intervention`).
        asks: a language model, for explainers and scorers that ask one (`sentences`, `phrases`, `surprisal`, `intruder`).
        windows: in how many windows in which a unit fires scorers look, at most; by default as each has it.
        to: where rules and labels are kept as they are made, as `index.labels`: what was killed goes on there, and what was
            made in the same way is not made again.
        progress: told after each unit that is explained, and after each that is scored.
        options: as in the signature of the explainer.

    Returns: Labels, with the fingerprints of the dictionaries where the firings know them, as an Index does; a unit of which
        nothing is found that holds has none. A row "... above shuffled" is the distance from that floor, its interval that of
        a difference of two independent numbers (Zou & Donner 2008).
    Raises: ValueError naming near explainers, scorers and floors, an option that it lacks, or an address that is none; for
        units that are of another dictionary in the index than in the model's view, or whose firings are not all kept there.
    """
    explainer, beneath = _named("explain.explainers", by), [_named("explain.floors", one) for one in floors]
    _check_units(firings, units)
    if model is not None:
        for site in dict.fromkeys(unit_of(unit)[0] for unit in units):
            check_same(model, firings, site)

    def judging(usual: Sequence[str | Callable[..., tuple[Row, ...]]]) -> list[partial[tuple[Row, ...]]]:
        judges = usual if scorers is None else scorers
        return [_given(_named("explain.scorers", one), asks=asks, windows=windows) for one in judges]

    judging(())  # what is misspelt is said before anything takes long
    made_by = {"clew": VERSION, "by": by, "model": model, "asks": asks, "options": options}
    judged_by = {
        "units": sorted(set(units)),
        "scorers": scorers,
        "floors": floors,
        "random": random,
        "windows": windows,
    }
    labelling = Labelling(explainer, judging, beneath, options, Unseen(firings, model=model), random, asks)
    said = labelling.labels(units, Resumed(to, firings, made_by, judged_by), progress)
    made_of: dict[str, str] = getattr(firings, "fingerprints", {})
    return Labels(said, {site: made_of[site] for site in {unit.partition("/")[0] for unit in said} & made_of.keys()})


def _named(room: str, given: str | Callable[..., Any]) -> Callable[..., Any]:
    """A function, or the one of that name."""
    return load(room, given) if isinstance(given, str) else given


def _check_units(firings: Firings, units: Sequence[str]) -> None:
    """Raises: ValueError for what is no address, and for a unit that is not among those whose firings these are."""
    sites = tuple(firings.sites)
    for site, unit in map(unit_of, units):
        if site not in sites:
            raise ValueError(f"{site}/{unit} is not among these firings, which are of {', '.join(map(str, sites))}")
        if unit >= (n := firings.units(site)):
            raise ValueError(f"there is no unit {unit} at {site} (it has {n}, counted from 0)")


def _given(function: Callable[..., T], **given: Any) -> partial[T]:
    """A function with that of what is given which it takes. Raises: ValueError for an option that it cannot do without."""
    fitting = taken(function, **given)
    check_options(function, fitting)
    return partial(function, **fitting)


def _timed(
    room: str, function: Any, options: dict[str, Any], recorded: Callable[[Any, float], T], model: Model, *given: object
) -> T:
    """What a function of a room makes of what is given, once that fits its signature, recorded with the seconds it took.

    Raises: Stopped, with what there was by then, recorded likewise.
    """
    given = tuple(one for one in given if one is not None)
    check_kinds(function, given, (load(room, name) for name in names(room)))
    check_options(function, options)
    started = time.perf_counter()
    try:
        found = function(model, *given, **options)
    except Stopped as stopped:
        stopped.result = recorded(stopped.result, time.perf_counter() - started)
        raise
    return recorded(found, time.perf_counter() - started)
