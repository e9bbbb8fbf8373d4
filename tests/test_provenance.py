"""What was made from what, and whether it is met again where it is judged."""

import warnings
from dataclasses import replace

import pytest

import clew
from clew.data.planted.induction import induction
from clew.data.planted.ioi import ioi
from clew.provenance import MetAgain, leaked
from tests.models.tiny import model_of
from tests.planted import random_behaviour


def planted_circuit(model: clew.Model, behaviour: clew.Behaviour, **options: object) -> clew.Circuit:
    return clew.find(model.neurons("mlp.1"), behaviour, by="attribution_patching", **options)


def test_a_circuit_judged_on_pairs_it_was_found_on_says_so(tmp_path) -> None:
    model, many = model_of(), random_behaviour(n=12, vocab=20)
    few = replace(many, pairs=many.pairs[:8], split=4)  # its test half lies in the training half of the many
    found = planted_circuit(model, many)
    circuit = clew.Circuit.load(found.save(tmp_path / "c.json")).top(5)
    with pytest.warns(
        UserWarning, match=r"2 of the 4 prompts of token ids to judge on are among those that it was made"
    ):
        report = clew.verify(model.neurons("mlp.1"), few, circuit)
    assert report.notes[-1].startswith("2 of the 4 prompts")
    wired = clew.find(model.neurons("mlp.1"), many.test, circuit, by="exact_patching", held_out=False)
    assert len(wired.provenance["nodes_of"]["prompts_used"]) == 12
    with pytest.warns(UserWarning, match="4 of the 4 prompts"):  # nodes of the one half, scored on the other
        clew.verify(model.neurons("mlp.1"), few, wired)


def test_nothing_is_said_of_halves_that_share_no_pair_or_where_one_asks_for_all_or_nobody_knows() -> None:
    model, task = model_of(), random_behaviour(n=8, vocab=20)
    circuit = planted_circuit(model, task).top(5)
    nobody = replace(circuit, provenance={k: v for k, v in circuit.provenance.items() if k != "prompts_used"})
    with warnings.catch_warnings():
        warnings.simplefilter("error", MetAgain)
        clew.verify(model.neurons("mlp.1"), task, circuit)
        clew.verify(model.neurons("mlp.1"), task, circuit, held_out=False)
        clew.verify(model.neurons("mlp.1"), task.train, nobody, held_out=False)


def test_copies_in_the_users_own_data_stand_on_one_side() -> None:
    model, task = model_of(), random_behaviour(n=6, vocab=20)
    copied = clew.Behaviour("mine", (*task.pairs, *task.pairs[:5]))
    assert not {p.clean for p in copied.train.pairs} & {p.clean for p in copied.test.pairs}
    assert sorted(p.clean for p in copied.pairs) == sorted(p.clean for p in (*task.pairs, *task.pairs[:5]))
    circuit = planted_circuit(model, copied).top(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MetAgain)
        clew.verify(model.neurons("mlp.1"), copied, circuit)


def test_copies_that_stand_on_both_sides_are_told_once_where_verify_was_called() -> None:
    model, task = model_of(), random_behaviour(n=4, vocab=20)
    copied = replace(task, pairs=task.pairs * 2, split=4)
    circuit = planted_circuit(model, copied).top(5)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        report = clew.verify(model.neurons("mlp.1"), copied, circuit)
    (one,) = [w for w in told if issubclass(w.category, MetAgain)]
    (note,) = [n for n in report.notes if "to judge on" in n]
    assert (
        str(one.message) == note
        and note.startswith("4 of the 4 prompts")
        and not one.filename.endswith(("doors.py", "verbs.py"))
    )
    assert "Either its halves hold equal prompts, or it was not loaded as it was then" in note


def test_a_report_says_that_nothing_was_held_out_where_that_was_asked_for() -> None:
    model, task = model_of(), random_behaviour(n=4, vocab=20)
    circuit = clew.find(model.neurons("mlp.1"), task, held_out=False).top(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MetAgain)
        report = clew.verify(model.neurons("mlp.1"), task, circuit, held_out=False)
    n = len(task)
    (note,) = [n for n in report.notes if "to judge on" in n]
    assert note.startswith(f"nothing was held out: {n} of the {n} prompts") and note.endswith("may flatter it")


@pytest.mark.parametrize("make", [induction, ioi])
def test_planted_sets_share_no_prompt_between_their_halves(make) -> None:
    planted = make(n=64)
    circuit = clew.find(planted.model, planted.behaviour, by="eap").strongest_edges(10)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MetAgain)
        clew.verify(planted.model, planted.behaviour, circuit)


def test_an_edit_is_known_by_its_pairs_alone_in_a_sum_and_by_its_lists_of_texts() -> None:
    model, task = model_of(), random_behaviour(n=4, vocab=20)
    learnt = {"by": "mean_difference", "sites": ["resid.1"]}
    fair, unfair = clew.edit(model, task, **learnt), clew.edit(model, task, held_out=False, **learnt)
    n = len(task.test)
    assert not leaked(task.test, fair.provenance) and leaked(task.test, unfair.provenance).startswith(
        f"{n} of the {n} prompts"
    )
    assert leaked(task.test, (fair + unfair).provenance).startswith(f"{n} of the {n} prompts")
    texts = (["the nurse said", "the king said"], ["a man said", "the queen said"])
    pairs = tuple(clew.Pair(clean, patch, (" he",), (" she",)) for clean, patch in zip(*texts, strict=True))
    asked = replace(task, pairs=(*pairs, clew.Pair("the man said", "the woman said", (" he",), (" she",))), split=1)
    assert leaked(asked, clew.edit(model, texts, **learnt).provenance).startswith("2 of the 3 prompts")
