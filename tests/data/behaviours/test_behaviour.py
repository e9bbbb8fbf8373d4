from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from clew.data.behaviours.behaviour import Behaviour, Pair
from clew.data.behaviours.metrics import answer_logit, kl_divergence, log_probability
from clew.data.behaviours.pairs import grouped

TEXT = "The boy boys girl girls near has have"


def ask(clean, patch, answer, wrong):
    return Pair(clean, patch, (answer,), (wrong,))


def agreement():
    nouns = [("boy", "boys"), ("girl", "girls")]
    singular = [ask(f"The {s}", f"The {p}", " has", " have") for s, p in nouns]
    plural = [ask(f"near The {p}", f"near The {s}", " have", " has") for s, p in nouns]
    return Behaviour("toy", (singular[0], plural[0], singular[1], plural[1]))


def test_halves_are_disjoint_and_whole():
    whole = agreement()
    assert whole.train.pairs + whole.test.pairs == whole.pairs
    assert not {p.clean for p in whole.train.pairs} & {p.clean for p in whole.test.pairs}


def test_a_half_is_its_own_half_and_has_no_other():
    train = agreement().train
    assert train.train is train
    with pytest.raises(ValueError, match="this is the train half of toy; its test half is in the whole behaviour"):
        _ = train.test


def test_batches_have_one_length_and_point_back_to_the_pairs(toy):
    model, whole = toy(TEXT), agreement()
    batches = list(whole.batches(model))
    assert [b.clean.shape for b in batches] == [(2, 2), (2, 3)] and [b.index for b in batches] == [(0, 2), (1, 3)]
    for batch in batches:
        assert [model.tokenizer.decode(row) for row in batch.clean] == [whole.pairs[i].clean for i in batch.index]
        assert batch.pairs == tuple(whole.pairs[i] for i in batch.index)


def test_a_batch_stays_under_its_budget(toy):
    sizes = [b.clean.shape for b in agreement().batches(toy(TEXT), tokens=3)]
    assert sizes == [(1, 2), (1, 2), (1, 3), (1, 3)]


def test_batches_name_the_pair_that_cannot_be_posed(toy):
    bad = Behaviour("bad", (*agreement().pairs[::2], ask("The girls", "near The boys", " has", " have")))
    with pytest.raises(
        ValueError, match=r"pair 2 of bad: clean and patch prompt differ in length: 'The girls' has 2 tokens"
    ):
        next(bad.batches(toy(TEXT)))


def test_bind_keeps_what_fits_and_says_what_fell_out(toy):
    misfit = ask("The boy has", "The girl", " has", " have")
    bound = Behaviour("b", (misfit, *agreement().pairs), split=3).bind(toy(TEXT))
    assert bound.pairs == agreement().pairs and bound.split == 2 and bound.dropped == 1
    assert bound.note == "1 of 5 pairs fell out: clean and patch prompt differ in length (1)."


def test_bind_keeps_one_length_of_an_aligned_behaviour(toy):
    bound = replace(agreement(), aligned=True).bind(toy(TEXT))
    assert [p.clean for p in bound.pairs] == ["The boy", "The girl"] and bound.dropped == 2


def test_bind_keeps_the_commonest_length_and_says_what_fell_out(toy):
    words = ["n" + "x" * i for i in range(31)]
    long = [ask(f"near The {a}", f"near The {b}", " has", " have") for a, b in pairwise(words)]
    short = ask("The boy", "The girl", " has", " have")
    bound = Behaviour("b", (short, *long), aligned=True).bind(toy(TEXT, *words))
    assert bound.pairs == tuple(long) and bound.dropped == 1
    assert bound.note == "1 of 31 pairs fell out: prompts are not 3 tokens long."


def test_bind_that_leaves_nothing_shows_why(toy):
    with pytest.raises(ValueError, match=r"can pose no pair of b, for example because an answer is not one token"):
        Behaviour("b", (ask("The boy", "The girl", " has have", " has"),)).bind(toy(TEXT))


def test_of_length_takes_the_commonest_or_the_one_asked_for(toy):
    whole = Behaviour("b", agreement().pairs[:3])
    assert {p.clean for p in whole.of_length(toy(TEXT)).pairs} == {"The boy", "The girl"}
    assert [p.clean for p in whole.of_length(toy(TEXT), 3).pairs] == ["near The boys"]
    with pytest.raises(ValueError, match=r"no prompt of b has 9 tokens; there are \[2, 3\]"):
        whole.of_length(toy(TEXT), 9)


def test_filter_keeps_what_the_model_gets_right(toy):
    model = toy(TEXT, says={"The boy": "has", "The girl": "have", "near The boys": "have"})
    kept = agreement().filter(model)
    assert [p.clean for p in kept.pairs] == ["The boy", "near The boys"] and kept.dropped == 2
    assert kept.note == "2 of 4 pairs fell out: the model does not answer them right."


def test_filter_drops_a_pair_with_its_reverse(toy):
    model = toy(TEXT, says={"The boy": "has", "The girl": "have", "near The boys": "have"})
    there, back = ask("The boy", "The girl", " has", " have"), ask("The girl", "The boy", " have", " has")
    other = ask("The girl", "The boy", " has", " have")
    assert Behaviour("b", (there, back, other), split=3).filter(model).pairs == (
        there,
        back,
    )  # wrong, but not its reverse
    says_has = toy(TEXT, says={"The boy": "has", "The girl": "has", "near The boys": "have"})
    kept = Behaviour("b", (there, back, ask("near The boys", "near The girl", " have", " has")), split=3).filter(
        says_has
    )
    assert [p.clean for p in kept.pairs] == ["near The boys"]
    assert kept.note == "2 of 3 pairs fell out: the model does not answer them and their reverse right."


