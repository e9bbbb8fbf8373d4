"""verify: the evidence and the claim decide which measure, and are written into the report."""

from dataclasses import replace
from functools import partial

import pytest
import torch

import clew
from clew.data.facts.facts import Facts
from clew.data.labels.labelled import Labelled
from clew.data.planted import induction
from clew.data.predicates import Clause, Predicate, Rule
from clew.data.text.windows import cut
from clew.dictionaries import Identity
from clew.labels import Label
from clew.progress import Stopped
from clew.readings.asking.prose import Prose
from tests.conformance.shape import Interrupts, Told
from tests.explain import doing
from tests.explain.known import known, unit
from tests.explain.reader import perfect
from tests.models.tiny import model_of
from tests.planted import random_behaviour, random_dictionary, tiny_model
from tests.readings.index.planted import indexed


def test_a_dictionary_is_measured_on_windows_and_named_in_the_report() -> None:
    model = model_of()
    windows = cut(["the old king said that he was good .", "a man said so ."], model.tokenizer)
    exact = Identity("resid.1", model.body.widths[clew.Site.parse("resid.1")])
    report = clew.verify(model, windows, exact)
    assert report["FVU"].value == 0 and report["loss recovered"].value == 1
    assert report.provenance["method"] == "fit"
    assert report.provenance["dictionary"]["fingerprint"] == exact.fingerprint
    assert report.provenance["text"] == dict(windows.policy)


def test_evidence_that_does_not_go_with_the_claim_is_refused() -> None:
    model = model_of()
    windows = cut(["the old king said that he was good ."], model.tokenizer)
    exact = Identity("resid.1", 16)
    with pytest.raises(ValueError, match="'faithfulness' is not one of clew's measures of dictionaries"):
        clew.verify(model, windows, exact, by="faithfulness")
    with pytest.raises(
        ValueError, match="probing takes a Labelled and a Dictionary; a Windows .* goes with fit, geometry, overlap"
    ):
        clew.verify(model, windows, exact, by="probing")


def test_texts_without_answers_are_refused_with_what_measures_them() -> None:
    model = model_of()
    sides = tuple([f"the {who} was {how} ." for who in ("nurse", "king", "man", "queen")] for how in ("good", "old"))
    stack = clew.edit(model, sides, by="mean_difference", sites=["resid.1"])
    with pytest.raises(ValueError, match=r"takes a Behaviour and a Stack; a Texts .* goes with fluency, undone"):
        clew.verify(model, sides, stack, by="steering_effect")
    assert clew.verify(model, sides, stack, by="undone")["logits"].examples == 8
    labelled = Labelled("tone", (*sides[0], *sides[1]), {"tone": ("good",) * 4 + ("old",) * 4})
    for by in ("steering_effect", None):
        with pytest.raises(ValueError, match="goes with fluency, group_accuracy, undone, unlearning_depth"):
            clew.verify(model, labelled, stack, by=by)
    assert clew.verify(model, labelled, stack, by="unlearning_depth", layers=[1])["resid.1"].examples


def test_from_a_text_to_a_measured_dictionary_in_four_lines(tmp_path) -> None:
    model = model_of()
    texts = ["the nurse said that she was old . the king was red and the queen said so ."] * 40
    store = clew.record(model, texts, sites=["resid.1"], to=tmp_path / "s", tokens=500)
    plan = clew.Plan("topk", "resid.1", options={"units": 12, "k": 3})
    (made,) = clew.train(store, [plan], steps=20, batch=100, to=tmp_path / "d")
    assert torch.allclose(clew.Dictionary.load(tmp_path / "d")[0].W_dec, made.W_dec)
    assert 0 < clew.verify(model, cut(texts[:5], model.tokenizer), made)["FVU"].value < 1


def shifted(model: clew.Model, facts: Facts, *, size: float = 1.0) -> clew.Stack:
    """What a function of clew/edits looks like."""
    return clew.Stack((clew.Add("resid.1", vector=size * torch.ones(model.body.widths[clew.Site.parse("resid.1")])),))


def test_an_edit_says_where_it_comes_from_and_can_be_made_by_any_function() -> None:
    model, facts = model_of(), Facts.one("the {} said that", "king", "he")
    stack = clew.edit(model, facts, by=shifted, size=2.0)
    assert float(stack[0].vector[0]) == 2.0
    assert stack.provenance["options"] == {"size": 2.0} and stack.provenance["evidence_hash"] == facts.hash
    assert stack.provenance["weights"] == model.body.fingerprint
    with pytest.raises(ValueError, match="shifted has no option 'sise'"):
        clew.edit(model, facts, by=shifted, sise=2.0)


