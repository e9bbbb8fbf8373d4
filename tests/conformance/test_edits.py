"""Every edit: the room's shape, said in words; the same twice, the model left alone, and what the edited model then says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import pytest

from clew import finder
from clew.edits.unlearning.memorise import memorise
from clew.models import Model
from clew.stack import Stack
from tests.conformance import knowing
from tests.conformance.knowing import CIRCUIT, FACTS, LIES, MODEL, NUMBER, PAIRS, PLURAL, SECRETS, TASK, TEXT, VIEW
from tests.conformance.shape import case_of, check_signature, check_source, check_words, untouched
from tests.edits.spoken import speaking, spoken

OURS = ("memorise",)
"""Not published: it plants what others are tried on."""


@dataclass(frozen=True)
class Case:
    """An edit, and a number of the model that it makes larger by so much at least, or smaller."""

    evidence: Any
    options: dict[str, Any]
    of: Callable[[Model], float]
    by: float
    model: Model = field(default=MODEL)


@cache
def knowing_secrets() -> Model:
    """A model that says two secrets of random words, for what reads secrets off every layer."""
    model = speaking()
    return model.edited(memorise(model, spoken(2), lr=1e-2))


UP = {"sites": ["resid.3"], "positive": "many"}
LESS = {"avoid": "many", "units": 1}
LEARN = {"steps": 20, "lr": 0.01}
LAYER = {"weights": ["down.1"], "steps": 20}
CASES: dict[str, Callable[[], Case]] = {
    "mean_difference": lambda: Case(NUMBER, UP, knowing.plural, 9),
    "lda": lambda: Case(NUMBER, UP, knowing.plural, 9),
    "logistic": lambda: Case(NUMBER, UP, knowing.plural, 9),
    "reading_vector": lambda: Case(NUMBER, UP, knowing.plural, 9),
    "pair_pca": lambda: Case(PAIRS, {"sites": ["resid.3"]}, knowing.plural, 9),
    "probe_gated": lambda: Case(NUMBER, UP, knowing.plural, 9),
    "idani": lambda: Case(NUMBER, {**UP, "labelling": "number", "k": 3}, knowing.plural, 9),
    "unit": lambda: Case(None, {"at": "resid.2", "number": PLURAL, "scale": 3.0}, knowing.plural, 9, VIEW),
    "unit_scaling": lambda: Case(NUMBER, LESS, knowing.plural, -9, VIEW),
    "unit_steering": lambda: Case(NUMBER, LESS, knowing.plural, -9, VIEW),
    "rome": lambda: Case(FACTS.first(2), {"layer": 1, "text": TEXT}, knowing.told, 9),
    "memit": lambda: Case(FACTS.first(2), {"text": TEXT}, knowing.told, 9),
    "fine_tune": lambda: Case(FACTS.first(2), {**LAYER, "lr": 0.1}, knowing.told, 9),
    "canonical_examples": lambda: Case(FACTS.first(2), {**LAYER, "lr": 0.05, "text": TEXT}, knowing.told, 9),
    "lre": lambda: Case(FACTS, {"layer": 1, "rank": 8}, knowing.first_told, 7),
    "gradient_ascent": lambda: Case(SECRETS, LEARN, knowing.secrets, -9),
    "random_labels": lambda: Case(SECRETS, LEARN, knowing.secrets, -9),
    "revs": lambda: Case(spoken(2), {"neurons": 5}, partial(knowing.secrets, of=spoken(2)), -3, knowing_secrets()),
    "memorise": lambda: Case(LIES, {"steps": 60, "lr": 0.02}, partial(knowing.secrets, of=LIES), 9),
    "linear": lambda: Case(TASK.first(1), {"weight": "v.3", "at": 1, "strength": 0.0}, knowing.number, -3),
    "remove_component": lambda: Case(None, {"head": (2, 0), "components": range(8)}, knowing.capitals, -9),
    "remove_feature": lambda: Case(None, {"at": "resid.2", "unit": PLURAL}, knowing.number, -9, VIEW),
    "scale_head": lambda: Case(None, {"layer": 3, "head": 0}, knowing.number, -9),
    "shift": lambda: Case(CIRCUIT, {"verdicts": knowing.dropped()}, knowing.number, -9, VIEW),
}


@pytest.mark.parametrize("name", finder.names("edits"))
def test_an_edit_takes_a_model_and_evidence_and_gives_a_stack(name):
    edit = finder.load("edits", name)
    check_signature(edit, "model", "*", returns=Stack)
    check_words(edit, "edits", "seed", "lr")


@pytest.mark.parametrize("name", [name for name in finder.names("edits") if name not in OURS])
def test_it_says_where_it_was_published(name):
    check_source(finder.load("edits", name))


@pytest.mark.parametrize("name", finder.names("edits"))
def test_the_same_twice_the_model_left_alone_and_what_it_says_then(name, tmp_path):
    edit, case = finder.load("edits", name), case_of(CASES, name)()
    with untouched(case.model.body.module):
        one, two = (edit(case.model, case.evidence, **case.options) for _ in range(2))
    paths = [stack.save(tmp_path / f"{i}.safetensors") for i, stack in enumerate((one, two))]
    assert paths[0].read_bytes() == paths[1].read_bytes() and len(one) and one.name
    before, after = case.of(case.model), case.of(case.model.edited(one))
    assert after - before > case.by if case.by > 0 else after - before < case.by
    assert case.of(case.model.edited(Stack.load(paths[0]))) == after