def test_filter_without_patch_answers_wants_an_answer_on_top(toy):
    model = toy(TEXT, says={"The boy": "has", "The girl": "near"})
    pairs = tuple(Pair(p, None, (" have", " has")) for p in ("The boy", "The girl"))
    assert [p.clean for p in Behaviour("b", pairs, metric=answer_logit).filter(model).pairs] == ["The boy"]


def test_a_filter_that_leaves_nothing_is_an_error(toy):
    with pytest.raises(ValueError, match="no pair of toy is left"):
        agreement().filter(toy(TEXT))


def test_answer_sets_of_unequal_size_are_filled(toy):
    pairs = (Pair("The boy", None, (" has", " have")), Pair("The girl", None, (" has",)))
    (batch,) = Behaviour("b", pairs, metric=log_probability).batches(toy(TEXT))
    assert batch.answers[1, 1] == -1 and (batch.answers[0] >= 0).all() and batch.patch_answers is None


def test_reference_logits_come_with_the_metric_that_asks_for_them(toy):
    model = toy(TEXT, says={"The boy": "has"})
    assert next(agreement().batches(model)).reference is None and model.runs == 0
    batch = next(agreement().with_metric(kl_divergence).batches(model))
    assert batch.reference is not None and torch.equal(batch.reference, model.run(batch.clean).logits[:, -1])


def test_first_takes_from_both_halves_in_proportion():
    pairs = tuple(ask(f"a{i}", f"b{i}", " x", " y") for i in range(10))
    few = Behaviour("b", pairs, split=8).first(5)
    assert [p.clean for p in few.train.pairs] == ["a0", "a1", "a2", "a3"] and few.test.pairs == pairs[8:9]
    assert few.dropped == 0 and [p.clean for p in Behaviour("b", pairs).test.first(2).pairs] == ["a5", "a6"]


def test_shuffled_gives_the_patch_prompt_of_another_pair_of_the_same_length(toy):
    whole = replace(agreement(), pairs=agreement().pairs[::2] * 2, split=2)
    mixed = whole.shuffled(toy(TEXT))
    for before, after in zip(whole.pairs, mixed.pairs, strict=True):
        assert after.clean == before.clean and after.answers == before.answers and after.patch != before.patch


def test_shuffled_drops_pairs_without_another(toy):
    with pytest.raises(ValueError, match="4 of 4 pairs fell out: no other pair of their token length"):
        agreement().shuffled(toy(TEXT))


def test_without_patches_the_baseline_is_zero():
    assert (agreement().baseline, agreement().without_patches().baseline) == ("patch", "zero")


def test_the_hash_is_of_what_is_asked():
    whole = agreement()
    assert whole.hash == agreement().hash == replace(whole, name="other").hash
    assert whole.hash not in (whole.train.hash, whole.with_metric(answer_logit).hash)


def test_grouped_keeps_a_pair_and_its_reverse_on_one_side():
    a, b, c = (ask(f"a{i}", f"b{i}", " x", " y") for i in range(3))
    back = ask("b0", "a0", " y", " x")
    assert grouped([a, b, c, back]) == ((a, back, b, c), 2)
    assert grouped([a, back, b])[1] == 2


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ((), "b has no pairs left"),
        ((Pair("a", None, ("x",)),), "b has no patch answers, which logit_difference needs"),
        ((ask("a", "b", "x", "y"), ask("a", None, "x", "y")), "some pairs of b have patch prompts and some have none"),
        ((ask("a", "b", "x", "y"), Pair("a", "b", ("x",))), "some pairs of b have patch answers and some have none"),
    ],
)
def test_pairs_that_are_no_behaviour_are_refused(pairs, message):
    with pytest.raises(ValueError, match=message):
        Behaviour("b", pairs)


def test_a_misspelt_name_meets_the_near_one():
    with pytest.raises(ValueError, match="did you mean 'agreement'"):
        Behaviour.load("agrement/simple")
    with pytest.raises(ValueError, match=r"'agreement/simpel' is not .*; the family 'agreement' has agreement/simple"):
        Behaviour.load("agreement/simpel")


def test_the_list_of_behaviours_has_a_line_for_each():
    listed = Behaviour.available()
    assert {"ioi", "agreement/across_rc", "greater_than", "pronouns/occupations"} <= listed.keys()
    assert all(listed.values())


def test_a_folder_is_no_behaviour(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "three").mkdir()
    with pytest.raises(ValueError, match="three is a folder; a behaviour is a file of prompts"):
        Behaviour.load("three")


def test_a_behaviour_is_come_by_again_in_its_own_steps(toy, tmp_path):
    model, path = toy(TEXT), agreement().save(tmp_path / "toy.json")
    asked = Behaviour.load(path, model=model).bind(model).of_length(model, 2).test
    assert [step for step, _ in asked.made] == ["load", "bind", "of_length", "test"]
    again = Behaviour.again(asked.provenance["made"], model)
    assert again == asked and again.hash == asked.hash


def test_pairs_that_were_given_have_no_steps_and_steps_are_known():
    assert agreement().train.made == ()
    with pytest.raises(ValueError, match="cannot be come by again"):
        Behaviour.again((), None)
    with pytest.raises(ValueError, match="there is no step 'save'"):
        Behaviour.again((("load", {"name": "ioi", "n": 4}), ("save", {"path": "x"})), None)
