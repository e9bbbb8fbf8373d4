"""find, edit, probe and verify: the function by its name, and what it was called with written into what it returns.

record and train need no such wrapper: they are where they are written (clew/readings/store.py, clew/training/loop/loop.py).
"""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args, get_type_hints

from clew.circuits.circuit import Circuit
from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.metrics import name_of
from clew.data.facts.facts import Facts
from clew.data.facts.secrets import Secrets
from clew.data.labels.labelled import Labelled
from clew.data.text.windows import Windows
from clew.dictionaries import Dictionary
from clew.finder import load
from clew.measures.circuits.predicted_effects import predicts_effects, with_predicted_effects
from clew.models import Model
from clew.probing import Probe
from clew.provenance import card, leaked, prompts_used, provenance
from clew.readings.budget import within_budget
from clew.report import Report
from clew.stack import Stack


def find(
    model: Model,
    behaviour: Behaviour | Windows | Facts,
    circuit: Circuit | None = None,
    *,
    by: str | Callable[..., Circuit] = "integrated_gradients",
    held_out: bool = True,
    tried: int = 20,
    **options: Any,
) -> Circuit:
    """Score the units of a model by their part in a behaviour.

    Args:
        model: seen through dictionaries, or plain, that is in neurons.
        behaviour: what to explain; text, as Windows, for a method that learns from text (`bigram_subnetwork`); Facts for
            `causal_tracing`.
        circuit: nodes to score or to wire, for methods that take one (`edges`, `exact_patching`).
        by: a file of clew/methods, or a function of the same shape.
        held_out: use the behaviour's training half, so that `verify` can judge on the other; False uses all of it.
        tried: of a graph whose numbers are effects on the metric, this many of the strongest nodes or edges are ablated in
            the model, on eight prompts, to see whether they do what it predicts: r and slope are in
            `details["predicted_effects"]`; 0 for none.
        options: as in the signature of the method.

    Returns: a Circuit of all scored nodes, with provenance; `.top(100)` makes it small.
    Raises: ValueError naming near methods, or the option that the method does not have.
    """
    method = load("methods", by) if isinstance(by, str) else by
    used = behaviour.train if held_out and isinstance(behaviour, Behaviour) else behaviour
    started = time.perf_counter()
    found = method(model, used, *(() if circuit is None else (circuit,)), **_checked(method, options))
    record = provenance(model, used, method, options, time.perf_counter() - started) | prompts_used(used)
    wired = circuit is not None and found.keys() == circuit.keys() and len(found.weight) > 0
    found = replace(found, provenance={**circuit.provenance, "wired": record} if circuit and wired else record)
    if isinstance(used, Windows | Facts):
        return found
    if tried and len(found.weight) and predicts_effects(model, used, found):
        some = used if found.kind.of == "prompt_graph" else used.first(8)  # an attribution graph is of one prompt
        found = with_predicted_effects(model, some, found, nodes=tried)
    if circuit is not None:
        if circuit.provenance.get("weights", record["weights"]) == record["weights"]:  # the units are the same
            found = replace(found, labels=circuit.labels)  # also of units that are no node now
        if wired:  # the nodes and scores are those of the circuit given
            return found
        record |= {"nodes_of": dict(circuit.provenance)}
    words = found.kind.prompt.tokens if found.kind.prompt else _words(model, used, found)
    shown = found.with_details(metric=name_of(used.metric).replace("_", " "), tokens=list(words))
    return replace(shown, provenance=record)


