"""Query-key graphs: the pairs add up to the model's own score, and removing one takes away its term."""

from functools import cache

import numpy as np
import pytest
import torch

from clew import Model, find
from clew.changes import Edit, Set
from clew.circuits.circuit import ERROR, OUTPUT, Circuit
from clew.methods.graphs.query_key import query_key
from clew.models.attention import look
from clew.models.state import state
from clew.sites import Site
from tests.planted import random_behaviour, random_dictionary, tiny_model

FAMILIES = ("llama", "qwen3", "gemma3_text", "gpt2", "gpt_neox", "opt")


@cache
def view(family: str, site: str = "resid.0") -> Model:
    return tiny_model(family).through(random_dictionary(site, 32))


def real_score(model: Model, layer: int, head: int, query: int, key: int, *edits: Edit) -> float:
    """The model's own query times its own key, on the first prompt."""
    (batch,), pattern, seen = random_behaviour(1).batches(model), Site("pattern", layer), []
    with state(model.body.module) as held:
        look(held, model.body.taps[pattern].module, lambda *given: seen.append(given))
        model.run(batch.clean, read=[pattern], edits=edits)
    ((q, k, _, scaling),) = seen
    return float(q[0, head, query] @ k[0, head // (q.shape[1] // k.shape[1]), key] * scaling)


def total(circuit: Circuit) -> float:
    return circuit.weight.sum() + circuit.details["attention"]["parts"]["both biases"]


def test_by_hand_in_coordinates() -> None:
    """In GPT-2, seen after the norm, the pair (i, j) weighs x_q[i] (W_q W_k^T)[i, j] x_k[j] / sqrt(d_head)."""
    model, behaviour = tiny_model("gpt2").neurons("attn_in.1"), random_behaviour(1)
    found = query_key(model, behaviour, layer=1, head=2, query=3, key=1)
    x = model.run(next(behaviour.batches(model)).clean, read=["attn_in.1"])["attn_in.1"][0]
    weight = model.body.module.get_submodule("transformer.h.1.attn.c_attn").weight
    w_q, w_k = weight[:, 16:24], weight[:, 32 + 16 : 32 + 24]
    table = (x[3][:, None] * (w_q @ w_k.T) * x[1] / 8**0.5).detach().numpy()
    pair = found.target != OUTPUT
    target, source = found.unit[found.target[pair]], found.unit[found.source[pair]]
    assert pair.sum() == 32 * 32
    assert np.allclose(found.weight[pair], table[target, source], atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("site", "layer"), [("resid.0", 1), ("embed", 0), ("attn_in.1", 1)])
def test_all_pairs_add_up_to_the_models_score(family: str, site: str, layer: int) -> None:
    model, behaviour = view(family, site), random_behaviour(1)
    for head, query, key in ((3, 3, 1), (0, 2, 2)):
        found = query_key(model, behaviour, layer=layer, head=head, query=query, key=key)
        assert abs(total(found) - real_score(model, layer, head, query, key)) < 1e-9
        assert abs(found.details["attention"]["score"] - total(found)) < 1e-9


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_without_biases_has_no_bias_part(family: str) -> None:
    """Euler's identity: only with every scale held, also those of query and key norms, is the map linear."""
    found = query_key(tiny_model(family).neurons("resid.0"), random_behaviour(1), layer=1, head=1, key=0)
    parts = found.details["attention"]["parts"]
    assert max(abs(parts[name]) for name in ("query bias", "key bias", "both biases")) < 1e-6  # norms in float32
    assert abs(parts["nodes"]) > 1e-2


@pytest.mark.parametrize("site", ["resid.0", "attn_in.1"])  # after attn_in, only the norms of queries and keys are left
def test_how_a_norm_is_computed_does_not_matter(monkeypatch: pytest.MonkeyPatch, site: str) -> None:
    model, behaviour = tiny_model("qwen3").neurons(site), random_behaviour(1)
    norm = type(model.body.attentions[1].q_norm)
    usual = query_key(model, behaviour, layer=1, head=1, key=0)
    forwards = (
        lambda m, x: torch.nn.functional.rms_norm(x, x.shape[-1:], m.weight, m.variance_epsilon),
        lambda m, x: m.weight * (x * (x.square().mean(-1, keepdim=True) + m.variance_epsilon).pow(-0.5)),
    )
    for forward in forwards:
        monkeypatch.setattr(norm, "forward", forward)
        other = query_key(model, behaviour, layer=1, head=1, key=0)
        assert np.allclose(other.weight, usual.weight, atol=1e-5)
        assert max(abs(other.details["attention"]["parts"][name]) for name in ("query bias", "both biases")) < 1e-9


def test_a_norm_whose_scale_cannot_be_held_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("qwen3").neurons("attn_in.1")
    monkeypatch.setattr(model.body.attentions[1].k_norm, "forward", torch.tanh)
    with pytest.raises(ValueError, match="Qwen3RMSNorm is neither"):
        query_key(model, random_behaviour(1), layer=1, head=1, key=0)


def test_a_bias_that_is_there_is_found() -> None:
    model, behaviour = tiny_model("gpt2").neurons("resid.0"), random_behaviour(1)
    projection = model.body.module.get_submodule("transformer.h.1.attn.c_attn")
    with torch.no_grad():
        projection.bias.normal_()
    found = query_key(model, behaviour, layer=1, head=1, query=3, key=0).details["attention"]
    expected = projection.bias[8:16] @ projection.bias[32 + 8 : 32 + 16] / 8**0.5
    assert abs(found["parts"]["both biases"] - expected.item()) < 1e-12
    assert found["parts"]["query bias"] and found["parts"]["key bias"]


@pytest.mark.parametrize("family", ["llama", "gpt_neox"])
def test_removing_both_ends_of_a_pair_takes_its_term_away(family: str) -> None:
    """Inclusion and exclusion, seen after the norm, where no scale has to be held."""
    model, behaviour = view(family, "attn_in.1"), random_behaviour(1)
    found = query_key(model, behaviour, layer=1, head=2, query=3, key=1)
    nodes = (found.unit[found.source] >= 0) & (found.unit[found.target] >= 0) & (found.target != OUTPUT)
    for edge in np.flatnonzero(nodes)[np.argsort(-np.abs(found.weight[nodes]))[:3]]:
        at_key, at_query = found.keep(found.source[[edge]]).zero(), found.keep(found.target[[edge]]).zero()
        score = [real_score(model, 1, 2, 3, 1, *e) for e in ((), at_key, at_query, (*at_key, *at_query))]
        assert abs(score[0] - score[1] - score[2] + score[3] - found.weight[edge]) < 1e-9


def test_a_nodes_score_is_what_the_score_loses_without_it() -> None:
    """Also for a node that stands at query and key at once."""
    model, behaviour = view("gpt_neox", "attn_in.1"), random_behaviour(1)
    for query, key in ((3, 1), (2, 2)):
        found = query_key(model, behaviour, layer=1, head=0, query=query, key=key)
        whole = real_score(model, 1, 0, query, key)
        for node in range(len(found)):
            without = real_score(model, 1, 0, query, key, *found.keep(np.array([node])).zero())
            assert abs(whole - without - found.score[node]) < 1e-9


def test_two_keys_are_held_against_each_other() -> None:
    model, behaviour = view("llama"), random_behaviour(1)
    found = query_key(model, behaviour, layer=1, head=1, query=3, key=0, versus=2)
    assert abs(total(found) - real_score(model, 1, 1, 3, 0) + real_score(model, 1, 1, 3, 2)) < 1e-9
    assert set(found.position) == {0, 2, 3}
    alone = query_key(model, behaviour, layer=1, head=1, query=3, key=2)
    weights = [
        dict(zip(zip(c.position[c.source], c.unit[c.source], c.unit[c.target], strict=True), c.weight, strict=True))
        for c in (found.keep_edges(found.target >= 0), alone.keep_edges(alone.target >= 0))
    ]
    assert all(weights[0][2, *pair] == pytest.approx(-weights[1][2, *pair]) for _, *pair in weights[1])


def test_the_default_key_is_the_one_most_attended_to() -> None:
    model, behaviour = view("gpt2"), random_behaviour(2)
    found = find(model, behaviour, by="query_key", layer=1, head=0, example=1, held_out=False)
    about = found.details["attention"]
    tokens = torch.tensor([behaviour.pairs[1].clean])
    pattern = model.run(tokens, read=["pattern.1"])["pattern.1"][0, 0, -1]
    assert about["key"] == int(pattern.argmax())
    assert about["weight"] == pytest.approx(float(pattern.max()))
    assert about["words"][0] == str(behaviour.pairs[1].clean[-1])


def test_units_have_their_patch_value() -> None:
    model, behaviour = view("gpt2"), random_behaviour(1)
    found = query_key(model, behaviour, layer=1, head=0, query=3, key=1)
    code = model.run(next(behaviour.batches(model)).patch, read=["resid.0"]).code("resid.0")[0]
    unit = found.unit != ERROR
    assert np.allclose(found.patch_mean[unit], code[found.position[unit], found.unit[unit]].numpy())
    without = query_key(model, behaviour.without_patches(), layer=1, head=0, query=3, key=1)
    assert np.isnan(without.patch_mean).all()


def test_an_edited_model_is_explained_as_it_is() -> None:
    model, behaviour = view("llama"), random_behaviour(1)
    edit = Set(Site("resid", 0), value=0.0, basis="code", units=(3, 5))
    found = query_key(model.edited(edit), behaviour, layer=1, head=1, query=3, key=0)
    assert abs(total(found) - real_score(model, 1, 1, 3, 0, edit)) < 1e-9


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layer": 2}, "resid.1"),
        ({"layer": 9}, "head.0 to head.2"),
        ({"head": 4}, "heads 0 to 3"),
        ({"query": 1, "key": 2}, "cannot attend"),
        ({"query": 4}, "no position"),
        ({"example": 1}, "examples 0 to 0"),
    ],
)
def test_what_is_not_there_is_named(options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        query_key(view("gpt2"), random_behaviour(1), **{"layer": 1, "head": 0, **options})


def test_a_sliding_window_hides_keys_and_other_families_are_refused() -> None:
    behaviour = random_behaviour(1, length=8)
    with pytest.raises(ValueError, match="cannot attend"):  # the window of the first layers is 5
        query_key(view("gemma3_text"), behaviour, layer=1, head=0, query=7, key=0)
    with pytest.raises(ValueError, match="attention interface"):
        query_key(view("bloom"), behaviour, layer=1, head=0)
