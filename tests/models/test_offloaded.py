"""Models whose weights lie elsewhere until they run: sites, edits and gradients are those of the same model in one piece."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import clew
from clew.methods.edges.edges import edges
from clew.methods.nodes.attribution_patching import attribution_patching
from clew.models import Model
from clew.models.offloaded import held, is_offloaded, runs_on
from tests.planted import random_behaviour, random_dictionary, tiny_model

accelerate = pytest.importorskip("accelerate")
TOKENS = torch.tensor([[5, 6, 7, 8], [9, 5, 4, 3]])
WHOLE = tiny_model("llama")


@pytest.fixture(params=["model.layers.1", "model.embed_tokens", "lm_head"])
def apart(request, tmp_path) -> Model:
    """The same model with one of its parts on disk."""
    module = copy.deepcopy(WHOLE.body.module)
    where = dict.fromkeys(["model.embed_tokens", "model.rotary_emb", "model.norm", "lm_head"], "cpu")
    where |= {f"model.layers.{i}": "cpu" for i in range(WHOLE.n_layers)} | {request.param: "disk"}
    accelerate.dispatch_model(module, where, main_device="cpu", offload_dir=str(tmp_path), force_hooks=True)
    assert is_offloaded(module)
    return clew.open(module)


def test_what_is_read_edited_and_differentiated_is_the_same(apart):
    edits = [clew.Set("resid.0", value=0.5, where=clew.Where.at(1)), clew.Scale("attn.2", factor=2.0)]
    read = ["embed", "attn.1", "neuron.1", "mlp.1", "resid.2", "final"]
    for how in ({}, {"edits": edits}, {"frozen": True}):
        mine, theirs = (m.run(TOKENS, read=read, grad=True, **how) for m in (apart, WHOLE))
        assert torch.equal(mine.logits, theirs.logits)
        grads = [trace.gradients(trace.logits[:, -1, 3].sum()) for trace in (mine, theirs)]
        for site in mine.values:
            assert torch.equal(mine[site], theirs[site]) and torch.equal(grads[0][site], grads[1][site])
    base = apart.run(TOKENS, record=True)
    assert torch.equal(apart.run(TOKENS, edits=edits[1:], base=base).logits, WHOLE.run(TOKENS, edits=edits[1:]).logits)


def test_circuits_are_the_same_and_the_weights_have_one_fingerprint(apart):
    parts, behaviour = [random_dictionary(site, 32) for site in ("resid.0", "mlp.1")], random_behaviour()
    mine, theirs = (
        edges(m.through(*parts), behaviour, attribution_patching(m.through(*parts), behaviour).top(20))
        for m in (apart, WHOLE)
    )
    assert mine.keys() == theirs.keys() and np.array_equal(mine.weight, theirs.weight)
    assert apart.body.fingerprint == WHOLE.body.fingerprint
    assert torch.equal(apart.body.unembedding, WHOLE.body.unembedding) and apart.device.type == "cpu"


def test_edits_of_weights_are_refused(apart):
    update = clew.Update("down.1", left=torch.ones(32, 1), right=torch.ones(1, 64))
    with pytest.raises(ValueError, match=r"some of its weights are offloaded .* open it whole"):
        apart.edited([update])


def test_an_empty_tensor_that_nothing_fills_is_refused():
    module = copy.deepcopy(WHOLE.body.module).to("meta")
    with pytest.raises(ValueError, match="is an empty tensor .* that no hook of accelerate's fills"):
        clew.open(module)
    assert runs_on(module).type == "cpu" and not is_offloaded(nn.Linear(2, 2))
    assert held(nn.Linear(2, 2), "weight", torch.ones(1)).item() == 1
