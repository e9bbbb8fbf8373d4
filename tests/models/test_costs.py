"""What work costs: in passes that can be counted by hand, or that a method's docstring promises."""

import mmap

import pytest
import torch

from clew.methods.edges.eap import eap
from clew.methods.edges.eap_ig_inputs import eap_ig_inputs
from clew.methods.edges.exact_edge_patching import exact_edge_patching
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.methods.nodes.integrated_gradients import integrated_gradients
from clew.models.costs import counted
from clew.models.graph.components import Components
from tests.planted import random_behaviour, tiny_model

TASK = random_behaviour()
TOKENS = 12
PROMPTS = torch.randint(3, 90, (3, 4), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", ["gpt2", "llama", "falcon", "opt"])
def test_a_forward_is_a_forward_and_a_backward_a_backward(family):
    model = tiny_model(family)
    with counted(model) as cost:
        trace = model.run(PROMPTS, read=["embed"], grad=True)
        trace.gradients(trace.logits.sum())
        model.run(PROMPTS)
    assert (cost.forwards(TOKENS), cost.backwards(TOKENS)) == (2, 1)
    assert cost.seconds > 0 and cost.cpu_seconds > 0 and cost.memory >= 0


def test_blocks_taken_from_a_record_are_not_counted():
    model = tiny_model("gpt2", n_layer=4)
    base = model.run(PROMPTS, record=True)
    with counted(model) as cost:
        model.run(PROMPTS, read=["mlp.2"], base=base)
        model.run(PROMPTS.repeat(2, 1), read=["resid.2"], base=base)
    assert cost.forward_tokens == 12 * 2 + 24 * 1


def test_a_run_that_stops_pays_for_the_blocks_it_began():
    model = tiny_model("gpt2", n_layer=4)
    with counted(model) as cost:
        model.run(PROMPTS, read=["head.1"], logits=0)
        model.run(PROMPTS, read=["embed"], logits=0)
    assert cost.forwards(TOKENS) == 0.5


def test_a_gradient_pays_down_to_where_it_is_wanted():
    model = tiny_model("gpt2", n_layer=4)
    with counted(model) as cost:
        trace = model.run(PROMPTS, read=["resid.1", "final"], grad=True)
        trace.gradients(trace.logits.sum())
    assert cost.backwards(TOKENS) == 0.5


def test_gradients_pulled_back_together_count_each():
    model = tiny_model("gpt2")
    with counted(model) as cost:
        trace = model.run(PROMPTS, read=["embed"], grad=True, logits=1)
        ways = torch.eye(5).double()[:, None].expand(5, 3, 5)
        torch.autograd.grad(trace.logits[:, 0, :5], trace["embed"], ways, is_grads_batched=True)
    assert cost.backwards(TOKENS) == 5


@pytest.mark.parametrize(
    ("method", "options", "forwards", "backwards"),
    [
        (attribution_patching, {}, 2, 1),
        (eap, {}, 2, 1),
        (eap_ig_inputs, {"steps": 5}, 6, 5),
        (eap_ig_inputs, {"steps": 3}, 4, 3),
    ],
)
def test_methods_cost_what_their_docstrings_say(method, options, forwards, backwards):
    model = tiny_model("llama")
    with counted(model) as cost:
        method(model, TASK, **options)
    assert cost.forwards(TOKENS) == pytest.approx(forwards) and cost.backwards(TOKENS) == backwards


def test_integrated_gradients_resume_above_their_site():
    model = tiny_model("gpt2", n_layer=4)
    with counted(model) as cost:
        integrated_gradients(model.neurons(*(f"resid.{layer}" for layer in range(4))), TASK, steps=2)
    assert cost.forward_tokens == 12 * (4 + 4 + 3 + 2 + 1 + 0)  # the first of two points is the clean run


def test_patching_an_edge_costs_the_blocks_from_its_reader_on():
    model = tiny_model("gpt2")
    graph = Components(model.body)
    wanted = graph.legal & (torch.arange(len(graph.sources)) == 0)[:, None]  # what leaves the embedding
    above = [1 if site.layer is None else model.n_layers - site.layer for site, _ in graph.readers]
    edges = graph.circuit(wanted.double())
    with counted(model) as cost:
        exact_edge_patching(model, TASK, edges.keep_edges(edges.weight > 0), tokens=TOKENS)
    assert cost.forward_tokens == TOKENS * (2 * model.n_layers + sum(above))


def test_no_hook_is_left_and_nothing_counts_afterwards():
    model = tiny_model("gpt2")
    with pytest.raises(ZeroDivisionError), counted(model) as cost:
        trace = model.run(PROMPTS, read=["embed"], grad=True)
        raise ZeroDivisionError
    trace.gradients(trace.logits.sum())
    model.run(PROMPTS)
    assert cost.forwards(TOKENS) == 1 and cost.backwards(TOKENS) == 0 and cost.seconds > 0
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.body.module.modules())


def test_counting_changes_no_bit():
    model = tiny_model("falcon")

    def made():
        trace = model.run(PROMPTS, read=["embed", "resid.0"], grad=True)
        return [trace.logits, *trace.gradients(trace.logits.sum()).values()]

    bare = made()
    with counted(model):
        assert all(torch.equal(a, b) for a, b in zip(bare, made(), strict=True))


def test_memory_sees_what_was_held_and_given_back():
    model = tiny_model("gpt2")
    with counted(model) as cost:
        pages = mmap.mmap(-1, 50_000_000)  # fresh from the system: an allocator may hand out what it had kept
        torch.frombuffer(pages, dtype=torch.uint8).fill_(1)
    assert cost.memory is None or 40e6 < cost.memory < 200e6