def test_no_text_is_said_by_none_and_is_not_the_same_as_saying_nothing() -> None:
    model, facts = model_of(), Facts.one("the {} said that", "king", "he")

    def asks(model: clew.Model, facts: Facts, *, text: clew.Windows | None) -> clew.Stack:
        return clew.Stack((), str(text))

    assert clew.edit(model, facts, by=asks, text=None).name == "None"
    assert clew.edit(model, facts, by=shifted, text=None) is not None
    with pytest.raises(ValueError, match="asks needs text=, which was not given"):
        clew.edit(model, facts, by=asks)


def test_a_budget_makes_the_edit_weaker_or_is_refused() -> None:
    model, facts = model_of(), Facts.one("the {} said that", "king", "he")
    text = cut(["the old king said that he was good .", "a man said so ."], model.tokenizer)
    with pytest.raises(ValueError, match="a budget is held on a text; give text="):
        clew.edit(model, facts, by=shifted, budget=0.01)
    told: list[tuple[int, int]] = []
    held = clew.edit(model, facts, by=shifted, size=50.0, text=text, budget=0.01, progress=lambda *n: told.append(n))
    assert 0 < held[0].scale < 1 and len(told) == held.about["budget"]["passes"]
    report = clew.verify(model, text, held)
    assert 0 < report["loss increase"].value <= 0.01 and report.provenance["method"] == "locality"


def test_edits_are_made_of_the_half_that_is_not_judged() -> None:
    model, task = model_of(), random_behaviour(n=4, vocab=20)
    stack = clew.edit(model, task, by="mean_difference", sites=["resid.1"])
    assert stack.about["wanted"] == len(task.train.pairs) < len(task.pairs)
    assert clew.edit(model, task, by="mean_difference", held_out=False).about["wanted"] == len(task.pairs)


def test_a_budget_is_held_on_text_that_the_edit_acts_on_and_was_not_made_from() -> None:
    model, facts = model_of(), Facts.one("the {} said that", "king", "he")
    text = cut(["the old king said that he was good .", "a man said so ."] * 3, model.tokenizer)
    loud = torch.full((model.body.widths[clew.Site.parse("resid.0")],), 50.0)
    for where in (clew.Where("answer"), clew.Where("response"), clew.Where.at(-1)):
        stack = clew.Stack((clew.Add("resid.0", vector=loud, where=where),))
        assert clew.verify(model, text, stack)["loss increase"].value != 0
    never = clew.Stack((clew.Add("resid.0", vector=loud, where=clew.Where("token", (10**6,))),))
    with pytest.raises(ValueError, match="means no position of this text"):
        clew.edit(model, facts, by=lambda model, facts: never, text=text, budget=0.1)


def test_whoever_takes_long_is_given_the_one_to_tell_and_the_record_does_not_name_it() -> None:
    planted, told = induction(n=4), Told()
    view = planted.model.components()
    circuit = clew.find(view, planted.behaviour, progress=told)
    told.check()
    report = clew.verify(view, planted.behaviour, circuit.top(3), progress=told)
    told.check()
    assert "progress" not in {*circuit.provenance["options"], *report.provenance["options"]}
    assert clew.verify(view, planted.behaviour, circuit.top(3), by="recovery", truth=planted.circuit, progress=told)


def test_what_there_was_before_an_interrupt_knows_where_it_comes_from() -> None:
    planted = induction(n=8)
    view = planted.model.components()
    circuit = clew.find(view, planted.behaviour, positions=False)
    with pytest.raises(Stopped) as stopped:
        clew.verify(
            view, planted.behaviour, circuit, by="curve", sizes=(1, 2), ablation="patch", progress=Interrupts(4)
        )
    made = stopped.value.result.provenance
    assert made["method"] == "curve" and made["circuit"]["method"] == "integrated_gradients"
    with pytest.raises(Stopped) as stopped:
        clew.find(view, planted.behaviour, by="hard_concrete", progress=Interrupts(3))
    assert stopped.value.result.provenance["method"] == "hard_concrete"


def test_an_empty_circuit_is_called_empty() -> None:
    planted = induction(n=8)
    view = planted.model.components()
    circuit = clew.find(view, planted.behaviour, positions=False)
    report = clew.verify(view, planted.behaviour, circuit.top(0), ablation="patch")
    assert report["faithfulness"].value == 0 and any("the circuit is empty" in note for note in report.notes)
    assert not any("empty:" in note for note in clew.verify(view, planted.behaviour, circuit, ablation="patch").notes)


