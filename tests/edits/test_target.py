from dataclasses import replace

import pytest
import torch

from clew.changes import Add
from clew.data.facts.facts import Fact
from clew.edits import Descent
from clew.edits._asked import asked_after, at_subjects, prefixes, subjects_alone
from clew.edits._target import learn_targets
from clew.sites import Site, Where
from tests.models.tiny import model_of

FACT = Fact("the {} said that", "old king", "good man")
OTHER = Fact("in the {} said", "queen", "she")
BEFORE = ("", "he was not . ")
SEARCH = Descent(steps=6, lr=0.5, clamp=4.0, kl_weight=0.0625, weight_decay=0.5)


def test_prompts_hold_all_of_the_answer_but_its_last_token():
    model = model_of()
    rows = asked_after(model, FACT, BEFORE)
    decode = model.tokenizer.decode
    assert [decode(row.ids) for row in rows] == [
        "the old king said that good",
        "he was not . the old king said that good",
    ]
    assert [row.subject for row in rows] == [2, 6]
    assert decode(rows[0].answer) == "good man"


def test_reading_stops_at_the_subject_and_rows_do_not_mix():
    model = model_of(dtype=torch.float64)
    rows, site = [*subjects_alone(model, FACT, BEFORE), *subjects_alone(model, OTHER, BEFORE)], Site.parse("resid.1")
    found = at_subjects(model, rows, site)[site]
    alone = [
        model.run(prompt, read=[site])[site][0, at]
        for prompt, at in (("the old king said that", 2), ("in the queen said", 2))
    ]
    assert torch.allclose(found[[0, 2]], torch.stack(alone), atol=1e-12)


def test_prefixes_start_with_the_bare_prompt_and_follow_the_seed():
    model = model_of()
    assert prefixes(model, 0) == ("",)
    some = prefixes(model, 4)
    assert some == prefixes(model, 4) != prefixes(model, 4, seed=1)
    assert len(some) == 5 and all(text.endswith(". ") for text in some[1:])
    with pytest.raises(ValueError, match="contexts=-1"):
        prefixes(model, -1)


@pytest.mark.parametrize("site", ["mlp_out.0", "resid.0"])
def test_the_loss_is_that_of_a_run_with_delta_added(site):
    model = model_of(dtype=torch.float64)
    target = learn_targets(model, [FACT], Site.parse(site), ("",), SEARCH)[0]
    tokens = model.tokens("the old king said that good")[0]
    run = model.run(tokens, edits=[Add(site, vector=target.delta, where=Where.at(2))], logits=2)
    wanted = model.tokens("good man")[0]
    nll = -run.logits.log_softmax(-1).gather(-1, wanted[..., None]).mean()
    assert target.nll == pytest.approx(float(nll), abs=1e-9)
    bare = -model.run(tokens, logits=2).logits.log_softmax(-1).gather(-1, wanted[..., None]).mean()
    assert nll < bare


def test_facts_learnt_together_come_out_as_alone():
    model, site = model_of(dtype=torch.float64), Site.parse("resid.0")
    both = learn_targets(model, [FACT, OTHER], site, BEFORE, SEARCH)
    alone = [learn_targets(model, [fact], site, BEFORE, SEARCH)[0] for fact in (FACT, OTHER)]
    for a, b in zip(both, alone, strict=True):
        assert torch.allclose(a.delta, b.delta, atol=1e-8) and a.steps == b.steps


def test_delta_stays_in_its_ball():
    target = learn_targets(model_of(), [FACT], Site.parse("resid.0"), BEFORE, replace(SEARCH, clamp=0.1))[0]
    assert float(target.delta.norm()) == pytest.approx(0.1 * float(target.before.norm()), rel=1e-4)
    assert torch.equal(target.wanted, target.before + target.delta)


def test_no_step_is_taken_where_the_target_is_said_already():
    target = learn_targets(model_of(), [FACT], Site.parse("resid.0"), BEFORE, replace(SEARCH, enough=1e9))[0]
    assert target.steps == 0 and not target.delta.any()


def test_a_heavy_penalty_holds_the_subject_still():
    site, model = Site.parse("resid.0"), model_of(dtype=torch.float64)
    size = lambda **held: float(learn_targets(model, [FACT], site, BEFORE, replace(SEARCH, **held))[0].delta.norm())  # noqa: E731
    assert size(weight_decay=1e4) < size() and size(kl_weight=1e4) != size(kl_weight=0.0)
