"""Threads that share a module, and a module and its twins: every run is the run it would be alone."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch

from clew.changes import Add, Scale, Set, Update
from clew.models import Model
from clew.models.costs import counted
from clew.sites import Site
from tests.models.test_run import settings
from tests.models.tiny import model_of, prompts

RUNS = 25


def works(model: Model) -> list:
    """What four threads do: generate, read patterns, edit, resume."""
    tokens, width = prompts(), model.body.widths[Site("resid", 1)]
    base = model.run(tokens, record=True)
    shifted = model.edited(Add("resid.1", vector=torch.linspace(-9, 9, width)))
    damped = Scale(Site("attn", 1), factor=0.5)
    return [
        lambda: shifted.generate(["the nurse", "a king"], max_new_tokens=3).tokens,
        lambda: model.run(tokens, read=["pattern.1", "mlp.1"], edits=[Set("neuron.0", value=1.0)])["pattern.1"],
        lambda: model.run(tokens, edits=[damped], base=base, logits=1).logits,
        lambda: model.run(tokens, read=["resid.1"], grad=True, frozen=True).logits.detach(),
    ]


def many_times(work) -> list[torch.Tensor]:
    return [work() for _ in range(RUNS)]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_four_threads_that_share_a_module_all_get_what_each_would_get_alone(family):
    model = model_of(family)
    before, jobs = settings(model), works(model)
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