def test_a_circuit_of_other_weights_or_dictionaries_is_noted() -> None:
    """Two models of the same shapes: every number comes out, and may be about nothing."""
    model, behaviour = tiny_model("llama"), random_behaviour(n=8)
    lens = random_dictionary("resid.0", 32), random_dictionary("resid.1", 32)
    circuit = clew.find(model.through(*lens), behaviour, by="attribution_patching", positions=False)
    assert not any("was found" in note for note in clew.verify(model.through(*lens), behaviour, circuit).notes)
    other = tiny_model("llama")
    with torch.no_grad():
        next(other.body.module.parameters()).mul_(1.5)
    report = clew.verify(other.through(*lens), behaviour, circuit)
    assert any(f"with the weights {model.body.fingerprint}" in note for note in report.notes)
    upper = circuit.keep(circuit.site == 1)
    report = clew.verify(model.through(lens[1]), behaviour, upper)
    assert any("in other dictionaries, or in more, at resid.0" in note for note in report.notes)


def explained(**options):
    address = unit("months")
    return clew.explain(known().firings, [address, unit("modal verbs")], **options)[address]


def test_a_unit_is_explained_scored_and_compared_with_a_floor() -> None:
    (label,) = explained()
    assert (label.text, label.kind, label.origin) == ("months", "rule", f"rules, clew {clew.__version__}")
    found = {(row.measure, row.of): row for row in label.scores}
    assert found["detection AUROC", "all"].value > 0.9 and found["simulation r", "above shuffled"].low > 0.5
    assert found["simulation r", "shuffled"].value < 0.2


def test_what_explains_scores_and_lies_beneath_is_named_or_given() -> None:
    (label,) = explained(scorers=("fuzzing",), floors=("permuted",), below=())
    assert {row.measure for row in label.scores} == {"fuzzing AUROC", "fuzzing accuracy"}
    assert {row.of for row in label.scores} == {"all", "permuted", "above permuted"}

    def mine(firings, units, table=None, *, word="may"):
        return {unit: (Rule((Clause((Predicate("word", (word,)),), 1.0),)),) for unit in units}

    assert explained(by=mine, word="june", scorers=(), floors=()) == (clew_label("'june'", "mine"),)


def clew_label(text: str, by: str) -> Label:
    return Label(text, "rule", (), f"{by}, clew {clew.__version__}")


def test_what_units_do_is_said_and_judged_by_intervention_beside_a_random_direction() -> None:
    given = {"by": "effects", "model": doing.doing(), "floors": ("shuffled", "random_unit"), "n": 2}
    labels = clew.explain(doing.firings(), doing.UNITS, **given)
    label = labels[doing.UNITS[0]][0]
    word = doing.doing().tokenizer.decode([doing.RAISED[0]])
    assert label.text.startswith(f"raises {word!r}") and (label.kind, label.origin[:7]) == ("effects", "effects")
    found = {(row.measure, row.of): row for row in label.scores}
    assert found["intervention AUROC", "all"].value > 0.9 and found["intervention rise", "all"].low > 0
    for floor in ("shuffled", "random_unit"):
        assert found["intervention AUROC", f"above {floor}"].value > 0
    assert not clew.explain(doing.firings(), doing.RANDOM[:1], **given)[doing.RANDOM[0]]


def test_what_runs_a_model_needs_one_and_judges_only_what_is_said_of_tokens() -> None:
    with pytest.raises(ValueError, match="effects needs model="):
        explained(by="effects")
    with pytest.raises(ValueError, match="explain by effects"):
        explained(scorers=("intervention",))
    with pytest.raises(ValueError, match="score it by intervention"):
        clew.explain(doing.firings(), doing.UNITS, by="effects", model=doing.doing(), scorers=("detection",))


def test_chance_has_no_label() -> None:
    last = known().address(len(known().truth) - 1)
    assert dict(clew.explain(known().firings, [last])) == {last: ()}


class Unmoved:
    """A floor that is the case itself."""

    def __call__(self, case, others, explain, *, seed=0):
        return case


def test_what_explains_and_lies_beneath_may_be_bound_or_an_object() -> None:
    from clew.explain.explainers.rules import rules
    from clew.explain.floors.permuted import permuted

    floors = (partial(permuted, seed=1), Unmoved())
    (label,) = explained(by=partial(rules, below=()), scorers=("detection",), floors=floors)
    assert label.origin.startswith("rules, clew ")
    assert {"permuted", "above permuted", "Unmoved", "above Unmoved"} < {row.of for row in label.scores}


