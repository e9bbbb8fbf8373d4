"""Threads that share a module, and a module and its twins: every run is the run it would be alone."""

from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

import pytest
import torch

from clew.changes import Add, Scale, Set, Update
from clew.models import Model
from clew.models.body import Body
from clew.models.costs import counted
from clew.models.selfcheck import selfcheck
from clew.models.state import lock_of, state
from clew.models.weights import logits_with
from clew.sites import Site, Weight
from tests.models.test_run import settings
from tests.models.tiny import model_of, module_of, prompts, word_tokenizer

RUNS = 12


def gradients(model: Model) -> torch.Tensor:
    trace = model.run(prompts(), read=["resid.0", "pattern.1"], grad=True, logits=1)
    return trace.gradients(trace.logits.square().sum())[Site("resid", 0)]


def receipt(model: Model) -> torch.Tensor:
    found = model.run(prompts(), edits=[Scale(Site("attn", 1), factor=0.5)]).receipts[0]
    return torch.tensor([found.calls, found.reached, found.fired, found.changed])


def works(model: Model) -> list:
    """What eight threads do: generate, read patterns, edit, resume, differentiate, learn, check."""
    tokens, width = prompts(), model.body.widths[Site("resid", 1)]
    base, down = model.run(tokens, record=True), Weight("down.1")
    matrix = model.body.linear(down).matrix()
    shifted = model.edited(Add("resid.1", vector=torch.linspace(-9, 9, width)))
    damped = Scale(Site("attn", 1), factor=0.5)
    return [
        lambda: shifted.generate(["the nurse", "a king"], max_new_tokens=3).tokens,
        lambda: model.run(tokens, read=["pattern.1", "mlp.1"], edits=[Set("neuron.0", value=1.0)])["pattern.1"],
        lambda: model.run(tokens, edits=[damped], base=base, logits=1).logits,
        lambda: model.run(tokens, read=["resid.1"], grad=True, frozen=True).logits.detach(),
        lambda: gradients(model),
        lambda: receipt(model),
        lambda: logits_with(model.body, {down: 2 * matrix}, tokens),
        lambda: torch.tensor([finding.measured for finding in selfcheck(model.body).findings]),
    ]


def many_times(work) -> list[torch.Tensor]:
    return [work() for _ in range(RUNS)]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_threads_that_share_a_module_all_get_what_each_would_get_alone(family):
    model = model_of(family)
    again = Model(Body(model.body.module, model.tokenizer, "the same module once more"))
    before, jobs = settings(model), [*works(model)[::2], *works(again)[1::2]]
    alone = [work() for work in jobs]
    with ThreadPoolExecutor(len(jobs)) as threads:
        found = list(threads.map(many_times, jobs))
    assert all(torch.equal(one, right) for some, right in zip(found, alone, strict=True) for one in some)
    assert settings(model) == before


def test_twins_with_other_weights_run_beside_each_other():
    model = model_of()
    out, width = model.body.linear("down.1").matrix().shape
    updates = [Update("down.1", left=torch.full((out, width), size)) for size in (0.1, 0.2, 0.3)]
    run = partial(Model.run, tokens=prompts(), read=["pattern.0"])
    alone = [run(m).logits for m in (model, *map(model.edited, updates))]
    with ThreadPoolExecutor(4) as threads:
        made = [threads.submit(lambda u=u: run(model.edited(u) if u else model).logits) for u in (None, *updates) * 5]
        found = [one.result() for one in made]
    assert all(torch.equal(one, alone[i % 4]) for i, one in enumerate(found))


def test_a_run_of_a_twin_leaves_the_settings_of_the_other_alone():
    model = model_of()
    weights = list(model.body.module.parameters())
    assert all(p.requires_grad for p in weights)
    twin = model.edited(Update("down.1", left=torch.ones_like(model.body.linear("down.1").matrix())))
    with state(twin.body.module):
        assert all(p.requires_grad for p in weights)
        assert not any(p.requires_grad for p in twin.body.module.parameters())


def test_modules_made_from_one_config_object_take_turns():
    """For the implementation of the attention is a setting of the config."""
    one = model_of()
    other = Model(Body(type(one.body.module)(one.body.module.config).eval(), word_tokenizer(), "other"))
    assert other.body.module.config is one.body.module.config
    assert lock_of(other.body.module) is lock_of(one.body.module) is not lock_of(module_of())
    read = partial(Model.run, tokens=prompts(), read=["pattern.1"])
    alone = [read(m)["pattern.1"] for m in (one, other)]
    with ThreadPoolExecutor(4) as threads:
        found = list(
            threads.map(lambda i: torch.equal(read((one, other)[i % 2])["pattern.1"], alone[i % 2]), range(60))
        )
    assert all(found)


def test_a_weight_is_read_when_nobody_else_has_put_others_in_its_place():
    model = model_of()
    linear = model.body.linear("down.1")
    right = linear.matrix()
    with ThreadPoolExecutor(1) as other, state(model.body.module) as held:
        held.parameters(model.body.module, [linear.name])
        linear.owner._parameters["weight"] = torch.zeros_like(right)
        waiting = [other.submit(lambda: linear.matrix()), other.submit(lambda: model.body.linear("down.1").parameter)]
        assert not wait(waiting, timeout=0.05).done
    assert all(torch.equal(one.result(), right) for one in waiting)


def test_a_thread_may_hold_a_module_that_it_holds_already():
    model = model_of()
    alone = model.run(prompts(), read=["pattern.1"])
    with state(model.body.module), counted(model):
        inside = model.run(prompts(), read=["pattern.1"])
    assert torch.equal(inside["pattern.1"], alone["pattern.1"]) and torch.equal(inside.logits, alone.logits)


def test_the_widths_are_looked_up_by_threads_that_run():
    model = model_of()
    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(lambda: (model.run(prompts()), model.body.widths, model.body.block_returns_tuple))] * 8
        assert {job.result()[2] for job in jobs} == {model.body.block_returns_tuple}


def test_what_is_counted_is_the_work_of_one_thread():
    model = model_of()
    with counted(model) as alone:
        model.run(prompts())
    with ThreadPoolExecutor(1) as other, counted(model) as cost:
        waiting = other.submit(model.run, prompts())
        model.run(prompts())
        done = waiting.done()
    assert not done and cost.forward_tokens == alone.forward_tokens