def edit(
    model: Model,
    evidence: object = None,
    *,
    by: str | Callable[..., Stack],
    held_out: bool = True,
    text: Windows | None = None,
    budget: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Stack:
    """Compute a change of a model: a steering vector, a rewritten fact, a feature taken out.

    Args:
        model: with the edits that the new ones shall be made upon, if any.
        evidence: what the change is made from, as the signature of the function says: Facts, a Behaviour, Labelled
            texts, Secrets, a Circuit.
        by: a file of clew/edits, or a function of the same shape.
        held_out: of a Behaviour use the training half, so that `verify` can judge on the other; False uses all of it.
        text: ordinary text, for a function that takes statistics of some or learns to leave it as it is, and for the
            budget; such a function and a budget have half of the documents each.
        budget: the loss on text may rise by this share of it (0.001 is a tenth of a percent); the edits are made
            weaker until it holds.
        progress: called with what is done and all there is: as the function says, if it tells; for a budget then with
            the passes over the text and the most there may be.
        options: as in the signature of the function.

    Returns: a Stack with provenance; `model.edited(stack)` is the changed model, the old one is as it was.
    Raises: ValueError naming near functions, the option that the function does not have, or a budget that cannot be held.
    """
    function = load("edits", by) if isinstance(by, str) else by
    if text is not None and not isinstance(text, Windows):
        raise ValueError(
            f"text= takes windows, as clew.data.text.windows.cut(texts, model.tokenizer) makes; a "
            f"{type(text).__name__} was given"
        )
    wants = [p for p in inspect.signature(function).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][1:2]
    if evidence is None and wants and wants[0].default is inspect.Parameter.empty:
        raise ValueError(
            f"{function.__name__} is made from evidence, which was not given: {wants[0].name}, a "
            f"{getattr(wants[0].annotation, '__name__', wants[0].annotation)}"
        )
    takes = inspect.signature(function).parameters.get("text")
    if budget is not None and text is None:
        raise ValueError("a budget is held on a text; give text=, windows that clew.data.text.windows.cut makes")
    learnt, judged = text.split(0.5) if takes and text is not None and budget is not None else (text, text)
    if takes and text is not None:
        options = options | {"text": learnt}
    if progress is not None and "progress" in inspect.signature(function).parameters:
        options = options | {"progress": progress}
    used = evidence.train if held_out and isinstance(evidence, Behaviour) else evidence
    started = time.perf_counter()
    stack = function(model, *(() if used is None else (used,)), **_checked(function, options))
    seconds = time.perf_counter() - started
    if budget is not None and judged is not None:
        stack = within_budget(model, stack, judged, budget, progress=progress)
    record = provenance(model, used, function, options, seconds) | prompts_used(used)
    return replace(stack, provenance={**record, **stack.provenance})


def verify(
    model: Model,
    evidence: Behaviour | Windows | Labelled | Facts | Secrets,
    claim: Circuit | Dictionary | Stack,
    *,
    by: str | Callable[..., Report] | None = None,
    **options: Any,
) -> Report:
    """Measure a circuit on the behaviour's held-out half, a dictionary on text, or what an edit changed.

    Args:
        model: the one that the claim is about; for edits the model without them.
        evidence: a Behaviour for a circuit; for a dictionary Windows of text that it was not fitted on, or Labelled
            texts; for edits Facts, Secrets, Windows or a Behaviour, as the measure's signature says.
        claim: what is measured.
        by: a file of clew/measures, or a function of the same shape. By default `faithfulness` for a circuit,
            `fit` for a dictionary; for edits what goes with the evidence.
        options: as in its signature.

    Returns: a Report with intervals and provenance. Warns, and notes in the report, where held-out pairs of a behaviour
        were among those that the claim was made from, as the halves of one behaviour of two sizes are.
    Raises: ValueError naming near measures, the option that the measure does not have, or evidence that does not
    go with it.
    """
    by = by or _usual_measure(evidence, claim)
    measure = load(_room(claim), by) if isinstance(by, str) else by
    _fits_together(measure, evidence, claim)
    started = time.perf_counter()
    report = measure(model, evidence, claim, **_checked(measure, options))
    used = evidence
    if isinstance(evidence, Behaviour) and options.get("held_out", True) and evidence.part == "all":
        used = evidence.test
    if isinstance(used, Behaviour) and options.get("held_out", True) and (said := leaked(used, claim)):
        warnings.warn(said, stacklevel=2)
        report = replace(report, notes=(*report.notes, said))
    record = provenance(model, used, measure, options, time.perf_counter() - started)
    if isinstance(claim, Dictionary):
        record |= {"dictionary": card(claim)}
    else:
        record |= {"circuit" if isinstance(claim, Circuit) else "edit": dict(claim.provenance)}
    return replace(report, provenance={**record, **report.provenance})


_TEXTS = (
    ". Lists of texts have no answers that a metric could read: give steering_effect a Behaviour of prompts with answers, "
    "locality Windows (clew.data.text.windows.cut), or fluency and unlearning_depth Labelled texts"
)
_LABELLED = "; of Labelled texts by=fluency, unlearning_depth and group_accuracy tell what edits change"


def probe(model: Model, evidence: Any, *, by: str | Callable[..., Probe] = "linear", **options: Any) -> Probe:
    """Fit a linear readout to what a model holds of some evidence.

    Args:
        model: with the edits that are to be in force.
        evidence: texts with classes, as the signature of the function says; all of it is used, so give the part to learn
            from, as `Labelled.split` makes.
        by: a file of clew/probes, or a function of the same shape.
        options: as in the signature of the function.

    Returns: a Probe; `fitted` holds its provenance.
    Raises: ValueError naming near functions, or the option that the function does not have.
    """
    function = load("probes", by) if isinstance(by, str) else by
    started = time.perf_counter()
    found = function(model, evidence, **_checked(function, options))
    record = provenance(model, evidence, function, options, time.perf_counter() - started)
    return replace(found, fitted={**record, **found.fitted})


def _room(claim: object) -> str:
    """The room of measures of such claims."""
    kinds = {Dictionary: "dictionaries", Stack: "edits"}
    return "measures." + next((room for kind, room in kinds.items() if isinstance(claim, kind)), "circuits")


def _usual_measure(evidence: object, claim: object) -> str:
    if not isinstance(claim, Stack):
        return "faithfulness" if isinstance(claim, Circuit) else "fit"
    usual = {
        Facts: "success",
        Secrets: "extraction_attacks",
        Windows: "locality",
        Behaviour: "steering_effect",
    }
    return next((name for kind, name in usual.items() if isinstance(evidence, kind)), "success")


def _fits_together(measure: Callable[..., Report], evidence: object, claim: object) -> None:
    """Refuse a dictionary where a circuit is measured, text where a behaviour is needed, and so on."""
    if not isinstance(evidence, (Behaviour, Windows, Labelled, Facts, Secrets)):
        raise ValueError(
            f"verify measures on a Behaviour, Windows, Labelled, Facts or Secrets, not on a {type(evidence).__name__}"
            + (_TEXTS if isinstance(evidence, tuple | list) else f"; call {measure.__name__} itself for anything else")
        )
    hints = list(get_type_hints(measure).values())
    for given, hint in zip((evidence, claim), hints[1:3], strict=False):
        kinds = tuple(kind for kind in get_args(hint) or (hint,) if isinstance(kind, type))
        if kinds and not isinstance(given, kinds):
            wants = [" or ".join(k.__name__ for k in get_args(h) or (h,)) for h in hints[1:3]]
            texts = isinstance(evidence, Labelled) and isinstance(claim, Stack)
            raise ValueError(
                f"{measure.__name__} measures a {wants[1]} on {wants[0]}; "
                f"a {type(claim).__name__} and {type(evidence).__name__} were given" + texts * _LABELLED
            )


def _words(model: Model, behaviour: Behaviour, circuit: Circuit) -> list[str]:
    """The tokens of the first prompt where nodes have positions: the template's words."""
    if not (circuit.position >= 0).any():
        return []
    prompt = behaviour.pairs[0].clean
    if not isinstance(prompt, str):
        return [str(token) for token in prompt]
    return [str(model.tokenizer.decode([token])) for token in model.tokens(prompt)[0][0].tolist()]


def _checked(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    known = [n for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ValueError(f"{function.__name__} has no option {unknown[0]!r}; it takes {', '.join(known)}")
    empty = inspect.Parameter.empty
    if missing := [n for n in known if inspect.signature(function).parameters[n].default is empty and n not in options]:
        raise ValueError(f"{function.__name__} needs {missing[0]}=, which was not given")
    return options