def test_labels_know_the_dictionaries_that_an_index_knows(tmp_path) -> None:
    from tests.readings.index.planted import indexed, signed_dictionary, words_dictionary

    index = indexed(tmp_path, words_dictionary(), signed_dictionary())
    labels = clew.explain(index, ["resid.1/3"], scorers=(), floors=())
    assert labels.dictionaries == {"resid.1": signed_dictionary().fingerprint} and len(index.fingerprints) == 2
    assert not replace(index, about={**index.about, "weights": ""}).fingerprints
    assert not clew.explain(known().firings, [unit("months")], scorers=(), floors=()).dictionaries


def test_explain_says_what_it_does_not_know() -> None:
    for wrong, message in (
        ({"by": "rule"}, "did you mean 'rules'"),
        ({"scorers": ["detect"]}, "scorers.*'detection'"),
        ({"floors": ["shuffle"]}, "floors.*'shuffled'"),
        ({"clause": 3}, "rules has no option 'clause'"),
    ):
        with pytest.raises(ValueError, match=message):
            explained(**wrong)


def test_units_that_are_not_there_are_said_before_anything_is_run(tmp_path) -> None:
    def never(*given: object) -> dict[str, list[object]]:
        raise AssertionError

    held, index = known().firings, indexed(tmp_path / "index")
    for firings, sites in ((held, "resid.1, resid.2"), (index, "embed, resid.1")):
        site = str(firings.sites[-1])
        for address, message in (
            ("954", r"^'954' is no unit; one reads resid.7/12"),
            (f"{site}/99999", rf"there is no unit 99999 at {site} \(it has {firings.units(firings.sites[-1])}, "),
            ("resid.5/1", rf"resid.5/1 is not among these firings, which are of {sites}$"),
        ):
            with pytest.raises(ValueError, match=message):
                clew.explain(firings, [f"{site}/0", address], by=never)


def test_a_language_model_explains_and_is_asked_again_by_scorers_and_floors() -> None:
    asks = perfect("months")
    months, verbs = unit("months"), unit("modal verbs")

    def named(firings, units, table=None, *, asks):
        return {u: (Prose("months" if u == months else "modal verbs", asks=asks),) for u in units}

    both = ("detection", "fuzzing", "simulation", "surprisal", "intruder")
    labels = clew.explain(known().firings, [months, verbs], by=named, scorers=both, windows=30, asks=asks)
    ((label,), _) = labels.values()
    assert (label.text, label.kind) == ("months", "prose")
    assert label.origin == f"named, clew {clew.__version__}, by scripted, yes or no alone"
    found = {(row.measure, row.of): row for row in label.scores}
    assert ("simulation r", "windows") in found and ("simulation r", "all") not in found
    assert not [of for measure, of in found if measure == "intruder accuracy" and of.endswith("shuffled")]
    for measure in ("detection AUROC", "detection accuracy", "fuzzing AUROC", "simulation r", "surprisal AUROC"):
        assert found[measure, "above shuffled"].value > 0.2, measure
    assert found["detection unread", "answers"].value == 0 and found["intruder accuracy", "unit"].examples == 30


def test_an_explainer_that_asks_is_given_whom() -> None:
    (label,) = explained(
        by="sentences", scorers=("detection",), floors=("permuted",), asks=perfect("months"), windows=20
    )
    assert (label.text, label.kind) == ("months", "prose") and label.origin.startswith("sentences, clew ")
    found = {(row.measure, row.of): row.value for row in label.scores}
    assert found["detection AUROC", "above permuted"] > 0.2
    for options in ({"by": "sentences"}, {"scorers": ["intruder"]}):
        with pytest.raises(ValueError, match=r"(sentences|intruder) needs asks="):
            explained(**options)
    with pytest.raises(ValueError, match=r"explain takes an Asks as asks=.*clew.Asks.open"):
        explained(by="sentences", asks="http://localhost:8000/v1")


def test_what_asking_would_cost_is_told_before() -> None:
    asks = perfect("months")
    options = {"by": "sentences", "scorers": ("detection", "intruder"), "windows": 20, "floors": ()}
    explained(asks=(dry := asks.estimating()), **options)
    assert not asks.answers.asked and dry.count.unread == 0
    explained(asks=asks, **options)
    assert dry.count.requests == asks.count.requests and abs(dry.count.read / asks.count.read - 1) < 0.1


def test_explain_tells_how_far_it_is() -> None:
    told = Told()
    explained(progress=told)
    told.check()


def test_the_room_does_not_take_the_place_of_the_verb() -> None:
    import clew.explain.top_tokens

    assert clew.explain is clew.verbs.explain
