"""Means at the places of prompts: by position where it means the same, else with first and special tokens apart."""

from dataclasses import replace

import pytest
import torch

import clew
from clew.data.behaviours.behaviour import Behaviour
from clew.data.behaviours.pairs import Pair
from clew.dictionaries.sparse import Sparse
from clew.readings.contrast import mean_states
from clew.readings.means import Means
from clew.sites import Site
from tests.planted import random_behaviour, random_dictionary, tiny_model

SINK, SPECIAL = 1000.0, 7


def means(aligned: bool, *prompts: list[int]) -> Means[str]:
    """Of a value that is the token's id, and a thousand at the first token."""
    tokens = [torch.tensor([prompt]) for prompt in prompts]
    values = [t[..., None].double() for t in tokens]
    for value in values:
        value[:, 0] = SINK
    return Means(((t, {"id": v}) for t, v in zip(tokens, values, strict=True)), aligned=aligned, special=[SPECIAL])


def test_first_and_special_tokens_have_means_of_their_own() -> None:
    found = means(False, [1, 2, 4, SPECIAL], [1, 3, 5, 6, SPECIAL, SPECIAL])
    assert found.at("id", torch.tensor([[9, 9, SPECIAL], [SPECIAL, 9, 9]]))[..., 0].tolist() == [
        [SINK, 4.0, 7.0],
        [SINK, 4.0, 4.0],
    ]


def test_in_aligned_prompts_of_one_length_each_position_has_its_mean() -> None:
    found = means(True, [1, 2, 4], [1, 4, 8], [1, 50])
    assert found.at("id", torch.tensor([[0, 0, 0]]))[..., 0].tolist() == [[SINK, 3.0, 6.0]]
    assert found.at("id", torch.tensor([[0, 0]]))[..., 0].tolist() == [[SINK, 50.0]]


def test_a_place_without_a_token_takes_the_mean_of_all() -> None:
    found = means(False, [1, 2, 4])
    assert found.at("id", torch.tensor([[0, SPECIAL]]))[0, 1, 0] == pytest.approx((SINK + 2 + 4) / 3)


def test_what_replaces_a_sink_is_a_sink_and_what_replaces_a_word_is_none() -> None:
    """The first token's stream is made a hundred times as long as a word's: one mean would be far from both."""
    model = tiny_model("gpt2").edited([clew.Scale(Site("embed"), factor=100.0, where=clew.Where.at(0))])
    view = model.through(random_dictionary("embed", 32))
    behaviour = replace(random_behaviour(n=6), aligned=False)
    (batch,) = behaviour.batches(view)
    assert batch.patch is not None
    flows = view.run(batch.patch, read=["embed"])["embed"].norm(dim=-1)
    dictionary = view.dictionaries[Site("embed")]
    mean = mean_states(view, behaviour, of="patch")(Site("embed"), batch.clean).value(dictionary).norm(dim=-1)
    assert (mean[:, 0] > 50 * mean[:, 1:].max()).all()
    assert mean[:, 1:].max() < 2 * flows[:, 1:].max()


def test_a_model_without_a_tokenizer_has_no_special_tokens() -> None:
    model = clew.open(tiny_model("gpt2").body.module, tokenizer=None)
    pairs = tuple(Pair((1, i, 3), (1, i + 1, 4), (5,), (6,)) for i in range(4, 8))
    states = mean_states(model.neurons("mlp.0"), Behaviour("ids", pairs), of="clean")
    assert states(Site("mlp", 0), torch.tensor([[1, 2, 3]])).code.shape[:2] == (1, 3)


@pytest.mark.parametrize("aligned", [False, True])
def test_means_of_what_fires_are_those_of_all_units(aligned: bool) -> None:
    """No prompt has a special token, so their place takes the mean over all."""
    draw = torch.Generator().manual_seed(0)
    tokens = [torch.randint(0, 5, (2, 3), generator=draw) for _ in range(2)]
    codes = [torch.randn(2, 3, 6, generator=draw).relu() for _ in tokens]
    keys = [code.flatten().nonzero()[:, 0] for code in codes]
    sparse = [Sparse(key, code.flatten()[key], 6, 6) for key, code in zip(keys, codes, strict=True)]
    asked = torch.tensor([[1, SPECIAL, 1]])
    for dense, other in zip(codes, sparse, strict=True):
        assert torch.equal(other.dense(), dense.flatten(0, 1))
    found = [
        Means(((t, {"code": v}) for t, v in zip(tokens, values, strict=True)), aligned=aligned, special=[SPECIAL])
        for values in (codes, sparse)
    ]
    assert torch.allclose(found[0].at("code", asked), found[1].at("code", asked), atol=1e-6)
